"""Pictures of an experiment, as PNG files: effects, shares and rewards over time, and the steps of a canary."""

from collections.abc import Sequence
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lightning_app.serving.experiments.analysis.results import Analysis
from lightning_app.serving.experiments.canary.picture import canary_picture
from lightning_app.serving.experiments.store import Event

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLORS = ("0.35", "tab:blue", "tab:orange", "tab:green", "tab:purple", "tab:red", "tab:brown", "tab:olive")
_BINS = 25
"""Bins of time in which rewards are averaged."""


def draw_effects(analysis: Analysis, path: Path) -> bool:
    """Draws the effect of each arm over time with its confidence sequence, and the fixed-horizon interval at the end.

    Args:
        analysis: The analysis.
        path: PNG file to write.

    Returns:
        Whether there was anything to draw.
    """
    curves = {arm: curve for arm, curve in analysis.series.curves.items() if np.isfinite(curve.estimate).any()}
    if not curves:
        return False
    figure = _figure(7.2, 2.6 * len(curves) + 0.4)
    times = _days(analysis.series.ends)
    for axis, (arm, curve) in zip(figure.subplots(len(curves), 1, squeeze=False)[:, 0], curves.items(), strict=True):
        color = _color(analysis, arm)
        low, high = curve.estimate - curve.radius, curve.estimate + curve.radius
        axis.fill_between(times, low, high, color=color, alpha=0.2, linewidth=0, label="confidence sequence")
        axis.plot(times, curve.estimate, color=color, linewidth=1.6, label=f"{arm} - {analysis.settings.arms[0]}")
        effect = next((effect for effect in analysis.effects if effect.arm == arm), None)
        if effect is not None:
            error = np.array([[effect.estimate - effect.interval[0]], [effect.interval[1] - effect.estimate]])
            axis.errorbar(times[-1:], [effect.estimate], yerr=error, color="black", capsize=3, linewidth=1.2,
                          label="interval for one look")  # fmt: skip
        axis.axhline(0, color="black", linewidth=0.8)
        known = np.flatnonzero(np.isfinite(curve.estimate))
        settled = known[len(known) // 10 :]
        span = max(float(np.abs(np.concatenate([low[settled], high[settled]])).max()), 1e-12)
        axis.set_ylim(-1.1 * span, 1.1 * span)
        axis.set_ylabel("difference of mean reward")
        axis.legend(frameon=False, fontsize=8, ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
        _finish(axis)
    return _save(figure, path)


def draw_shares(analysis: Analysis, path: Path) -> bool:
    """Draws the share of requests that each arm had over time.

    Args:
        analysis: The analysis.
        path: PNG file to write.

    Returns:
        Whether there was anything to draw.
    """
    ends, requests = _binned(analysis.series.ends, analysis.series.requests)
    total = requests.sum(axis=1)
    kept = total > 0
    if not kept.any():
        return False
    shares = requests[kept] / total[kept, None]
    figure = _figure(7.2, 2.6)
    axis = figure.subplots()
    colors = [_color(analysis, arm) for arm in analysis.settings.arms]
    axis.stackplot(_days(ends[kept]), shares.T, labels=analysis.settings.arms, colors=colors, alpha=0.75)
    axis.set_ylim(0, 1)
    axis.set_ylabel("share of requests")
    axis.legend(frameon=False, fontsize=8, ncols=4, loc="lower left", bbox_to_anchor=(0, 1))
    _finish(axis)
    return _save(figure, path)


def draw_rewards(analysis: Analysis, path: Path) -> bool:
    """Draws the mean reward of each arm over time, with 95 % intervals of each bin.

    Args:
        analysis: The analysis.
        path: PNG file to write.

    Returns:
        Whether there was anything to draw.
    """
    series = analysis.series
    ends, counts = _binned(series.ends, series.rewarded)
    _, sums = _binned(series.ends, series.rewards)
    _, squares = _binned(series.ends, series.squares)
    if not counts.any():
        return False
    figure = _figure(7.2, 2.8)
    axis = figure.subplots()
    times = _days(ends)
    for place, arm in enumerate(analysis.settings.arms):
        known = counts[:, place] > 1
        count = counts[known, place]
        mean = sums[known, place] / count
        error = 1.96 * np.sqrt(np.maximum(squares[known, place] / count - mean**2, 0) / count)
        axis.errorbar(times[known], mean + series.offset, yerr=error,
                      color=_color(analysis, arm), linewidth=1.2, elinewidth=0.8, marker=".", label=arm)  # fmt: skip
    axis.set_ylabel("mean reward")
    axis.legend(frameon=False, fontsize=8, ncols=4, loc="lower left", bbox_to_anchor=(0, 1))
    _finish(axis)
    return _save(figure, path)


def draw_canary(events: Sequence[Event], path: Path, *, title: str) -> bool:
    """Draws a canary: its share, the evidence against it, and its rewards.

    Args:
        events: What happened.
        path: PNG file to write.
        title: Above the picture.

    Returns:
        Whether there was anything to draw.
    """
    recorded = [(event.time, event.kind, event.facts) for event in events if event.time is not None]
    try:
        figure = canary_picture(recorded, title=title)
    except ValueError:  # no look yet
        return False
    return _save(figure, path)


def draw_differences(differences: dict[str, Any], path: Path) -> bool:
    """Draws histograms of the differences between a shadow's answers and those that were given.

    Args:
        differences: Sample of differences by column.
        path: PNG file to write.

    Returns:
        Whether there was anything to draw.
    """
    drawn = {name: np.asarray(values) for name, values in differences.items() if len(values)}
    if not drawn:
        return False
    figure = _figure(3.4 * min(len(drawn), 3) + 0.6, 2.6)
    for axis, (name, values) in zip(
        figure.subplots(1, min(len(drawn), 3), squeeze=False)[0], drawn.items(), strict=False
    ):
        low, high = np.quantile(values, [0.005, 0.995])
        inside = values[(values >= low) & (values <= high)]
        axis.hist(inside, bins=40, color="tab:blue", alpha=0.8)
        axis.axvline(0, color="black", linewidth=0.8)
        axis.set_xlabel(f"{name}: shadow - answer", fontsize=8)
        _finish(axis, is_time=False)
    return _save(figure, path)


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _finish(axis: Any, *, is_time: bool = True) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)
    if is_time:
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

        locator = AutoDateLocator(tz=UTC)
        axis.xaxis.set_major_locator(locator)
        axis.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=UTC))
        axis.set_xlabel("time (UTC)", fontsize=8)


def _save(figure: "Figure", path: Path) -> bool:
    figure.savefig(path, dpi=110)
    return True


def _days(seconds: Any) -> np.ndarray:
    """Times as Matplotlib counts them: days since 1970."""
    return np.asarray(seconds, np.float64) / 86_400


def _binned(ends: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums over neighbouring looks."""
    size = max(1, len(ends) // _BINS)
    starts = np.arange(0, len(ends), size)
    return ends[np.minimum(starts + size, len(ends)) - 1], np.add.reduceat(values, starts, axis=0)


def _color(analysis: Analysis, arm: str) -> str:
    return _COLORS[analysis.settings.arms.index(arm) % len(_COLORS)]
