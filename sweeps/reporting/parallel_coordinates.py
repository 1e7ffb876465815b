"""Parallel coordinates: a picture with one axis per parameter and one line per trial."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial

from sweeps.reporting.axes import axis_limits, axis_name, axis_positions, axis_ticks, clip, labels, new_figure, save
from sweeps.reporting.ranking import counted
from sweeps.space.names import short_names, value_name
from sweeps.space.search_space import Parameter, SearchSpace

_ABSENT = -0.12
"""Where a line crosses the axis of a parameter that its trial does not have."""
_MAX_AXES = 8
_NUM_BEST = 10
_SPREAD = 0.035
"""How far lines that cross an axis at one value lie from it, at most."""


def draw_parallel_coordinates(
    trials: Sequence[FrozenTrial],
    space: SearchSpace,
    *,
    metric: str,
    direction: str,
    position: int,
    path: Path,
    shares: Mapping[str, float] | None = None,
) -> Path:
    """Draws complete trials: the best ten in colour, by their value, the others in grey behind them.

    Args:
        trials: Of the study.
        space: What varies.
        metric: Name of the metric.
        direction: `minimize` or `maximize`.
        position: Of the metric among the trials' values.
        path: The PNG to write.
        shares: Importance of parameters; where there are many, the eight most important have an axis.
    """
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.collections import LineCollection
    from matplotlib.colors import Normalize

    complete = counted(trials)
    values = [(trial.values or [np.nan])[position] for trial in complete]
    limits = axis_limits(values, direction)
    shown, _ = clip(values, limits)
    parameters = _most_important(space, shares or {})
    order = np.argsort(shown if direction == "maximize" else -shown, kind="stable")  # the best are drawn last
    axes = [_heights(parameter, complete, order) for parameter in parameters]
    points = np.stack([*axes, (shown - limits[0]) / (limits[1] - limits[0])], axis=1) if complete else np.empty((0, 1))

    figure = new_figure(max(6.0, 1.35 * points.shape[1] + 1.2), 4.8)
    axis = figure.subplots()
    places_of_axes = np.arange(points.shape[1])
    lines = [np.column_stack([places_of_axes, points[index]]) for index in order]
    rest, best = lines[:-_NUM_BEST], lines[-_NUM_BEST:]
    axis.add_collection(LineCollection(rest, colors="0.6", linewidths=0.7, alpha=0.35, zorder=1))
    of_best = shown[order[-_NUM_BEST:]]
    colors = colormaps["viridis_r" if direction == "maximize" else "viridis"]
    scale = Normalize(*_ends_of(of_best))
    axis.add_collection(LineCollection(best, colors=colors(scale(of_best)), linewidths=2.0, alpha=0.9, zorder=2))
    for place, parameter in enumerate(parameters):
        _draw_axis(axis, place, _ticks(parameter))
        if (points[:, place] == _ABSENT).any():
            axis.text(place + 0.06, _ABSENT, "not there", fontsize=7, va="center", color="0.4", zorder=4)
    ticks = [(fraction, value_name(limits[0] + fraction * (limits[1] - limits[0]))) for fraction in (0.0, 0.5, 1.0)]
    _draw_axis(axis, len(parameters), ticks)
    absent = bool((points == _ABSENT).any())
    names = short_names(parameter.key for parameter in space.parameters)
    words = [axis_name(parameter, names) for parameter in parameters]
    axis.set_xticks(range(len(words) + 1), [*words, metric], rotation=25, ha="right", fontsize=9)
    axis.tick_params(length=0)
    axis.set_yticks([])
    axis.set_ylim(_ABSENT - 0.05 if absent else -0.06, 1.06)
    axis.set_xlim(-0.2, len(words) + 0.55)
    axis.spines[:].set_visible(False)
    axis.set_title(_title(len(complete), len(parameters), len(space.parameters), bool(shares)), fontsize=9, loc="left")
    figure.colorbar(ScalarMappable(scale, colors), ax=axis, label=f"{metric} of the best", pad=0.01)
    return save(figure, path)


def _most_important(space: SearchSpace, shares: Mapping[str, float]) -> list[Parameter]:
    """In the order of the space, so that a condition stands before what depends on it."""
    ranked = sorted(space.parameters, key=lambda parameter: -shares.get(parameter.key, 0.0))
    chosen = {parameter.key for parameter in ranked[:_MAX_AXES]}
    return [parameter for parameter in space.parameters if parameter.key in chosen]


def _title(num_trials: int, num_axes: int, num_parameters: int, by_importance: bool) -> str:
    best = f"{num_trials} complete trials, the best {min(_NUM_BEST, num_trials)} in colour"
    if num_axes == num_parameters:
        return best
    which = "the most important" if by_importance else "the first"
    return f"{best}; {which} {num_axes} of {num_parameters} parameters, the others are in the slices"


def _ends_of(values: np.ndarray) -> tuple[float, float]:
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _heights(parameter: Parameter, trials: Sequence[FrozenTrial], order: np.ndarray) -> np.ndarray:
    """Where each trial crosses the axis: 0 is its lower end, 1 the upper one.

    Lines that meet at one value lie side by side, those of good trials together.
    """
    having = [index for index in order.tolist() if parameter.key in trials[index].params]
    found = np.full(len(trials), _ABSENT)
    at = _on_unit(parameter, axis_positions(parameter, [trials[index].params[parameter.key] for index in having]))
    for value in np.unique(at):
        (members,) = np.nonzero(at == value)
        if len(members) > 1:
            gap = min(_SPREAD, 0.3 / max(1, (parameter.size() or 1000) - 1))
            at[members] = value + gap * np.linspace(-1, 1, len(members))
    found[having] = at
    return found


def _on_unit(parameter: Parameter, at: np.ndarray) -> np.ndarray:
    low, high = _ends(parameter)
    if parameter.log:
        at, low, high = np.log(at), float(np.log(low)), float(np.log(high))
    return (at - low) / (high - low) if high > low else np.full(len(at), 0.5)


def _ends(parameter: Parameter) -> tuple[float, float]:
    if parameter.choices:
        return 0.0, float(len(parameter.choices) - 1)
    assert parameter.low is not None
    assert parameter.high is not None
    return float(parameter.low), float(parameter.high)


def _ticks(parameter: Parameter) -> list[tuple[float, str]]:
    """Height and text of what is written along an axis."""
    if parameter.choices:
        heights = _on_unit(parameter, np.arange(len(parameter.choices), dtype=float))
        return list(zip(heights.tolist(), labels(parameter), strict=True))
    values = np.array(axis_ticks(parameter))
    return list(zip(_on_unit(parameter, values).tolist(), (f"{value:.3g}" for value in values), strict=True))


def _draw_axis(axis: Any, place: int, ticks: Sequence[tuple[float, str]]) -> None:
    axis.plot([place, place], [0, 1], color="0.2", linewidth=1, zorder=3)
    box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
    for height, text in ticks:
        axis.plot([place - 0.03, place + 0.03], [height, height], color="0.2", linewidth=1, zorder=3)
        axis.text(place + 0.06, height, text, fontsize=7, va="center", bbox=box, zorder=4)
