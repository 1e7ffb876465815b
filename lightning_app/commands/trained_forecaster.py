"""Trained forecaster: adapter that lets walk-forward evaluation refit the model of a config on every fold."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor

from datamodules import ForecastingDataModule, LongForecastingDataModule, PanelDataModule
from lightning_app.cli import run
from lightning_app.cli.data_section import read_data
from lightning_app.errors import UsageError
from lightning_app.evaluation.trajectories.levels import LEVELS, level_positions
from lightning_app.evaluation.trajectories.units import Units
from models import BaseModule, Forecaster, TrajectoryForecaster


class TrainedForecaster:
    """Fits a config's model on the rows of each fold; the last part of the fold is used for validation.

    It supports a `TrajectoryForecaster` on a panel, and any `Forecaster` with quantiles on a table of series. Each fit
    is a run with its own folder; only the walk-forward evaluation tests it.

    Args:
        config: Config file.
        data: Data module of the config, see `read_series`.
        options: Further options of each fit.
        root: Folder of all runs.
        folder: Folder for the rows of each fold, so that the runs can be tested and resumed later.
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
        """Values of all rows that the data section reads, (T, C); of a panel, the days that all tickers share."""
        return self.data.table()[1] if isinstance(self.data, PanelDataModule) else self.data.series.values

    @property
    def names(self) -> list[str]:
        """Names of the C series."""
        if isinstance(self.data, PanelDataModule):
            return [ticker.name for ticker in self.data.tickers]
        return list(self.data.channels)

    @property
    def horizon(self) -> int:
        """Forecast horizon H in steps."""
        return self.data.horizon

    @property
    def levels(self) -> tuple[float, ...]:
        """Quantile levels (Q,); empty before the first fit."""
        return tuple(getattr(self._model, "quantiles", None) or ())

    @property
    def units(self) -> Units:
        """Units of a step, for the classical baselines."""
        return "log_return" if isinstance(self.data, PanelDataModule) and self.data.positive else "level"

    def fit(self, values: np.ndarray) -> None:
        """Fits the model from scratch.

        Args:
            values: Rows of the fold, (T, C).

        Raises:
            UsageError: The model forecasts no quantiles, or not the levels that the evaluation needs.
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
        # A fold has no test part; training and validation keep their ratio of the rows before the config's test split.
        split = f"--data.split=[{train / val}, 1.0, 1.0]"
        finished = run(["fit", "-c", self.config, *self.options, *source, split, "--run.root", self.root])
        self.folders.append(str(finished.folder.path))
        best = torch.load(finished.folder.checkpoints / "best.ckpt", weights_only=True)
        finished.model.load_state_dict(best["state_dict"])
        self._model = finished.model.cpu().eval()
        if not self.levels:
            raise UsageError(f"config: walk-forward needs quantiles, {type(self._model).__name__} forecasts none")
        level_positions(self.levels, LEVELS)  # the evaluation needs all levels: fail before further folds are fitted

    @torch.no_grad()
    def forecast(self, values: np.ndarray) -> np.ndarray:
        """Forecasts the steps after the last row.

        Args:
            values: Observed rows, (T, C), in the units of the data.

        Returns:
            Sorted quantiles (C, H, Q), in the units of the data.
        """
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
    """Reads the data module of a config, see `read_data`, for walk-forward evaluation.

    Raises:
        ValueError: The config has no data section, or its data module is neither a panel nor a table of series without
            covariates.
    """
    data = read_data(config, options)
    if not isinstance(data, PanelDataModule | ForecastingDataModule):
        raise UsageError(f"config: walk-forward needs a panel or a table of series, not {type(data).__name__}")
    if isinstance(data, LongForecastingDataModule):
        raise UsageError("config: walk-forward serves wide tables of series; pivot the long one")
    if isinstance(data, ForecastingDataModule) and (data.num_past_covariates or data.num_future_covariates):
        raise UsageError("config: walk-forward serves series without covariates; take them out of the data section")
    return data
