"""Training curve: picture of the losses and of the monitored metric by step."""

from pathlib import Path
from typing import Any, Literal

from lightning_app.runs.history import read_history

_LOSSES = {"train/loss": "0.6", "val/loss": "tab:blue"}


def draw_training_curve(history: Path, path: Path, *, monitor: str | None, mode: Literal["min", "max"] = "min") -> bool:
    """Draws the curves of a `metrics.csv`.

    Args:
        history: `metrics.csv` of the run.
        path: PNG file to write.
        monitor: Metric that selects the checkpoint; gets a panel of its own unless it is a loss.
        mode: Whether a low or a high value of it is better.

    Returns:
        Whether there was anything to draw.
    """
    rows = read_history(history)
    curves = {
        name: [(int(row["step"]), float(row[name])) for row in rows if row.get(name)]
        for name in ("train/loss", "val/loss", *([monitor] if monitor not in (None, "val/loss") else []))
    }
    curves = {name: points for name, points in curves.items() if points}
    if not any(len(points) > 1 for points in curves.values()):
        return False
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [[name for name in curves if name in _LOSSES], [name for name in curves if name not in _LOSSES]]
    panels = [names for names in panels if names]
    figure = Figure(figsize=(4.8 * len(panels) + 1.2, 3.0), layout="constrained")
    FigureCanvasAgg(figure)
    chosen = monitor or "val/loss"
    for axis, names in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for name in names:
            _draw_curve(axis, name, curves[name], best=mode if name == chosen else None)
        heights = [value for name in names for _, value in curves[name]]
        if min(heights) > 0 and max(heights) > 50 * min(heights):
            axis.set_yscale("log")
        axis.set_xlabel("step")
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8)
        axis.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)
    return True


def _draw_curve(axis: Any, name: str, points: list[tuple[int, float]], *, best: str | None) -> None:
    steps, values = zip(*points, strict=True)
    often = name == "train/loss"
    axis.plot(
        steps, values, color=_LOSSES.get(name, "tab:orange"), linewidth=1 if often else 1.6,
        marker="." if not often and len(points) < 60 else "", label=name,
    )  # fmt: skip
    if best is not None:
        step, value = (max if best == "max" else min)(points, key=lambda point: point[1])
        what = "highest" if best == "max" else "lowest"
        axis.plot(step, value, "o", color="tab:red", markersize=5, label=f"{what}: {value:.4g} at step {step}")
