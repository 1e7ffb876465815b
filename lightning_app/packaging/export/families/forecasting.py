"""Exporter of forecasters: from a window in raw units to a horizon in raw units."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from datamodules import ForecastingDataModule
from lightning_app.errors import UsageError
from lightning_app.packaging.export.batches import Arrays, TestBatch, as_arrays
from lightning_app.packaging.export.exporter import Exporter
from lightning_app.packaging.format.manifest import TensorSpec
from models import EnsembleForecaster, Forecaster
from models.base import Batch
from models.forecasting.forecaster import COVARIATES

_MOST_MONTHS = 24
_POSSIBLE_INPUTS = ("past", *COVARIATES)


class ForecastExporter(Exporter):
    """Any `Forecaster`, whether its network was trained, solved for, or is a mean of others.

    Args:
        module: The model with the weights of the checkpoint, in evaluation.
        data: The data module, after `setup("test")`.
    """

    family = "forecasting"
    task = "forecast"
    pipeline_tag = "time-series-forecasting"
    data_module = ForecastingDataModule
    module: Forecaster
    data: ForecastingDataModule
    error_name = "mean squared error of the window, in standard units"
    row_name = "windows"

    def __init__(self, module: Forecaster, data: ForecastingDataModule) -> None:
        super().__init__(module, data)
        # Else the loss is about more than the forecast (`CascadedForecaster` sums that of every block).
        self.scores_loss = type(module).training_loss is Forecaster.training_loss
        # Windows that share rows of the horizon have correlated errors.
        self.block = 2 * module.horizon
        self._inputs = [name for name in _POSSIBLE_INPUTS if name in module.example_inputs()]
        if not module.has_statistics:
            raise UsageError(
                "ckpt_path: the checkpoint knows no mean and deviation of the training rows, so it cannot take raw "
                "units; fit the model once through `lightning-app fit`"
            )

    @property
    @override
    def inputs(self) -> tuple[TensorSpec, ...]:
        module = self.module
        columns = {"past": tuple(self.data.channels), **self.data.covariate_columns}
        rows: dict[str, tuple[int | str, ...]] = {
            name: ("batch", *tensor.shape[1:]) for name, tensor in module.example_inputs().items()
        }
        return tuple(
            TensorSpec(name, "float32", rows[name], unit="as given", columns=columns.get(name)) for name in self._inputs
        )

    @property
    @override
    def outputs(self) -> tuple[TensorSpec, ...]:
        module = self.module
        levels = module.quantiles
        shape = ("batch", module.horizon, module.num_channels, *((len(levels),) if levels else ()))
        return (
            TensorSpec("forecast", "float32", shape, unit="as given", columns=tuple(self.data.channels), levels=levels),
        )

    @override
    def network(self) -> nn.Module:
        if isinstance(self.module, EnsembleForecaster):
            return _MeanOf(self.module.chosen)
        return _Named(self.module, self._inputs)

    @override
    def example(self) -> tuple[Tensor, ...]:
        example = self.module.example_inputs()
        return tuple(example[name] for name in self._inputs)

    @property
    @override
    def batch_size(self) -> int:
        return min(self.data.eval_batch_size, 256)

    @override
    def test_batch(self, positions: np.ndarray) -> TestBatch:
        batch = self.data.dataset("test").__getitems__(positions)
        return TestBatch(
            rows=batch["origin"].numpy().astype(np.int64),
            request=as_arrays({name: batch[name] for name in self._inputs}),
            answer=as_arrays({"forecast": self.module.predict_step(batch, 0)["forecast"]}),
            step=self.module.step(batch),
            batch=batch,
        )

    @override
    def targets(self, test_batch: TestBatch) -> Arrays:
        return as_arrays({"target": test_batch.batch["future"]})

    @override
    def ids(self, test_batch: TestBatch) -> Mapping[str, np.ndarray]:
        return {"origin": self.data.series.times[test_batch.rows - 1].astype("datetime64[us]")}

    @override
    def errors(self, outputs: Tensor, batch: Batch) -> Tensor:
        module, mask = self.module, batch.get("future_mask")
        target = module.target_scale(batch["future"])
        squared = (module.point_forecast(module.to_standard_units(outputs)) - target).square().double()
        observed = torch.ones_like(target, dtype=torch.bool) if mask is None else mask
        return (squared * observed).sum(dim=(1, 2)) / observed.sum(dim=(1, 2)).clamp_min(1)

    @override
    def slices(self, outputs: Tensor, test_batch: TestBatch) -> Mapping[str, np.ndarray]:
        past = self.module.target_scale(test_batch.batch["past"])
        moves = past.diff(dim=1) if past.shape[1] > 1 else past
        return {
            "period": self._periods(test_batch.rows),
            "volatility": moves.abs().mean(dim=(1, 2)).double().numpy(),
        }

    def _periods(self, origins: np.ndarray) -> np.ndarray:
        """The month that each forecast starts in, or the year where the test is long."""
        times = self.data.series.times.astype("datetime64[us]")
        _, val, test = self.data.boundaries
        months = (times[test - 1] - times[val]).astype("timedelta64[D]").astype(int) / 30.4
        return times[origins].astype("datetime64[M]" if months <= _MOST_MONTHS else "datetime64[Y]").astype(str)


class _Named(nn.Module):
    def __init__(self, module: Forecaster, names: list[str]) -> None:
        super().__init__()
        self.module = module
        self.names = names

    def forward(self, *tensors: Tensor) -> tuple[Tensor]:
        """The forecast in raw units."""
        return (self.module(**dict(zip(self.names, tensors, strict=True))),)


class _MeanOf(nn.Module):
    """The members that an ensemble chose; the others are left out of the file."""

    def __init__(self, members: Sequence[Forecaster]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, past: Tensor) -> tuple[Tensor]:
        """The forecast in raw units."""
        return (torch.stack([member(past) for member in self.members]).mean(dim=0),)
