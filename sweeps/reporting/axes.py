"""Axes shared by the pictures of a study: scales that suit a parameter, limits that outliers do not stretch."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightning_app.atomic_write import replacing
from sweeps.space.names import shortened, value_name
from sweeps.space.search_space import Parameter


def new_figure(width: float, height: float) -> Any:
    """A figure that is drawn without a screen; sizes in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Any, path: Path) -> Path:
    """Writes a figure so that a reader sees the old picture or the new one."""
    with replacing(path) as partial:
        figure.savefig(partial, dpi=110)
    return path


def labels(parameter: Parameter) -> list[str]:
    """A word for each choice, cut in the middle where it is long."""
    words = [value_name(choice, parameter) for choice in parameter.choices]
    cut = [shortened(word) for word in words]
    return [word if cut.count(short) > 1 else short for word, short in zip(words, cut, strict=True)]


def axis_name(parameter: Parameter, names: Mapping[str, str]) -> str:
    """What is written at the axis of a parameter.

    Args:
        parameter: The parameter.
        names: Short names by key.
    """
    return shortened(names[parameter.key], 26) + (" (log)" if parameter.log else "")


def axis_positions(parameter: Parameter, drawn: Sequence[Any]) -> np.ndarray:
    """Where values lie on the parameter's axis.

    Args:
        parameter: The parameter.
        drawn: What Optuna drew.

    Returns:
        float64 (len(drawn),): numbers as they are, choices by their position.
    """
    if not parameter.choices:
        return np.array([float(value) for value in drawn])
    values = [parameter.value(value) for value in drawn]
    return np.array([float(parameter.choices.index(value)) for value in values])


def axis_limits(values: Sequence[float], direction: str) -> tuple[float, float]:
    """Limits of an axis of metric values: trials that went far astray do not squeeze the others together.

    Args:
        values: Of the trials.
        direction: `minimize` or `maximize`.
    """
    finite = np.array([value for value in values if np.isfinite(value)])
    if not len(finite):
        return 0.0, 1.0
    low, quarter, three_quarters, high = np.quantile(finite, [0, 0.25, 0.75, 1])
    reach = 3 * (three_quarters - quarter)
    if direction == "maximize":
        low = max(low, quarter - reach) if reach else low
    else:
        high = min(high, three_quarters + reach) if reach else high
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 0.05
    return float(low - margin), float(high + margin)


def clip(values: Sequence[float], limits: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Values moved to the edge of a view, and which were.

    Args:
        values: (N,).
        limits: Of the view.

    Returns:
        float64 (N,) and bool (N,).
    """
    given = np.asarray(values, dtype=float)
    clipped = np.clip(given, *limits)
    return clipped, clipped != given


def mark_axis(axis: Any, parameter: Parameter) -> None:
    """Gives a horizontal axis the range of a parameter, and a few marks that can be read.

    Args:
        axis: Of matplotlib.
        parameter: What lies along it.
    """
    from matplotlib.ticker import NullLocator

    if parameter.choices:
        words = labels(parameter)
        axis.set_xticks(range(len(words)), words, fontsize=8, rotation=25 if sum(map(len, words)) > 24 else 0)
        axis.set_xlim(-0.5, len(words) - 0.5)
        return
    at = axis_ticks(parameter)
    low, high = at[0], at[-1]
    if parameter.log:
        axis.set_xscale("log")
        axis.xaxis.set_minor_locator(NullLocator())
        margin = (high / low) ** 0.05
        low, high = low / margin, high * margin
    else:
        margin = 0.05 * (high - low) or 0.5
        low, high = low - margin, high + margin
    axis.set_xticks(at, [f"{value:.3g}" for value in at], fontsize=8)
    axis.set_xlim(low, high)


def axis_ticks(parameter: Parameter) -> list[float]:
    """Both ends of a number's range and what lies between: the middle, or of a long logarithmic one powers of ten."""
    assert parameter.low is not None
    assert parameter.high is not None
    low, high = float(parameter.low), float(parameter.high)
    if parameter.log and high / low >= 100:
        powers = [10.0**power for power in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)]
        inner = [power for power in powers[:: -(-len(powers) // 4)] if low * 2 < power < high / 2]
        return sorted({low, *inner, high})
    middle = float(np.sqrt(low * high)) if parameter.log else (low + high) / 2
    if parameter.kind == "int":
        middle = float(round(middle))
    return sorted({low, middle, high})
