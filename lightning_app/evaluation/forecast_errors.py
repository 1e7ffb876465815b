"""ForecastErrors: test errors per channel in raw units, and coverage of the quantiles."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from typing_extensions import override

from datamodules import ForecastingDataModule
from models import Forecaster, StepOutput

_MOST_ROWS = 20


class ForecastErrors(Callback):
    """Writes `channels.csv` and `channels.md` to the run folder after a test of a `Forecaster`.

    The mean absolute error is also relative to that of repeating the last value one step ahead in the training rows
    (MASE; Hyndman & Koehler, 2006). Values that were missing in the data are ignored.
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}

    @override
    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._sums = {}

    @override
    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        step = outputs.get("step") if isinstance(outputs, dict) else None
        data = getattr(trainer, "datamodule", None)
        if not (isinstance(pl_module, Forecaster) and isinstance(data, ForecastingDataModule)):
            return
        if not isinstance(step, StepOutput) or step.network_output is None:
            return
        origins = batch["origin"].cpu().numpy()
        forecast = pl_module.to_raw_units(step.network_output.detach().float()).double().cpu()
        future = batch["future"].double().cpu()
        observed = torch.from_numpy(data.observed_horizons(origins))  # (B, H, C)
        error = (pl_module.point_forecast(forecast) - future) * observed
        groups = data.error_groups(origins)
        if groups is not None:
            error = error * torch.from_numpy(data.window_scales(origins))[:, None, None]
        batch_sums = {
            name: values.double().sum(dim=(0, 1)) if groups is None else _by_group(values, groups, data)
            for name, values in (("count", observed), ("absolute", error.abs()), ("squared", error.square()))
        }
        if pl_module.quantiles is not None:
            below = (future.unsqueeze(-1) <= forecast) & observed.unsqueeze(-1)
            batch_sums["below"] = below.double().sum(dim=(0, 1))  # (C, Q)
        for name, value in batch_sums.items():
            self._sums[name] = self._sums.get(name, torch.zeros_like(value)) + value

    @override
    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        folder = Path(trainer.default_root_dir)
        if trainer.is_global_zero:
            for name in ("channels.md", "channels.csv"):
                (folder / name).unlink(missing_ok=True)  # left by an earlier test
        gathered = [self._sums]
        if trainer.world_size > 1:
            gathered *= trainer.world_size
            torch.distributed.all_gather_object(gathered, self._sums)
        parts = [part for part in gathered if part]  # a process may have had no batch
        if not (isinstance(pl_module, Forecaster) and parts and trainer.is_global_zero):
            return
        sums = {name: torch.stack([part[name] for part in parts]).sum(dim=0) for name in parts[0]}
        data: ForecastingDataModule = trainer.datamodule  # type: ignore[attr-defined]
        table = channel_errors({name: value.numpy() for name, value in sums.items()}, data)
        page = _page(table)
        if pl_module.quantiles is not None:
            fraction = sums["below"].sum(dim=0) / sums["count"].sum().clamp_min(1)
            page += coverage_page(pl_module.quantiles, fraction.tolist())
        folder.mkdir(parents=True, exist_ok=True)
        table.write_csv(folder / "channels.csv")
        (folder / "channels.md").write_text("\n".join(page) + "\n")


def _by_group(values: Tensor, groups: np.ndarray, data: ForecastingDataModule) -> Tensor:
    """Sums by series, of values (B, H, 1)."""
    sums = torch.zeros(len(data.error_names), dtype=torch.double)
    return sums.index_add(0, torch.from_numpy(groups), values.double().sum(dim=(1, 2)))


def channel_errors(sums: dict[str, np.ndarray], data: ForecastingDataModule) -> pl.DataFrame:
    """A row per channel with `mae`, `rmse` and `mase`, in raw units.

    Args:
        sums: `count`, `absolute` and `squared` errors of each channel, (C,).
        data: Source of the channels and the training rows.
    """
    count = np.where(sums["count"] > 0, sums["count"], np.nan)  # a series without a test window has no error
    naive = data.naive_errors
    absolute = sums["absolute"] / count
    return pl.DataFrame(
        {
            "channel": list(data.error_names),
            "values": sums["count"].astype(np.int64),
            "mae": absolute,
            "rmse": np.sqrt(sums["squared"] / count),
            "mase": np.divide(absolute, naive, out=np.full_like(absolute, np.nan), where=naive > 0),
        }
    )


def _page(table: pl.DataFrame) -> list[str]:
    lines = [
        "# Errors by channel, in raw units",
        "",
        "| channel | values | mean absolute error | root mean squared error | MASE |",
        "|---|---:|---:|---:|---:|",
    ]
    for row in table.head(_MOST_ROWS).iter_rows(named=True):
        mase = "-" if np.isnan(row["mase"]) else f"{row['mase']:.4g}"
        channel = row["channel"].replace("|", "\\|")
        lines.append(f"| {channel} | {row['values']:,} | {row['mae']:.5g} | {row['rmse']:.5g} | {mase} |")
    lines.append("")
    if len(table) > _MOST_ROWS:
        lines += [f"The first {_MOST_ROWS} of {len(table)} channels; all are in [channels.csv](channels.csv).", ""]
    what = "the mean absolute error over that of repeating the last value one step ahead in the training rows"
    return [*lines, f"MASE is {what}; errors further ahead than one step make it larger than 1 easily.", ""]


def coverage_page(levels: tuple[float, ...], below: list[float]) -> list[str]:
    """Empirical coverage of each level and of each central interval.

    Args:
        levels: Ascending (Q,).
        below: Fraction of values at or below each quantile (Q,).
    """
    lines = ["# Coverage of the quantiles", "", "| level | values at or below it |", "|---:|---:|"]
    lines += [f"| {level:g} | {share:.1%} |" for level, share in zip(levels, below, strict=True)]
    pairs = [
        (low, high)
        for low, high in zip(range(len(levels)), reversed(range(len(levels))), strict=True)
        if low < high and abs(levels[low] + levels[high] - 1) < 1e-6
    ]
    if pairs:
        lines += ["", "| interval | should hold | holds |", "|---|---:|---:|"]
    for low, high in pairs:
        nominal, empirical = levels[high] - levels[low], below[high] - below[low]
        lines.append(f"| {levels[low]:g} to {levels[high]:g} | {nominal:.1%} | {empirical:.1%} |")
    return [*lines, ""]
