"""Exporter of trajectory forecasters: from the values of a series, chunk by chunk, to quantiles of the next ones."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from datamodules import PanelDataModule
from lightning_app.packaging.export.batches import Sample, TestBatch
from lightning_app.packaging.export.families.streams import StreamExporter
from lightning_app.packaging.format.manifest import TensorSpec
from lightning_app.packaging.runtime.predictor import Predictor
from models import TrajectoryForecaster
from models.base import Batch
from models.recurrent.state import State

_INPUT, _OUTPUT, _VOLATILITY = "values", "forecast", "volatility"


class TrajectoryExporter(StreamExporter):
    """`TrajectoryForecaster` on a panel; see `StreamExporter`."""

    task = "trajectory"
    pipeline_tag = "time-series-forecasting"
    data_module = PanelDataModule
    input_name = _INPUT
    module: TrajectoryForecaster
    data: PanelDataModule
    error_name = "weighted quantile loss of the trajectory"
    row_name = "forecasts"

    def __init__(self, module: TrajectoryForecaster, data: PanelDataModule) -> None:
        super().__init__(module, data)
        # Origins of a ticker whose horizons overlap have correlated errors.
        self.block = 2 * max(1, -(-module.horizon // data.test_stride))

    @property
    @override
    def inputs(self) -> tuple[TensorSpec, ...]:
        return (TensorSpec(_INPUT, "float32", ("batch", "seq_len"), unit="as given"),)

    @property
    @override
    def outputs(self) -> tuple[TensorSpec, ...]:
        levels = tuple(float(level) for level in self.module.quantiles)
        shape = ("batch", self.module.horizon, len(levels))
        what = "per step, 0 while the series is too short to be forecast from"
        return (
            TensorSpec(_OUTPUT, "float32", shape, unit="as given", levels=levels),
            TensorSpec(_VOLATILITY, "float32", ("batch",), unit=what),
        )

    @property
    @override
    def limitations(self) -> Sequence[str]:
        return (
            f"forecasts count only after more than {self.module.prices.warm_up} values of a series; before, "
            "`volatility` is 0 and the forecast is the last value",
            f"was tested on chunks of {self.module.chunk_size} values",
        )

    @override
    def read(self, chunk: Tensor, state: State) -> tuple[tuple[Tensor, ...], State]:
        output, after = self.module.encoder.encode(chunk.unsqueeze(-1), state)
        hidden, volatility = output[:, -1, :-1], output[:, -1, -1]
        return (self.module.prices.to_levels(self.module.head(hidden), chunk[:, -1], volatility), volatility), after

    @override
    def example_chunk(self) -> Tensor:
        return self.module.example_inputs()[_INPUT][:, : self.module.chunk_size]

    @override
    def walk(self) -> Iterator[TestBatch]:
        module = self.module
        for batch in self.batches():
            state = module.state_for(batch)
            (hidden, values, volatility, counted), _ = module._origins(batch, state)
            step = module.step(batch)
            yield TestBatch(
                rows=batch["row"][counted].numpy(),
                request={_INPUT: batch["values"].numpy()},
                answer={
                    _OUTPUT: module.prices.to_levels(module.head(hidden), values, volatility).numpy(),
                    _VOLATILITY: volatility.numpy(),
                },
                step=step,
                batch={**batch, "counted": counted},
            )

    @override
    def ask(self, predictor: Predictor, test_batch: TestBatch) -> Mapping[str, np.ndarray]:
        """Reads chunks as the test does; for an origin within a chunk it asks for the part up to there."""
        values, counted = np.asarray(test_batch.request[_INPUT]), test_batch.batch["counted"].numpy()
        module = self.module
        forecast = np.empty((*values.shape, module.horizon, len(module.quantiles)), dtype=np.float32)
        volatility = np.empty(values.shape, dtype=np.float32)
        for steps, (before, answer) in self.advance(predictor, values, test_batch.batch["reset"].numpy()):
            for column in range(steps.start, steps.stop):
                lanes = np.flatnonzero(counted[:, column])
                if not len(lanes):
                    continue
                if column == steps.stop - 1:
                    read = {name: answer[name][lanes] for name in (_OUTPUT, _VOLATILITY)}
                else:
                    part = {_INPUT: values[lanes, steps.start : column + 1]}
                    read, _ = predictor.advance(part, {name: array[lanes] for name, array in before.items()})
                forecast[lanes, column], volatility[lanes, column] = read[_OUTPUT], read[_VOLATILITY]
        return {_OUTPUT: forecast[counted], _VOLATILITY: volatility[counted]}

    @override
    def module_outputs(self, answer: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        return answer[_OUTPUT], answer[_VOLATILITY]

    @override
    def errors(self, outputs: tuple[Tensor, Tensor], batch: Batch) -> Tensor:
        return _weighted_quantile_loss(outputs[0], batch["future"][batch["counted"]], self.module.quantiles)

    @override
    def slices(self, outputs: tuple[Tensor, Tensor], test_batch: TestBatch) -> Mapping[str, np.ndarray]:
        names, days = self.data.row_ids(test_batch.rows)
        return {
            "ticker": np.array(names, dtype=np.str_),
            "period": days.astype("datetime64[Y]").astype(str),
            "volatility": outputs[1].double().numpy(),
        }

    @override
    def sample(self, count: int) -> Sample:
        batch = self.histories(count, self.module.prices.warm_up + self.module.chunk_size + 3)
        values = batch[_INPUT]
        forecast, volatility = self.fresh(values)
        rows = batch["row"][:, -1].numpy()
        names, days = self.data.row_ids(rows)
        return Sample(
            rows=rows,
            request={_INPUT: values.numpy()},
            answer={_OUTPUT: forecast, _VOLATILITY: volatility},
            targets={"target": batch["future"][:, -1].numpy()},
            ids={"series": np.array(names, dtype=np.str_), "origin": days},
        )


def _weighted_quantile_loss(forecast: Tensor, future: Tensor, quantiles: Sequence[float]) -> Tensor:
    """Per row (N,): twice the pinball loss over the sum of the absolute targets, averaged over the levels."""
    levels = torch.tensor(quantiles, dtype=torch.float64)
    error = future.double().unsqueeze(-1) - forecast.double()
    pinball = torch.maximum(levels * error, (levels - 1) * error).mean(dim=-1).sum(dim=-1)
    return 2 * pinball / future.double().abs().sum(dim=-1).clamp_min(torch.finfo(torch.float64).tiny)
