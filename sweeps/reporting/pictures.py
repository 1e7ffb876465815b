"""Pictures of a study, as PNG files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from sweeps.reporting.axes import axis_limits, axis_name, axis_positions, clip, mark_axis, new_figure, save
from sweeps.reporting.importance import Branch
from sweeps.reporting.ranking import best_so_far, counted, in_order_of_end
from sweeps.space.names import short_names
from sweeps.space.search_space import SearchSpace

_MAX_CURVES = 200


def draw_history(trials: Sequence[FrozenTrial], *, metric: str, direction: str, path: Path) -> Path:
    """The value of each trial in the order of their ends, and the best so far.

    Args:
        trials: Of the study.
        metric: Name of its metric.
        direction: `minimize` or `maximize`.
        path: The PNG to write.
    """
    ended = in_order_of_end(trials)
    values = [trial.value if trial.value is not None else np.nan for trial in ended]
    limits = axis_limits([value for value in values if value is not None], direction)
    figure = new_figure(8, 4)
    axis = figure.subplots()
    shown, beyond = clip(values, limits)
    order = np.arange(1, len(ended) + 1)
    states = [trial.state for trial in ended]
    chosen = {trial.number for trial in counted(trials)}
    for name, color, marker, member in (
        ("complete", "tab:blue", "o", [trial.number in chosen for trial in ended]),
        ("pruned, at its last value", "tab:orange", "x", [state == TrialState.PRUNED for state in states]),
        (
            "breaks a bound", "tab:red", "s",
            [
                state == TrialState.COMPLETE and trial.number not in chosen
                for trial, state in zip(ended, states, strict=True)
            ],
        ),
    ):  # fmt: skip
        inside = np.array(member, dtype=bool) & ~beyond & np.isfinite(shown)
        if inside.any():
            axis.scatter(order[inside], shown[inside], s=22, c=color, marker=marker, label=name, zorder=3)
    beyond &= np.isfinite(shown)
    if beyond.any():
        axis.scatter(order[beyond], shown[beyond], s=22, c="0.6", marker="_", label="beyond the axis")
    axis.step(order, best_so_far(ended, direction), where="post", color="tab:green", label="best so far")
    axis.set_ylim(*limits)
    axis.set_xlabel("trials in the order of their ends")
    axis.set_ylabel(metric)
    axis.legend(fontsize=8, framealpha=0.7)
    return save(figure, path)


def draw_slices(
    trials: Sequence[FrozenTrial], space: SearchSpace, *, metric: str, direction: str, position: int, path: Path
) -> Path:
    """The metric over each parameter; the darker a point, the later its trial; the best one is a red star.

    Args:
        trials: Of the study.
        space: What varies.
        metric: Name of the metric.
        direction: `minimize` or `maximize`.
        position: Of the metric among the trials' values.
        path: The PNG to write.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    complete = counted(trials)
    metric_of = [(trial.values or [np.nan])[position] for trial in complete]
    limits = axis_limits(metric_of, direction)
    best = (
        complete[int(np.argmax(metric_of) if direction == "maximize" else np.argmin(metric_of))] if complete else None
    )
    scale = Normalize(-0.4 * max(1, len(trials)), len(trials))
    names = short_names(parameter.key for parameter in space.parameters)
    columns = min(4, len(space.parameters))
    rows = -(-len(space.parameters) // columns)
    figure = new_figure(3.1 * columns + 0.6, 2.6 * rows)
    grid = np.atleast_1d(figure.subplots(rows, columns, sharey=True, squeeze=False)).ravel()
    for axis, parameter in zip(grid, space.parameters, strict=False):
        having = [trial for trial in complete if parameter.key in trial.params]
        at = axis_positions(parameter, [trial.params[parameter.key] for trial in having])
        values, beyond = clip([(trial.values or [np.nan])[position] for trial in having], limits)
        numbers = np.array([trial.number for trial in having])
        if parameter.choices:
            at = at + 0.25 * (np.random.default_rng(0).random(len(at)) - 0.5)  # points of one choice lie side by side
        mark_axis(axis, parameter)
        axis.scatter(
            at[~beyond], values[~beyond], s=18, edgecolors="0.4", linewidths=0.3, c=numbers[~beyond], cmap="Blues",
            norm=scale,
        )  # fmt: skip
        axis.scatter(at[beyond], values[beyond], s=24, c="0.6", marker="_")
        if best in having:
            place = having.index(best)
            axis.scatter(at[place], values[place], s=110, c="tab:red", marker="*", zorder=4)
        axis.set_xlabel(axis_name(parameter, names), fontsize=9)
        axis.set_ylim(*limits)
    for axis in grid[len(space.parameters) :]:
        axis.axis("off")
    for axis in grid[::columns]:
        axis.set_ylabel(metric, fontsize=9)
    bar = figure.colorbar(ScalarMappable(scale, "Blues"), ax=grid.tolist(), label="trial", pad=0.01, aspect=40)
    bar.ax.set_ylim(0, max(1, len(trials)))
    return save(figure, path)


def draw_importances(branches: Sequence[Branch], space: SearchSpace, *, path: Path) -> Path:
    """Importances, a panel per branch.

    Args:
        branches: At least one.
        space: What varies.
        path: The PNG to write.
    """
    names = short_names(parameter.key for parameter in space.parameters)
    heights = [len(branch.shares) + 1.6 for branch in branches]
    figure = new_figure(7, 0.3 * sum(heights) + 0.4)
    axes = figure.subplots(len(branches), 1, squeeze=False, sharex=True, gridspec_kw={"height_ratios": heights})[:, 0]
    for axis, branch in zip(axes, branches, strict=True):
        shares = list(branch.shares.values())[::-1]
        bars = axis.barh([names[key] for key in list(branch.shares)[::-1]], shares, color="tab:blue")
        axis.bar_label(bars, fmt="%.2f", fontsize=8, padding=3)
        axis.set_title(f"{branch.title(names)} ({branch.num_trials} trials)", fontsize=9, loc="left")
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(x=0.12)
    axes[-1].set_xlabel("share of importance", fontsize=9)
    return save(figure, path)


def draw_pareto(
    trials: Sequence[FrozenTrial], front: Sequence[FrozenTrial], *, metrics: Mapping[str, str], path: Path
) -> Path:
    """Complete trials and the Pareto front, a panel per pair of metrics.

    Args:
        trials: Of the study.
        front: Those that no other trial beats in every metric.
        metrics: Name and direction of each metric, at least two.
        path: The PNG to write.
    """
    names, best = list(metrics), {trial.number for trial in front}
    pairs = [(first, second) for second in range(len(names)) for first in range(second)]
    figure = new_figure(5.2 * min(3, len(pairs)), 4.4 * -(-len(pairs) // 3))
    grid = np.atleast_1d(figure.subplots(-(-len(pairs) // 3), min(3, len(pairs)), squeeze=False)).ravel()
    complete = counted(trials)
    others = np.array([trial.values for trial in complete if trial.number not in best]).reshape(-1, len(names))
    chosen = np.array([trial.values for trial in front]).reshape(-1, len(names))
    for axis, (first, second) in zip(grid, pairs, strict=False):
        axis.scatter(others[:, first], others[:, second], s=20, c="0.7", label="other trials")
        if len(names) == 2:
            line = chosen[np.argsort(chosen[:, first])]
            step = "pre" if metrics[names[0]] == "maximize" else "post"
            axis.step(line[:, first], line[:, second], where=step, color="tab:red", linewidth=1)
        axis.scatter(chosen[:, first], chosen[:, second], s=30, c="tab:red", label="Pareto front", zorder=3)
        if len(front) <= 12:
            for trial, point in zip(front, chosen, strict=True):
                axis.annotate(str(trial.number), point[[first, second]], (4, 4), textcoords="offset points", fontsize=8)
        for index, place in ((first, axis.set_xlabel), (second, axis.set_ylabel)):
            place(f"{names[index]} ({metrics[names[index]]})")
    for axis in grid[len(pairs) :]:
        axis.axis("off")
    grid[0].legend(fontsize=8, framealpha=0.7)
    return save(figure, path)


def draw_curves(trials: Sequence[FrozenTrial], *, metric: str, direction: str, path: Path) -> Path:
    """The metric by validation of each trial: where trials were pruned, and the best one's way.

    Args:
        trials: Of a study of one metric; the last 200 and the best one are drawn.
        metric: Its name.
        direction: `minimize` or `maximize`.
        path: The PNG to write.
    """
    good = counted(trials)
    choose = max if direction == "maximize" else min
    best = choose(good, key=lambda trial: trial.value or 0.0).number if good else None
    having = [trial for trial in trials if trial.intermediate_values]
    having = [trial for trial in having[:-_MAX_CURVES] if trial.number == best] + having[-_MAX_CURVES:]
    limits = axis_limits([value for trial in having for value in trial.intermediate_values.values()], direction)
    figure = new_figure(8, 4)
    axis = figure.subplots()
    shown: set[str] = set()
    for trial in having:
        pruned, is_best = trial.state == TrialState.PRUNED, trial.number == best
        name = "best" if is_best else "pruned" if pruned else "other trials"
        color = "tab:green" if is_best else "tab:orange" if pruned else "0.6"
        steps = sorted(trial.intermediate_values)
        values = [trial.intermediate_values[step] for step in steps]
        axis.plot(
            steps, values, color=color, linewidth=2 if is_best else 0.8, alpha=1 if is_best else 0.6,
            zorder=3 if is_best else 2, label=None if name in shown else name,
        )  # fmt: skip
        if pruned or len(steps) == 1:
            axis.plot(steps[-1], values[-1], "x" if pruned else ".", color=color, markersize=5)
        shown.add(name)
    axis.set_ylim(*limits)
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.set_xlabel("validation")
    axis.set_ylabel(metric)
    if shown:
        axis.legend(fontsize=8, framealpha=0.7)
    return save(figure, path)
