"""TrajectoryReport: skill of a tested trajectory model against the classical forecast, intervals, and a picture."""

from pathlib import Path

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from typing_extensions import override

from datamodules.streams.panel import PanelDataModule
from lightning_app.evaluation.trajectories.fan_chart import draw_fan_chart
from lightning_app.evaluation.trajectories.levels import LEVELS
from lightning_app.evaluation.trajectories.rolling_forecasts import RollingForecasts
from models.recurrent import TrajectoryForecaster

_SCALE_WINDOW = 252


class TrajectoryReport(Callback):
    """Writes `trajectories.md` and `forecast.png` to the run folder after a test of a `TrajectoryForecaster`.

    The page compares the model with its classical forecast at the same origins, with bootstrap intervals.
    """

    @override
    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        data = getattr(trainer, "datamodule", None)
        if not (isinstance(pl_module, TrajectoryForecaster) and isinstance(data, PanelDataModule)):
            return
        page = Path(trainer.default_root_dir) / "trajectories.md"
        if trainer.is_global_zero:
            page.unlink(missing_ok=True)  # left by an earlier test
        if trainer.world_size > 1 or trainer.limit_test_batches != 1.0:
            return  # the page needs all origins in one process
        missing = sorted(set(LEVELS) - set(pl_module.quantiles))
        if missing:
            page.write_text(f"# Trajectories\n\nNot compared: model.quantiles lacks {missing}.\n")
            return
        columns = [index for index, origins in enumerate(data.origins("test").T) if (origins >= 0).any()]
        forecasts = test_forecasts(pl_module, data, columns)
        if forecasts is None:
            page.write_text("# Trajectories\n\nNot compared: on no day all tickers of the test part have an origin.\n")
            return
        model, classical = forecasts
        page.write_text(model.summary(classical).to_markdown())
        names = [data.tickers[index].name for index in columns]
        draw_fan_chart(model, classical, names=names, path=page.with_name("forecast.png"))


@torch.no_grad()
def test_forecasts(
    model: TrajectoryForecaster, data: PanelDataModule, columns: list[int]
) -> tuple[RollingForecasts, RollingForecasts] | None:
    """Forecasts of the whole test split by the model and by its classical base.

    Args:
        model: A fitted model.
        data: Set up for test.
        columns: Indices of the tickers to compare.

    Returns:
        Both at the days on which all these tickers have an origin; None if there is no such day.
    """
    model.eval()
    collected: dict[str, list[Tensor]] = {"row": [], "forecast": [], "classical": []}
    for index, batch in enumerate(data.test_dataloader()):
        moved = {name: value.to(model.device) for name, value in batch.items()}
        outputs = model.predict_step(moved, index)
        for name, parts in collected.items():
            parts.append(outputs[name].cpu())
    index_of_row = {int(row): index for index, row in enumerate(torch.cat(collected["row"]))}
    origins = data.origins("test")[:, columns]
    kept = origins[(origins >= 0).all(axis=1)]
    rows = kept + data.offsets[:-1][columns]  # (N, C)
    rows = rows[[all(int(row) in index_of_row for row in line) for line in rows]]  # drops the tickers' warm-up
    if not len(rows):
        return None
    at = np.array([[index_of_row[int(row)] for row in line] for line in rows])
    values = np.concatenate([ticker.values for ticker in data.tickers])
    train_end = int((data.calendar <= data.boundaries[0]).sum())
    left_out = len(origins) - len(rows)
    absent = [ticker.name for index, ticker in enumerate(data.tickers) if index not in columns]
    remarks = [f"{left_out} days on which some ticker had no origin are left out"] * bool(left_out)
    remarks += [f"without an origin in the test part: {', '.join(absent)}"] * bool(absent)
    shared = {
        "origins": np.searchsorted(
            data.calendar, data.tickers[columns[0]].times[rows[:, 0] - data.offsets[columns[0]]]
        ),
        "actuals": values[rows[..., None] + np.arange(1, data.horizon + 1)],
        "scale": np.array([[_scale(values, row, data.offsets) for row in line] for line in rows]),
        "levels": model.quantiles,
        "fit_ends": np.full(len(rows), train_end),
        "stride": data.test_stride,
        "embargo": int((data.calendar <= data.boundaries[1]).sum()) - train_end,
        "refit_every": None,
        "remarks": tuple(remarks),
    }
    forecasts, classical = (torch.cat(collected[name]).double().numpy()[at] for name in ("forecast", "classical"))
    return (
        RollingForecasts(name="model", forecasts=forecasts, **shared),  # type: ignore[arg-type]
        RollingForecasts(name="classical", forecasts=classical, **shared | {"remarks": ()}),  # type: ignore[arg-type]
    )


def _scale(values: np.ndarray, row: int, offsets: np.ndarray) -> float:
    start = offsets[np.searchsorted(offsets, row, side="right") - 1]
    return float(np.abs(np.diff(values[max(start, row - _SCALE_WINDOW) : row + 1])).mean())
