"""Exporter of trajectory forecasters: from the values of a series, chunk by chunk, to quantiles of the next ones."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np
import polars as pl
import torch
from torch import Tensor
from typing_extensions import override

from datamodules import PanelDataModule
from datamodules.streams.panel_source import RawPanel
from features.series.panel_spec import PanelSpec
from lightning_app.packaging.export.batches import Arrays, RawParity, Sample, TestBatch, as_arrays, spread
from lightning_app.packaging.export.families.panel_columns import describe_panel
from lightning_app.packaging.export.families.panel_rows import panel_rows, value_rows
from lightning_app.packaging.export.families.streams import StreamExporter
from lightning_app.packaging.export.held_out import HeldOutRows
from lightning_app.packaging.format.manifest import TensorSpec
from lightning_app.packaging.format.raw_input import RawInputSpec
from lightning_app.packaging.monitored.rows import MonitoredRows
from lightning_app.packaging.runtime.predictor import Predictor
from models import TrajectoryForecaster
from models.base import Batch
from models.recurrent.state import State

_INPUT, _OUTPUT, _VOLATILITY = "values", "forecast", "volatility"
_RAW_DAYS = 32
"""Test days that are forecast from the raw table too."""


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

    @property
    @override
    def raw_input(self) -> tuple[RawInputSpec, Mapping[str, bytes]] | None:
        panel = self._raw_panel
        if panel is None:
            return None
        data, warm_up = self.data, self.module.prices.warm_up
        spec = PanelSpec(
            columns=panel.columns,
            horizon=self.module.horizon,
            context=data.context,
            warm_up=warm_up,
            chunk_size=self.module.chunk_size,
            positive=data.positive,
            max_missing=data.max_missing,
            time_zone=data.panel.time_zone,
            frequency=data.panel.frequency,
        )
        described = describe_panel(spec)
        return described, {described.file: spec.to_json()}

    @cached_property
    def _raw_panel(self) -> RawPanel | None:
        _ = self.data.tickers  # read first: their time zone is known then
        return self.data.panel.raw_table(root=self.data.root)

    @override
    def raw_batches(self, predictor: Predictor) -> Iterator[RawParity]:
        panel, data = self._raw_panel, self.data
        assert panel is not None
        zone = data.panel.time_zone
        rows = self.data.dataset("test").origins.nonzero().flatten().numpy()
        days = np.unique(data.row_ids(rows[spread(len(rows), _RAW_DAYS)])[1])
        times = pl.Series(days) if zone is None else pl.Series(days).dt.replace_time_zone("UTC")
        for at in (None, times):
            table = pl.concat(answer.table for answer in predictor.predict_raw(panel.frame, at=at))
            first = table.gather_every(self.module.horizon)
            answered = {
                _OUTPUT: table.select(f"q{level:g}" for level in self.module.quantiles)
                .to_numpy()
                .reshape(len(first), self.module.horizon, -1),
                _VOLATILITY: first["volatility"].to_numpy(),
            }
            if at is None:
                expected, keys = self._predicted()
            else:
                expected, keys = self._streamed(first["series"].to_list(), _utc(first["origin"]))
            yield RawParity(keys, answered, expected)

    def _predicted(self) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """What `predict` answers: forecasts after the last row of each ticker."""
        self.module._evaluated = None
        outputs = [self.module.predict_step(batch, 0) for batch in self.data.predict_dataloader()]
        rows = torch.cat([output["row"] for output in outputs]).numpy()
        order = np.argsort(rows)
        expected = {name: torch.cat([output[name] for output in outputs]).numpy() for name in (_OUTPUT, _VOLATILITY)}
        return {name: values[order] for name, values in expected.items()}, rows[order]

    def _streamed(self, names: Sequence[str], days: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """What the checkpoint answers after rows of the data module's tickers, from a fresh state."""
        tickers = {
            ticker.name: (ticker, offset) for ticker, offset in zip(self.data.tickers, self.data.offsets, strict=False)
        }
        answers, keys = [], []
        for name, day in zip(names, days, strict=True):
            ticker, offset = tickers[name]
            row = int(np.searchsorted(ticker.times, day))
            history = ticker.values[max(0, row - self.data.context) : row + 1].astype(np.float32)
            state, answer = self.module.initial_state(1), None
            for chunk in torch.from_numpy(history)[None].split(self.module.chunk_size, dim=1):
                answer, state = self.read(chunk, state)
            assert answer is not None
            answers.append(answer)
            keys.append(offset + row)
        outputs = [torch.cat(parts).numpy() for parts in zip(*answers, strict=True)]
        return dict(zip((_OUTPUT, _VOLATILITY), outputs, strict=True)), np.array(keys)

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
    def targets(self, test_batch: TestBatch) -> Arrays:
        return as_arrays({"target": test_batch.batch["future"][test_batch.batch["counted"]]})

    @override
    def monitored_rows(self, predictor: Predictor, held_out: HeldOutRows) -> MonitoredRows:
        """A row is the request for the forecasts of one time: the last values of a series, or of a wide table."""
        panel = self._raw_panel
        if panel is not None:
            return panel_rows(held_out, data=self.data, panel=panel, levels=self.module.quantiles)
        return value_rows(predictor, held_out, data=self.data)

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


def _utc(times: pl.Series) -> np.ndarray:
    zone = times.dtype.time_zone if isinstance(times.dtype, pl.Datetime) else None
    if zone is None:
        return times.to_numpy()
    return times.dt.convert_time_zone("UTC").dt.replace_time_zone(None).to_numpy()


def _weighted_quantile_loss(forecast: Tensor, future: Tensor, quantiles: Sequence[float]) -> Tensor:
    """Per row (N,): twice the pinball loss over the sum of the absolute targets, averaged over the levels."""
    levels = torch.tensor(quantiles, dtype=torch.float64)
    error = future.double().unsqueeze(-1) - forecast.double()
    pinball = torch.maximum(levels * error, (levels - 1) * error).mean(dim=-1).sum(dim=-1)
    return 2 * pinball / future.double().abs().sum(dim=-1).clamp_min(torch.finfo(torch.float64).tiny)
