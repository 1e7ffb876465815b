"""TrajectoryForecaster: quantile forecasts of whole trajectories at every step of a price stream."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import MetricCollection
from typing_extensions import override

from models.base import Batch, OptimizerFactory, SchedulerFactory, StepOutput
from models.heads import TrajectoryHead
from models.losses import PinballLoss
from models.metrics import WeightedQuantileLoss
from models.recurrent.encoder import Encoder
from models.recurrent.paired_gain import PairedGainError
from models.recurrent.state import RecurrentState
from models.recurrent.stream import EncoderModule, unroll
from models.recurrent.volatility import StreamedPrices, Units, stream_features

LEVELS = (0.025, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.975)
_WARM_UP = 64


class TrajectoryForecaster(EncoderModule):
    """Quantiles of the next H values at each step of a series, from its whole past.

    The model maps raw values to raw quantiles: features, their streaming state and the units are part of it. Untrained,
    it returns the classical forecast, the empirical quantiles of the training data scaled by the current volatility;
    with `trainer.num_sanity_val_steps: -1` that is a candidate for the best checkpoint, which training has to beat by
    1 % and by two standard errors of the gain, `val/loss_gain_error`.

    Args:
        encoder: Encodes the features of a step; any size.
        horizon: Forecast steps, H.
        chunk_size: New steps per batch, k1.
        units: `log_return` for prices, `level` for series that may be zero or negative.
        quantiles: Levels, ascending, 0.5 in the middle.
        warm_up: Steps of a series before its volatility is used; no forecasts are made from earlier steps.
        num_bumps: Bump functions of the horizon that correct the classical forecast.
        dropout: Dropout of the encoder's output.
        optimizer: Optimizer factory.
        scheduler: Scheduler factory, see `BaseModule`.
    """

    has_base: Tensor
    _gains: tuple[Tensor, Tensor] | None = None
    exporter = "lightning_app.packaging.export.families.trajectory:TrajectoryExporter"
    run_callbacks = ("lightning_app.evaluation.trajectories.trajectory_report:TrajectoryReport",)
    # The mean of price changes is unpredictable, so the best of many validations may be the best by chance.
    untrained_margin = 0.01

    def __init__(
        self,
        *,
        encoder: Encoder,
        horizon: int,
        chunk_size: int,
        units: Units = "log_return",
        quantiles: Sequence[float] = LEVELS,
        warm_up: int = _WARM_UP,
        num_bumps: int = 8,
        dropout: float = 0.0,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
    ) -> None:
        self.quantiles = tuple(quantiles)
        prices = StreamedPrices(encoder=encoder, units=units, warm_up=warm_up)
        super().__init__(
            encoder=prices, chunk_size=chunk_size, dropout=dropout, optimizer=optimizer, scheduler=scheduler
        )
        self.prices = prices
        self.horizon = horizon
        self.head = TrajectoryHead(
            hidden_size=encoder.output_size, horizon=horizon, quantiles=quantiles, num_bumps=num_bumps
        )
        self.loss = PinballLoss(quantiles=self.quantiles)
        self.gain_error = PairedGainError(block_size=horizon)
        self.register_buffer("has_base", torch.tensor(False))

    @override
    def configure_metrics(self) -> MetricCollection:
        return MetricCollection({"wql": WeightedQuantileLoss(quantiles=self.quantiles)})

    @override
    def setup(self, stage: str) -> None:
        """Before the first fit: sets typical volatility and empirical quantiles from the training data."""
        data = getattr(self.trainer, "datamodule", None)
        if self.prices.units == "log_return" and not getattr(data, "positive", True):
            raise ValueError(
                "model.units: 'log_return' given with data.positive: false; values at or below zero have no "
                "logarithm: use units: level, or positive: true"
            )
        if getattr(data, "context", self.prices.warm_up) < self.prices.warm_up:
            raise ValueError(
                f"data.context: {data.context} given, at least model.warm_up {self.prices.warm_up} is needed"  # type: ignore[union-attr]
            )
        if stage != "fit" or self.has_base:
            return
        series = getattr(data, "training_series", None)
        if series is None:
            raise ValueError(
                "the model has no empirical quantiles: call model.set_base(series) before fit, or use a PanelDataModule"
            )
        self.set_base([torch.as_tensor(values, dtype=torch.float32) for values in series])

    @torch.no_grad()
    def set_base(self, series: Sequence[Tensor]) -> None:
        """Fits the classical forecast: empirical quantiles over all training origins of all series.

        Args:
            series: Raw training values of each series, (T,); series too short for an origin are left out.

        Raises:
            ValueError: Every series is too short.
        """
        logs, moves = [], []
        for values in series:
            if len(values) <= self.prices.warm_up + self.horizon:
                continue  # shorter than warm-up and horizon
            volatility, _ = stream_features(self.prices, values)
            origins = torch.arange(len(values) - self.horizon)
            origins = origins[volatility[origins] > 0]
            future = values[origins[:, None] + torch.arange(1, self.horizon + 1)]
            logs.append(volatility[origins].log())
            moves.append(self.prices.to_units(future, values[origins], volatility[origins]))
        if not moves:
            raise ValueError(
                f"no series has an origin to train on: more than model.warm_up {self.prices.warm_up} + horizon "
                f"{self.horizon} training values are needed, the longest has {max(map(len, series), default=0)}"
            )
        every = torch.cat(moves)  # (N, H)
        self.prices.usual_log_volatility.copy_(torch.cat(logs).mean())
        levels = torch.tensor(self.quantiles, dtype=torch.float64)
        self.has_base.fill_(True)
        self.head.set_base(torch.quantile(every.double(), levels, dim=0).T.float())

    @override
    def embed(self, batch: Batch) -> Tensor:
        return batch["values"].unsqueeze(-1)

    @override
    def stream_step(self, batch: Batch, state: RecurrentState) -> tuple[StepOutput, RecurrentState]:
        (hidden, values, volatility, counted), state = self._origins(batch, state)
        future = batch["future"][counted]
        quantiles = self.head(self.dropout(hidden))  # (N, H, Q)
        targets = self.prices.to_units(future, values, volatility)
        if self.training:
            return self._step_output(quantiles, targets, predictions=quantiles, predicted=targets), state
        if "day" in batch:
            losses = [self.loss.each(each, targets).mean(dim=(1, 2)) for each in (self.head.base, quantiles)]
            self._gains = batch["day"][counted], losses[0] - losses[1]
        forecast = self.prices.to_levels(quantiles, values, volatility)
        return self._step_output(quantiles, targets, predictions=forecast, predicted=future), state

    @override
    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        super().validation_step(batch, batch_idx)
        if self._gains is not None:
            self.gain_error.update(*self._gains)
            self.log(f"{self.monitor}_gain_error", self.gain_error, on_step=False, on_epoch=True)

    @override
    def evaluate(self, outputs: tuple[Tensor, Tensor], batch: Batch) -> StepOutput:
        """See `BaseModule.evaluate`.

        Args:
            outputs: At the N origins that count: forecast (N, H, Q) in raw units, volatility (N,).
            batch: With `counted` bool (B, L), where those origins are.
        """
        forecast, volatility = outputs
        future, values = batch["future"][batch["counted"]], batch["values"][batch["counted"]]
        # The loss is measured in units of the volatility.
        targets = self.prices.to_units(future, values, volatility)
        quantiles = [self.prices.to_units(level, values, volatility) for level in forecast.unbind(dim=-1)]
        return self._step_output(torch.stack(quantiles, dim=-1), targets, predictions=forecast, predicted=future)

    def _step_output(self, quantiles: Tensor, targets: Tensor, *, predictions: Tensor, predicted: Tensor) -> StepOutput:
        """Loss of quantiles in units of the volatility; what the metrics compare is `predictions` and `predicted`."""
        loss = self.loss(quantiles, targets) if len(targets) else quantiles.sum() * 0.0
        return StepOutput(loss=loss, predictions=predictions, targets=predicted, weight=len(targets))

    def _origins(
        self, batch: Batch, state: RecurrentState
    ) -> tuple[tuple[Tensor, Tensor, Tensor, Tensor], RecurrentState]:
        """Hidden vector, value and volatility of the N valid origins, and their mask (B, L)."""
        output, state = unroll(self.encoder, self.embed(batch), state, batch["reset"], self.chunk_size)
        hidden, volatility = output[..., :-1], output[..., -1]
        counted = batch["valid"] & (volatility > 0)
        return (hidden[counted], batch["values"][counted], volatility[counted].float(), counted), state

    def forward(self, values: Tensor) -> Tensor:
        """Forecasts the continuation of histories.

        Args:
            values: Raw values (B, L), L > `warm_up`.

        Returns:
            Quantiles (B, H, Q) in raw units.
        """
        length = values.shape[1]
        if length <= self.prices.warm_up:
            raise ValueError(f"values: {length} steps given, more than warm_up {self.prices.warm_up} are needed")
        # Whole chunks at the end: a chunkwise encoder then uses as much of the recent history as possible.
        sizes = [length % self.chunk_size] * bool(length % self.chunk_size)
        sizes += [self.chunk_size] * (length // self.chunk_size)
        state = self.initial_state(len(values))
        for chunk in values.split(sizes, dim=1):
            output, state = self.encoder.encode(chunk.unsqueeze(-1), state)
        hidden, volatility = output[:, -1, :-1], output[:, -1, -1]
        return self.prices.to_levels(self.head(hidden), values[:, -1], volatility)

    @override
    def predict_step(self, batch: Batch, batch_idx: int) -> Batch:
        """Forecast and classical forecast (N, H, Q) at the valid origins, their rows (N,) and levels (N, Q)."""
        (hidden, values, volatility, counted), self._evaluated = self._origins(batch, self.state_for(batch))
        base = self.head.base.expand(len(values), -1, -1)
        return {
            "row": batch["row"][counted],
            "forecast": self.prices.to_levels(self.head(hidden), values, volatility),
            "volatility": volatility,
            "classical": self.prices.to_levels(base, values, volatility),
            "levels": torch.tensor(self.quantiles).expand(len(values), -1),
        }

    @override
    def example_inputs(self) -> dict[str, Tensor]:
        return {"values": 100 * (0.01 * torch.randn(2, 4 * self.prices.warm_up)).cumsum(dim=1).exp()}
