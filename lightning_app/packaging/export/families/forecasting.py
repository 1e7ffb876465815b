"""Forecasters: a window in raw units to a horizon in raw units."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from datamodules import ForecastingDataModule
from lightning_app.errors import UsageError
from lightning_app.packaging.export.exporter import Exporter, Judged, Sample, Tested, as_arrays, as_tensor, spread
from lightning_app.packaging.format.manifest import TensorSpec
from models import EnsembleForecaster, Forecaster, StepOutput
from models.forecasting.forecaster import COVARIATES

_MOST_MONTHS = 24
_INPUTS = ("past", *COVARIATES)


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
        # Errors of windows that share rows of the horizon hang together.
        self.block = 2 * module.horizon
        self._given = [name for name in _INPUTS if name in module.example_inputs()]
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
            TensorSpec(name, "float32", rows[name], unit="as given", columns=columns.get(name)) for name in self._given
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
        return _Named(self.module, self._given)

    @override
    def example(self) -> tuple[Tensor, ...]:
        example = self.module.example_inputs()
        return tuple(example[name] for name in self._given)

    @property
    def num_rows(self) -> int:
        """Windows of the test."""
        return len(self.data.dataset("test"))

    @override
    def walk(self) -> Iterator[Tested]:
        total, size = self.num_rows, min(self.data.eval_batch_size, 256)
        for start in range(0, total, size):
            yield self._tested(np.arange(start, min(start + size, total)))

    @override
    def sample(self, count: int) -> Sample:
        tested = self._tested(spread(self.num_rows, count))
        targets = {"target": tested.batch["future"].contiguous().numpy()}
        ids = {"origin": self.data.series.times[tested.rows - 1].astype("datetime64[us]")}
        return Sample(rows=tested.rows, request=tested.request, answer=tested.answer, targets=targets, ids=ids)

    def _tested(self, windows: np.ndarray) -> Tested:
        batch = self.data.dataset("test").__getitems__(windows)
        return Tested(
            rows=batch["origin"].numpy().astype(np.int64),
            request=as_arrays({name: batch[name] for name in self._given}),
            answer=as_arrays({"forecast": self.module.predict_step(batch, 0)["forecast"]}),
            step=self.module.step(batch),
            batch=batch,
        )

    @override
    def judge(self, answer: Mapping[str, np.ndarray], tested: Tested) -> Judged:
        module, batch = self.module, tested.batch
        future, mask = batch["future"], batch.get("future_mask")
        target = module.target_scale(future)
        forecast = _scaled(module, as_tensor(answer["forecast"]))
        point = module.point_forecast(forecast)
        squared = (point - target).square().double()
        observed = torch.ones_like(target, dtype=torch.bool) if mask is None else mask
        errors = (squared * observed).sum(dim=(1, 2)) / observed.sum(dim=(1, 2)).clamp_min(1)
        step = StepOutput(
            loss=module.masked_loss(forecast, target, mask),
            predictions=point.flatten() if mask is None else point[mask],
            targets=target.flatten() if mask is None else target[mask],
            weight=len(future) if mask is None else int(mask.sum()),
        )
        past = module.target_scale(batch["past"])
        return Judged(
            step=step,
            errors=errors.numpy(),
            slices={
                "period": self._periods(tested.rows),
                "volatility": past.diff(dim=1).abs().mean(dim=(1, 2)).double().numpy()
                if past.shape[1] > 1
                else past.abs().mean(dim=(1, 2)).double().numpy(),
            },
        )

    def _periods(self, origins: np.ndarray) -> np.ndarray:
        """The month that each forecast starts in, or the year where the test is long."""
        times = self.data.series.times.astype("datetime64[us]")
        _, val, test = self.data.boundaries
        months = (times[test - 1] - times[val]).astype("timedelta64[D]").astype(int) / 30.4
        return times[origins].astype("datetime64[M]" if months <= _MOST_MONTHS else "datetime64[Y]").astype(str)


def _scaled(module: Forecaster, forecast: Tensor) -> Tensor:
    """Raw units to standard ones, the quantiles last where there are some."""
    if forecast.ndim == 3:
        return module.target_scale(forecast)
    scaled: Tensor = module.target_scale(forecast.transpose(2, 3))
    return scaled.transpose(2, 3)


class _Named(nn.Module):
    def __init__(self, module: Forecaster, names: list[str]) -> None:
        super().__init__()
        self.module = module
        self.names = names

    def forward(self, *tensors: Tensor) -> tuple[Tensor]:
        """The forecast in raw units."""
        return (self.module(**dict(zip(self.names, tensors, strict=True))),)


class _MeanOf(nn.Module):
    """The members that an ensemble chose; which they are is settled, and the others need not travel."""

    def __init__(self, members: Sequence[Forecaster]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, past: Tensor) -> tuple[Tensor]:
        """The forecast in raw units."""
        return (torch.stack([member(past) for member in self.members]).mean(dim=0),)
