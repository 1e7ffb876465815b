"""A picture of real forecasts, made after test."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from typing_extensions import override

from datamodules.forecasting import ForecastingDataModule
from models.forecaster import Forecaster


class ForecastPicture(Callback):
    """Draws forecasts from the first, middle and last origin of the test split, in raw units, as a PNG.

    The picture is `forecast.png` in the trainer's default_root_dir; loggers that take images get it too.

    Args:
        max_channels: Channels drawn, one row each.
    """

    def __init__(self, *, max_channels: int = 3) -> None:
        self.max_channels = max_channels

    @override
    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        data = getattr(trainer, "datamodule", None)
        if not (isinstance(pl_module, Forecaster) and isinstance(data, ForecastingDataModule)):
            return
        windows = data.dataset("test")
        batch = windows.__getitems__(np.array([0, len(windows) // 2, len(windows) - 1]))
        forecast = _forecast(trainer, pl_module, batch)  # on every process: with sharded weights they need each other
        if not trainer.is_global_zero:
            return
        path = Path(trainer.default_root_dir) / "forecast.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_forecasts(batch, forecast, data, path, max_channels=self.max_channels)
        for logger in trainer.loggers:
            if hasattr(logger, "log_image"):
                logger.log_image(key="forecast", images=[str(path)])


def draw_forecasts(
    batch: dict[str, Tensor], forecast: Tensor, data: ForecastingDataModule, path: Path, *, max_channels: int
) -> None:
    """Writes a grid of forecasts: a row per channel, a column per window.

    Args:
        batch: Windows with `past` (B, L, C), `future` (B, H, C) and `origin` (B,).
        forecast: (B, H, C), or (B, H, C, Q) whose outer quantiles are shaded.
        data: Names the channels and gives the timestamps.
        path: The PNG to write.
        max_channels: Most rows.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure

    num_windows = len(forecast)
    channels = data.channels[-max_channels:]  # benchmarks put the variable of interest last
    figure = Figure(figsize=(4.6 * num_windows, 2.5 * len(channels) + 0.7), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(channels), num_windows, squeeze=False)
    shown_past = min(data.look_back, 3 * data.horizon)
    for column in range(num_windows):
        origin = int(batch["origin"][column])
        past_times = data.series.times[origin - shown_past : origin]
        future_times = data.forecast_times(origin)
        for row, channel in enumerate(channels):
            index = data.channels.index(channel)
            axis = axes[row, column]
            axis.plot(past_times, batch["past"][column, -shown_past:, index], color="0.45", linewidth=1)
            axis.plot(future_times, batch["future"][column, :, index], color="black", linewidth=1.2, label="actual")
            _draw_one(axis, future_times, forecast[column, :, index])
            axis.xaxis.set_major_formatter(ConciseDateFormatter(locator := AutoDateLocator(minticks=3, maxticks=7)))
            axis.xaxis.set_major_locator(locator)
            axis.spines[["top", "right"]].set_visible(False)
            axis.tick_params(labelsize=8)
            if column == 0:
                axis.set_ylabel(channel)
            if row == 0:
                axis.set_title(f"test window {origin - data.boundaries[1] + 1:,}", fontsize=9)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper right", ncols=3, frameon=False)
    figure.savefig(path, dpi=110)


def _draw_one(axis: Any, times: np.ndarray, forecast: Tensor) -> None:
    color = "tab:orange"
    if forecast.ndim == 1:
        axis.plot(times, forecast, color=color, linewidth=1.5, label="forecast")
        return
    middle = forecast.shape[-1] // 2
    axis.plot(times, forecast[:, middle], color=color, linewidth=1.5, label="median forecast")
    axis.fill_between(
        times, forecast[:, 0], forecast[:, -1], color=color, alpha=0.2, linewidth=0, label="outer quantiles"
    )


@torch.no_grad()
def _forecast(trainer: Trainer, pl_module: Forecaster, batch: dict[str, Tensor]) -> Tensor:
    was_training = pl_module.training
    pl_module.eval()
    moved = {name: value.to(pl_module.device) for name, value in batch.items()}
    with trainer.precision_plugin.forward_context():
        forecast: Tensor = pl_module.predict_step(trainer.precision_plugin.convert_input(moved), 0)["forecast"]
    pl_module.train(was_training)
    return forecast.float().cpu()
