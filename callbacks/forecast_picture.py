"""Forecast picture: forecasts of the test split beside the actual values, drawn after test."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from typing_extensions import override

from datamodules.forecasting import ForecastingDataModule
from models.forecasting.forecaster import Forecaster


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
        draw_forecasts(batch, forecast, data, path, max_channels=self.max_channels, quantiles=pl_module.quantiles)
        for logger in trainer.loggers:
            if hasattr(logger, "log_image"):
                logger.log_image(key="forecast", images=[str(path)])


def draw_forecasts(
    batch: dict[str, Tensor],
    forecast: Tensor,
    data: ForecastingDataModule,
    path: Path,
    *,
    max_channels: int,
    quantiles: tuple[float, ...] | None = None,
) -> None:
    """Writes a grid of forecasts: a row per channel, a column per window.

    Args:
        batch: Windows with `past` (B, L, C), `future` (B, H, C) and `origin` (B,).
        forecast: (B, H, C), or (B, H, C, Q) with quantiles.
        data: Names the channels, gives the timestamps, and knows which values were observed.
        path: The PNG to write.
        max_channels: Most rows.
        quantiles: Levels of the forecast, (Q,).
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure

    num_windows = len(forecast)
    origins = batch["origin"].cpu().numpy()
    raw = data.raw_units(forecast.numpy(), origins)
    past = data.raw_units(batch["past"][:, -1:].cpu().numpy(), origins)
    names = data.names_at(origins)
    channels = data.channels[-max_channels:]  # benchmarks put the variable of interest last
    figure = Figure(figsize=(4.6 * num_windows, 2.5 * len(channels) + 1.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(channels), num_windows, squeeze=False)
    shown_past = min(data.look_back, 3 * data.horizon)
    for column in range(num_windows):
        origin = int(batch["origin"][column])
        rows = slice(origin - shown_past, origin + data.horizon)
        times = np.concatenate([data.series.times[rows.start : origin], data.forecast_times(origin)])
        for row, channel in enumerate(channels):
            index = data.channels.index(channel)
            axis = axes[row, column]
            draw_truth(axis, times, data.series.values[rows, index], data.series.observed[rows, index], shown_past)
            # From the last value of the window on, so that no step is left blank between history and forecast.
            levels = raw[column, :, index] if raw.ndim == 4 else raw[column, :, index, None]
            last = np.full((1, levels.shape[-1]), past[column, -1, index])
            _draw_forecast(axis, times[shown_past - 1 :], np.concatenate([last, levels]), quantiles)
            axis.xaxis.set_major_formatter(ConciseDateFormatter(locator := AutoDateLocator(minticks=3, maxticks=7)))
            axis.xaxis.set_major_locator(locator)
            axis.spines[["top", "right"]].set_visible(False)
            axis.tick_params(labelsize=8)
            if column == 0:
                axis.set_ylabel(channel)
            if row == 0:
                title = f"test window {origin - data.boundaries[1] + 1:,}" if names is None else names[column]
                axis.set_title(title, fontsize=9)
    which = "the last " * (len(channels) < data.num_channels)
    figure.supxlabel(f"{which}{len(channels)} of {data.num_channels} channels, in raw units", fontsize=8, color="0.35")
    drawn = {
        label: handle for axis in axes.flat for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(drawn.values(), drawn.keys(), loc="outside upper right", ncols=len(drawn), frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)


def draw_truth(axis: Any, times: np.ndarray, values: np.ndarray, observed: np.ndarray, shown_past: int) -> None:
    """Observed values, history grey and future black; what was filled is dotted, and has a colour of its own."""
    known = np.where(observed, values, np.nan)
    axis.plot(times[:shown_past], known[:shown_past], color="0.45", linewidth=1, label="history")
    axis.plot(times[shown_past - 1 :], known[shown_past - 1 :], color="black", linewidth=1.2, label="actual")
    alone = observed & ~np.roll(observed, 1) & ~np.roll(observed, -1)  # a line needs two neighbours
    axis.plot(times[alone], values[alone], ".", color="0.3", markersize=3)
    if not observed.all():
        beside = ~observed | ~np.roll(observed, -1) | ~np.roll(observed, 1)
        filled = np.where(beside, values, np.nan)
        axis.plot(times, filled, color="tab:purple", linewidth=1, linestyle=":", label="missing, filled")
    axis.axvline(times[shown_past - 1], color="0.8", linewidth=0.8, zorder=0)


def _draw_forecast(axis: Any, times: np.ndarray, levels: np.ndarray, quantiles: tuple[float, ...] | None) -> None:
    """The forecast and its intervals, outer ones paler.

    Args:
        axis: What to draw on.
        times: (H + 1,).
        levels: (H + 1, Q).
        quantiles: The levels; None for one value per step.
    """
    color = "tab:orange"
    if quantiles is None:
        axis.plot(times, levels[:, 0], color=color, linewidth=1.5, label="forecast")
        return
    middle = quantiles.index(0.5)
    axis.plot(times, levels[:, middle], color=color, linewidth=1.5, label="median forecast")
    for low, high in zip(range(middle), reversed(range(middle + 1, len(quantiles))), strict=False):
        axis.fill_between(
            times, levels[:, low], levels[:, high], color=color, alpha=0.15 + 0.25 * low / middle, linewidth=0,
            label=f"quantiles {quantiles[low]:g} to {quantiles[high]:g}",
        )  # fmt: skip


@torch.no_grad()
def _forecast(trainer: Trainer, pl_module: Forecaster, batch: dict[str, Tensor]) -> Tensor:
    was_training = pl_module.training
    pl_module.eval()
    moved = {name: value.to(pl_module.device) for name, value in batch.items()}
    with trainer.precision_plugin.forward_context():
        forecast: Tensor = pl_module.predict_step(trainer.precision_plugin.convert_input(moved), 0)["forecast"]
    pl_module.train(was_training)
    return forecast.float().cpu()
