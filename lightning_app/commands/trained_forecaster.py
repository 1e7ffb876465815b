"""A config as something that walk-forward evaluation can fit again and again."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor

from datamodules import ForecastingDataModule, PanelDataModule
from lightning_app.cli import run
from lightning_app.cli.data_section import read_data
from lightning_app.errors import UsageError
from lightning_app.evaluation.trajectories.levels import LEVELS, level_positions
from lightning_app.evaluation.trajectories.units import Units
from models import BaseModule, Forecaster, TrajectoryForecaster


class TrainedForecaster:
    """Trains a config's model on the rows of each fold, with the config's share of them for validation.

    It serves a `TrajectoryForecaster` on a panel, and any `Forecaster` with quantiles on a table of series. Each
    fit is a run of its own, with its folder, and is tested by nobody but the walk.

    Args:
        config: The config file.
        data: Its data module, see `read_series`.
        options: Further options of each fit.
        root: Folder of the runs.
        folder: Folder that keeps the rows of each fold, so that its runs can be tested and resumed.
    """

    def __init__(
        self,
        config: str,
        data: PanelDataModule | ForecastingDataModule,
        *,
        options: Sequence[str],
        root: str,
        folder: Path,
    ) -> None:
        self.config = config
        self.options = list(options)
        self.root = root
        self.folder = folder
        self.data = data
        self.folders: list[str] = []
        self._model: BaseModule | None = None

    @property
    def values(self) -> np.ndarray:
        """The whole table (T, C) that the config's data section reads; of a panel, the days that all tickers share."""
        return self.data.table()[1] if isinstance(self.data, PanelDataModule) else self.data.series.values

    @property
    def names(self) -> list[str]:
        """Of the series."""
        if isinstance(self.data, PanelDataModule):
            return [ticker.name for ticker in self.data.tickers]
        return list(self.data.channels)

    @property
    def horizon(self) -> int:
        """Steps H."""
        return self.data.horizon

    @property
    def levels(self) -> tuple[float, ...]:
        """Quantile levels (Q,); known after the first fit."""
        return tuple(getattr(self._model, "quantiles", None) or ())

    @property
    def units(self) -> Units:
        """What a step is, for the classical forecasts beside it."""
        return "log_return" if isinstance(self.data, PanelDataModule) and self.data.positive else "level"

    def fit(self, values: np.ndarray) -> None:
        """Trains anew.

        Args:
            values: (T, C), the rows of the fold.
        """
        days = self.data.table()[0] if isinstance(self.data, PanelDataModule) else self.data.series.times
        wide = pl.DataFrame({"time": days[: len(values)], **dict(zip(self.names, values.T, strict=True))})
        path = (self.folder / f"fold_{len(self.folders)}.parquet").resolve()
        if isinstance(self.data, PanelDataModule):
            wide.unpivot(index="time", variable_name="ticker", value_name="value").write_parquet(path)
            train, val = self.data.split[:2]
            source = [
                "--data.panel=PanelFile", f"--data.panel.path={path}", "--data.panel.value_column=value",
                "--data.panel.time_column=time", "--data.panel.ticker_column=ticker",
            ]  # fmt: skip
        else:
            wide.write_parquet(path)
            train, val = (end / len(self.data.series) for end in self.data.boundaries[:2])
            source = ["--data.series=TableFile", f"--data.series.path={path}", "--data.series.time_column=time"]
        # The fold has no test part: training and validation share it as they shared what came before the test.
        split = f"--data.split=[{train / val}, 1.0, 1.0]"
        finished = run(["fit", "-c", self.config, *self.options, *source, split, "--run.root", self.root])
        self.folders.append(str(finished.folder.path))
        best = torch.load(finished.folder.checkpoints / "best.ckpt", weights_only=True)
        finished.model.load_state_dict(best["state_dict"])
        self._model = finished.model.cpu().eval()
        if not self.levels:
            raise UsageError(f"config: walk-forward needs quantiles, {type(self._model).__name__} forecasts none")
        level_positions(self.levels, LEVELS)  # an evaluation needs them all: say so before the other folds are fitted

    @torch.no_grad()
    def forecast(self, values: np.ndarray) -> np.ndarray:
        """Quantiles (C, H, Q) of the rows that follow (T, C), in raw units."""
        history = torch.from_numpy(values).float()
        model = self._model
        if isinstance(model, TrajectoryForecaster):
            assert isinstance(self.data, PanelDataModule)
            quantiles: Tensor = model(history[-self.data.context - 1 :].T)
        else:
            assert isinstance(model, Forecaster)
            quantiles = model(history[None, -model.look_back :])[0].transpose(0, 1)
        return quantiles.double().sort(dim=-1).values.numpy()


def read_series(config: str, options: Sequence[str]) -> PanelDataModule | ForecastingDataModule:
    """The data module of a config file, see `read_data`, if a walk can use it.

    Raises:
        ValueError: The config has no data section, or another data module than a walk can use.
    """
    data = read_data(config, options)
    if not isinstance(data, PanelDataModule | ForecastingDataModule):
        raise UsageError(f"config: walk-forward needs a panel or a table of series, not {type(data).__name__}")
    if isinstance(data, ForecastingDataModule) and (data.num_past_covariates or data.num_future_covariates):
        raise UsageError("config: walk-forward serves series without covariates; take them out of the data section")
    return data
