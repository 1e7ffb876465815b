"""A picture with a line per trial across one axis per parameter."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial

from sweeps.axes import clip, labels, marks, new_figure, places, save, view
from sweeps.names import short_names, value_name
from sweeps.ranking import counted
from sweeps.space import Parameter, SearchSpace

_ABSENT = -0.12
"""Where a line crosses the axis of a parameter that its trial does not have."""


def draw_parallel_coordinates(
    trials: Sequence[FrozenTrial], space: SearchSpace, *, metric: str, direction: str, position: int, path: Path
) -> Path:
    """Draws complete trials, coloured by their value, the best on top.

    Args:
        trials: Of the study.
        space: What varies.
        metric: Name of the metric.
        direction: `minimize` or `maximize`.
        position: Of the metric among the trials' values.
        path: The PNG to write.
    """
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.collections import LineCollection
    from matplotlib.colors import Normalize

    complete = counted(trials)
    values = [(trial.values or [np.nan])[position] for trial in complete]
    limits = view(values, direction)
    shown, _ = clip(values, limits)
    axes = [_heights(parameter, complete) for parameter in space.parameters]
    points = np.stack([*axes, (shown - limits[0]) / (limits[1] - limits[0])], axis=1) if complete else np.empty((0, 1))
    order = np.argsort(shown if direction == "maximize" else -shown, kind="stable")

    figure = new_figure(1.5 * points.shape[1] + 1.2 if complete else 4, 4.8)
    axis = figure.subplots()
    colors = colormaps["viridis_r" if direction == "maximize" else "viridis"]
    scale = Normalize(*limits)
    places_of_axes = np.arange(points.shape[1])
    lines = [np.column_stack([places_of_axes, points[index]]) for index in order]
    axis.add_collection(LineCollection(lines, colors=colors(scale(shown[order])), linewidths=1.0, alpha=0.75, zorder=2))
    for place, parameter in enumerate(space.parameters):
        _draw_axis(axis, place, _ticks(parameter))
    ticks = [(fraction, value_name(limits[0] + fraction * (limits[1] - limits[0]))) for fraction in (0.0, 0.5, 1.0)]
    _draw_axis(axis, len(space.parameters), ticks)
    absent = bool((points == _ABSENT).any())
    if absent:
        axis.text(-0.12, _ABSENT, "not there", fontsize=7, ha="right", va="center", color="0.4")
    names = short_names(parameter.key for parameter in space.parameters)
    axis.set_xticks(range(len(names) + 1), [*names.values(), metric], rotation=25, ha="right", fontsize=9)
    axis.set_yticks([])
    axis.set_ylim(_ABSENT - 0.05 if absent else -0.05, 1.05)
    axis.set_xlim(-0.5 if absent else -0.2, len(names) + 0.55)
    axis.spines[:].set_visible(False)
    figure.colorbar(ScalarMappable(scale, colors), ax=axis, label=metric, pad=0.01)
    return save(figure, path)


def _heights(parameter: Parameter, trials: Sequence[FrozenTrial]) -> np.ndarray:
    """Where each trial crosses the axis: 0 is its lower end, 1 the upper one."""
    having = [index for index, trial in enumerate(trials) if parameter.key in trial.params]
    found = np.full(len(trials), _ABSENT)
    at = places(parameter, [trials[index].params[parameter.key] for index in having])
    found[having] = _on_unit(parameter, at)
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
    values = np.array(marks(parameter))
    return list(zip(_on_unit(parameter, values).tolist(), (f"{value:.3g}" for value in values), strict=True))


def _draw_axis(axis: Any, place: int, ticks: Sequence[tuple[float, str]]) -> None:
    axis.plot([place, place], [0, 1], color="0.2", linewidth=1, zorder=3)
    box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
    for height, text in ticks:
        axis.plot([place - 0.03, place + 0.03], [height, height], color="0.2", linewidth=1, zorder=3)
        axis.text(place + 0.06, height, text, fontsize=7, va="center", bbox=box, zorder=4)
