"""Fan chart of forecast trajectories."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lightning_app.evaluation.trajectories.levels import level_positions
from lightning_app.evaluation.trajectories.paths import random_walk_correlation, sample_paths
from lightning_app.evaluation.trajectories.rolling_forecasts import RollingForecasts


def draw_fan_chart(
    model: RollingForecasts, baseline: RollingForecasts, *, names: Sequence[str], path: Path, max_series: int = 3
) -> None:
    """Draws the first, middle and last origin: intervals, median, sampled paths, the baseline and the observations.

    Args:
        model: Forecasts with levels .025, .1, .9 and .975.
        baseline: Forecasts of the same origins; the 80 % interval is outlined.
        names: Names of the series.
        path: Output PNG.
        max_series: Maximum number of rows.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = sorted({0, len(model.origins) // 2, len(model.origins) - 1})
    count = min(max_series, len(names))
    figure = Figure(figsize=(4.6 * len(shown), 2.7 * count + 1.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(count, len(shown), squeeze=False)
    steps = np.arange(1, model.horizon + 1)
    lowest, low, middle, high, highest = level_positions(model.levels, [0.025, 0.1, 0.5, 0.9, 0.975])
    correlation = random_walk_correlation(model.horizon)
    for column, origin in enumerate(shown):
        for row in range(count):
            axis, forecast = axes[row, column], model.forecasts[origin, row]
            axis.fill_between(
                steps, forecast[:, lowest], forecast[:, highest], color="tab:orange", alpha=0.15, linewidth=0,
                label="95 % (0.025 to 0.975) and 80 % (0.1 to 0.9) of each step",
            )  # fmt: skip
            axis.fill_between(steps, forecast[:, low], forecast[:, high], color="tab:orange", alpha=0.25, linewidth=0)
            paths = sample_paths(
                forecast, levels=model.levels, correlation=correlation, num_paths=4, seed=9 * origin + row
            )
            axis.plot(steps, paths[0], color="tab:orange", linewidth=0.6, alpha=0.8, label="sampled paths")
            axis.plot(steps, paths[1:].T, color="tab:orange", linewidth=0.6, alpha=0.8)
            axis.plot(steps, forecast[:, middle], color="tab:red", linewidth=1.5, label="median")
            base = baseline.forecasts[origin, row]
            axis.plot(
                steps, base[:, [low, high]], color="0.4", linestyle="--", linewidth=0.9,
                label=[f"80 %, {baseline.name}", None],
            )  # fmt: skip
            axis.plot(steps, model.actuals[origin, row], color="black", linewidth=1.3, label="what came")
            axis.spines[["top", "right"]].set_visible(False)
            axis.tick_params(labelsize=8)
            if column == 0:
                axis.set_ylabel(names[row])
            if row == 0:
                axis.set_title(f"origin {origin + 1} of {len(model.origins)}", fontsize=9)
            if row == count - 1:
                axis.set_xlabel("step")
            axis.xaxis.get_major_locator().set_params(integer=True)
    which = "the first " * (count < len(names))
    figure.supxlabel(f"{which}{count} of {len(names)} series", fontsize=8, color="0.35")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=5, frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)
