"""Exporter of forecasters: from a window in raw units to a horizon in raw units."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn
from typing_extensions import override

from datamodules import ForecastingDataModule
from features.series.spec import SeriesSpec
from lightning_app.errors import UsageError
from lightning_app.packaging.export.batches import Arrays, RawParity, TestBatch, as_arrays, spread
from lightning_app.packaging.export.exporter import Exporter
from lightning_app.packaging.export.families.series_rows import series_rows
from lightning_app.packaging.export.held_out import HeldOutRows
from lightning_app.packaging.format.manifest import TensorSpec
from lightning_app.packaging.format.raw_input import RawColumn, RawInputSpec
from lightning_app.packaging.monitored.rows import MonitoredRows
from lightning_app.packaging.runtime.predictor import Predictor
from models import Forecaster
from models.base import Batch
from models.forecasting.forecaster import COVARIATES
from models.forecasting.mean_forecaster import MeanForecaster, mean_forecast

SERIES = "series.json"
_RAW_ORIGINS = 64
"""Test origins that are forecast from the raw table too."""
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
            TensorSpec(
                name,
                "float32",
                rows[name],
                unit=self.data.unit if name == "past" else "as given",
                columns=columns.get(name),
            )
            for name in self._inputs
        )

    @property
    @override
    def outputs(self) -> tuple[TensorSpec, ...]:
        module = self.module
        levels = module.quantiles
        shape = ("batch", module.horizon, module.num_channels, *((len(levels),) if levels else ()))
        return (
            TensorSpec(
                "forecast", "float32", shape, unit=self.data.unit, columns=tuple(self.data.channels), levels=levels
            ),
        )

    @property
    @override
    def raw_input(self) -> tuple[RawInputSpec, Mapping[str, bytes]] | None:
        spec = self.data.series_spec
        if spec is None:
            return None
        table = self.data.source.raw_table(root=self.data.root)
        described = describe_series(spec, unit=None if table is None else table.unit)
        return described, {described.file: spec.to_json()}

    @override
    def raw_batches(self, predictor: Predictor) -> Iterator[RawParity]:
        data = self.data
        table = data.source.raw_table(root=data.root)
        assert table is not None
        chosen = self.test_batch(spread(self.num_samples, _RAW_ORIGINS))
        times = pl.Series("origin", data.series.times[chosen.rows - 1])
        if (zone := data.series.time_zone) is not None:
            times = times.dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
        answers = pl.concat(part.table for part in predictor.predict_raw(table.frame, at=times))
        values = [name for name in answers.columns if name not in ("origin", "time", "channel")]
        if (names := data.names_at(chosen.rows)) is not None:
            asked = pl.DataFrame([times, pl.Series("channel", names)])
            answers = asked.join(answers, on=["origin", "channel"], how="left", maintain_order="left_right")
        expected = data.raw_units(chosen.answer["forecast"], chosen.rows)
        count, horizon, channels = expected.shape[:3]
        answered = answers.select(values).to_numpy().reshape(count, channels, horizon, -1).swapaxes(1, 2)
        yield RawParity(chosen.rows, {"forecast": answered.reshape(expected.shape)}, {"forecast": expected})

    @override
    def monitored_rows(self, predictor: Predictor, held_out: HeldOutRows) -> MonitoredRows:
        """A row is the request for one forecast: with a raw table its look-back rows, else the inputs of the graph."""
        spec, raw = self.data.series_spec, self.data.source.raw_table(root=self.data.root)
        if spec is None or raw is None:
            return replace(super().monitored_rows(predictor, held_out), times=self.data.series.times[held_out.rows - 1])
        levels = self.module.quantiles
        return series_rows(predictor, held_out, data=self.data, raw=raw, spec=spec, levels=levels)

    @override
    def network(self) -> nn.Module:
        if isinstance(self.module, MeanForecaster):
            return _MeanOf(self.module.chosen, self._inputs)
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
        first, last = self.data.test_period
        months = (last - first).astype("timedelta64[D]").astype(int) / 30.4
        return times[origins].astype("datetime64[M]" if months <= _MOST_MONTHS else "datetime64[Y]").astype(str)


def describe_series(spec: SeriesSpec, *, unit: str | None) -> RawInputSpec:
    """The columns of a table of time series, for the manifest.

    Args:
        spec: The preparation.
        unit: Unit of the targets; None for that of the training table.
    """
    form = spec.time_format or "ISO 8601"
    form += "" if spec.time_zone is None else ", with a time zone"
    times = [RawColumn(spec.time_column, "timestamp", "time", form)]
    if spec.time_parts:
        times = [RawColumn(name, "text", "time", f"joined by spaces: {form}") for name in spec.time_parts]
    ids = [] if spec.id_column is None else [RawColumn(spec.id_column, "text", "series")]
    numbers = [
        RawColumn(name, "number", role, given)
        for role, names, given in (
            ("target", spec.targets, unit or "as in training"),
            ("past covariate", spec.past_covariates, "as in training"),
            ("known-future covariate", spec.future_covariates, "as in training"),
        )
        for name in names
    ]
    static = [
        RawColumn(
            attribute.column,
            "number" if attribute.vocabulary is None else "text",
            "static attribute",
            required=not spec.known_attributes,
        )
        for attribute in spec.static_attributes
    ]
    apart = f", {spec.frequency} apart," if spec.frequency is not None else ""
    of_each = "" if spec.id_column is None else " of each series"
    return RawInputSpec(
        kind="series",
        file=SERIES,
        columns=(*times, *ids, *numbers, *static),
        min_rows=spec.look_back,
        rows_of=f"rows{apart}{of_each} up to the forecast",
    )


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

    def __init__(self, chosen: Sequence[tuple[float, Forecaster]], names: list[str]) -> None:
        super().__init__()
        self.members = nn.ModuleList(member for _, member in chosen)
        self.weights = [weight for weight, _ in chosen]
        self.names = names

    def forward(self, *tensors: Tensor) -> tuple[Tensor]:
        """The forecast in raw units."""
        members = list(zip(self.weights, self.members, strict=True))
        return (mean_forecast(members, dict(zip(self.names, tensors, strict=True))),)  # type: ignore[arg-type]
