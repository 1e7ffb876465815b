"""Forecaster, the LightningModule of all forecasting networks."""

import inspect
from typing import ClassVar

import torch
from torch import Tensor, nn
from torchmetrics import MeanAbsoluteError, MeanSquaredError, MetricCollection
from typing_extensions import override

from models.base import BaseModule, Batch, OptimizerFactory, SchedulerFactory, StepOutput
from models.forecasting.quantile_levels import forecast_levels
from models.layers import Standardize
from models.output_shape import check_output, naming

COVARIATES = ("past_covariates", "future_covariates", "static_covariates")


class Forecaster(BaseModule):
    """Trains any network that maps a window (B, L, C) to a horizon (B, H, C), or (B, H, C, Q) for Q quantiles.

    `forward` takes and returns raw units; network, loss and metrics work on channels standardised with the statistics
    of the training rows, as the long-horizon literature reports them. For quantile forecasts the metrics use level 0.5.

    Args:
        network: Its `forward` takes `past`, and optionally `past_covariates`, `future_covariates` and
            `static_covariates`. A network with quantile outputs lists their levels in an attribute `quantiles`, unless
            the loss does.
        loss: (forecast, future) -> mean loss. Levels in its attribute `quantiles` must equal those of the network.
        num_channels: Target channels C.
        look_back: Input rows, L.
        horizon: Forecast rows, H.
        num_past_covariates: Columns known up to the origin, P.
        num_future_covariates: Columns known over the horizon, K.
        num_static_covariates: Attributes of a channel, S.
        optimizer: Optimizer factory; None for a network without parameters.
        scheduler: Scheduler factory, see `BaseModule`.
    """

    has_statistics: Tensor
    exporter = "lightning_app.packaging.export.families.forecasting:ForecastExporter"
    run_callbacks: ClassVar[tuple[str, ...]] = (
        "callbacks.forecast_picture:ForecastPicture",
        "lightning_app.evaluation.forecast_errors:ForecastErrors",
    )
    monitor = "val/mse"
    injected_arguments = (*BaseModule.injected_arguments, "network", "loss")

    def __init__(
        self,
        *,
        network: nn.Module,
        loss: nn.Module,
        num_channels: int,
        look_back: int,
        horizon: int,
        num_past_covariates: int = 0,
        num_future_covariates: int = 0,
        num_static_covariates: int = 0,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
    ) -> None:
        super().__init__(optimizer=optimizer, scheduler=scheduler)
        self.quantiles = forecast_levels(network=network, loss=loss)
        """Quantile levels of the forecast, ascending; None for point forecasts."""
        self.network = network
        self.loss = loss
        self.num_channels = num_channels
        self.look_back = look_back
        self.horizon = horizon
        self.num_static_covariates = num_static_covariates
        self.target_scale = Standardize(num_columns=num_channels)
        self.covariate_scales = nn.ModuleDict(
            {
                name: Standardize(num_columns=columns)
                for name, columns in (
                    ("past_covariates", num_past_covariates),
                    ("future_covariates", num_future_covariates),
                )
                if columns
            }
        )
        self.register_buffer("has_statistics", torch.tensor(False))

        accepted = inspect.signature(network.forward).parameters
        if "past" not in accepted and not any(item.kind is item.VAR_KEYWORD for item in accepted.values()):
            raise ValueError(
                f"model.network: {type(network).__name__}.forward takes ({', '.join(accepted)}), expected is an "
                "argument `past` (batch, look_back, num_channels)"
            )
        self._network_inputs = tuple(name for name in COVARIATES if name in accepted)
        provided = {*self.covariate_scales, *(("static_covariates",) if num_static_covariates else ())}
        unused = sorted(provided - set(self._network_inputs))
        if unused:
            raise ValueError(
                f"model.network: {type(network).__name__} takes no {unused[0]}, which the data module provides; "
                "take them out of the data section, or choose a network that takes them (PatchTransformer, "
                "ITransformer, NHiTS, NBEATS, TiDE, TemporalFusionTransformer)"
            )

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the inputs that `forward` needs; columns that the data does not have are left out."""
        counted = {"static_covariates"} if self.num_static_covariates else set()
        return ("past", *(name for name in self._network_inputs if name in {*self.covariate_scales, *counted}))

    @override
    def configure_metrics(self) -> MetricCollection:
        return MetricCollection({"mse": MeanSquaredError(), "mae": MeanAbsoluteError()}, compute_groups=False)

    def setup(self, stage: str) -> None:
        """Copies the statistics of the training rows from the data module; a checkpoint loaded later overrides them."""
        statistics = getattr(getattr(self.trainer, "datamodule", None), "statistics", None)
        if statistics is None or (stage != "fit" and self.has_statistics):
            return
        self.target_scale.set_statistics(statistics["target"])
        for name, scale in self.covariate_scales.items():
            scale.set_statistics(statistics[name])  # type: ignore[operator]
        self.has_statistics.fill_(True)

    def forward(
        self,
        past: Tensor,
        past_covariates: Tensor | None = None,
        future_covariates: Tensor | None = None,
        static_covariates: Tensor | None = None,
    ) -> Tensor:
        """Forecasts in raw units.

        Args:
            past: (B, L, C).
            past_covariates: (B, L, P).
            future_covariates: (B, L + H, K).
            static_covariates: (B, C, S).

        Returns:
            (B, H, C), or (B, H, C, Q) with quantiles.
        """
        batch = {
            "past": past,
            "past_covariates": past_covariates,
            "future_covariates": future_covariates,
            "static_covariates": static_covariates,
        }
        forecast = self.network_forecast(
            self.network_inputs({name: value for name, value in batch.items() if value is not None})
        )
        return self.to_raw_units(forecast)

    def to_raw_units(self, forecast: Tensor) -> Tensor:
        """Converts a forecast (B, H, C) or (B, H, C, Q) from standardised to raw units."""
        if forecast.ndim == 3:
            return self.target_scale.invert(forecast)
        return self.target_scale.invert(forecast.transpose(2, 3)).transpose(2, 3)

    def to_standard_units(self, forecast: Tensor) -> Tensor:
        """A forecast (B, H, C) or (B, H, C, Q) in raw units, in standard ones."""
        if forecast.ndim == 3:
            return self.target_scale(forecast)
        return self.target_scale(forecast.transpose(2, 3)).transpose(2, 3)

    def network_inputs(self, batch: Batch) -> Batch:
        """The network's inputs in a batch, standardised."""
        inputs = {"past": self.target_scale(batch["past"])}
        for name in self._network_inputs:
            if name in batch:
                scaled = name in self.covariate_scales
                inputs[name] = self.covariate_scales[name](batch[name]) if scaled else batch[name]
        return inputs

    def network_forecast(self, inputs: Batch) -> Tensor:
        """Runs the network and checks the shape of its output.

        Args:
            inputs: See `network_inputs`.

        Returns:
            Standardised forecast (B, H, C), or (B, H, C, Q) with quantiles.

        Raises:
            ValueError: The output has another shape, which a loss might broadcast, or the network fails on the inputs.
        """
        levels = self.quantiles
        meaning = "(batch, horizon, num_channels)"
        if levels is not None:
            meaning = f"(batch, horizon, num_channels, quantiles {', '.join(f'{level:g}' for level in levels)})"
        with naming(self.network, key="model.network", inputs=inputs, meaning=meaning):
            forecast: Tensor = self.network(**inputs)
        if levels is None and isinstance(forecast, Tensor) and forecast.ndim == 4:
            raise ValueError(
                f"model.network: {type(self.network).__name__} gives {tuple(forecast.shape)}, quantiles in the last "
                "dimension, but no levels: give the network an attribute `quantiles`, or take PinballLoss"
            )
        # Batch size None: during export it is symbolic.
        expected = (None, self.horizon, self.num_channels, *(() if levels is None else (len(levels),)))
        check_output(forecast, expected, part=self.network, key="model.network", meaning=meaning)
        return forecast

    @override
    def step(self, batch: Batch) -> StepOutput:
        future = self.target_scale(batch["future"])
        mask = batch.get("future_mask")
        loss, forecast = self.training_loss(self.network_inputs(batch), future, mask)
        return self._step_output(loss, forecast, future, mask)

    @override
    def evaluate(self, outputs: Tensor, batch: Batch) -> StepOutput:
        """See `BaseModule.evaluate`; the loss is that of the forecast alone.

        Args:
            outputs: Forecast in raw units, (B, H, C) or (B, H, C, Q).
            batch: With `future` and maybe `future_mask`.
        """
        forecast, future = self.to_standard_units(outputs), self.target_scale(batch["future"])
        mask = batch.get("future_mask")
        return self._step_output(self.masked_loss(forecast, future, mask), forecast, future, mask)

    def _step_output(self, loss: Tensor, forecast: Tensor, future: Tensor, mask: Tensor | None) -> StepOutput:
        weight = len(future) if mask is None else int(mask.sum())
        if self.training:
            return StepOutput(loss=loss, predictions=forecast, targets=future, weight=weight)
        point = self.point_forecast(forecast)
        return StepOutput(
            loss=loss,
            predictions=point.flatten() if mask is None else point[mask],
            targets=future.flatten() if mask is None else future[mask],
            weight=weight,
            network_output=forecast,
        )

    def training_loss(self, inputs: Batch, future: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Computes the training loss; subclasses may supervise more than the final forecast.

        Args:
            inputs: Network inputs, standardised.
            future: (B, H, C), standardised.
            mask: bool (B, H, C), True where observed, or None.

        Returns:
            loss: Scalar.
            forecast: (B, H, C) or (B, H, C, Q), standardised.
        """
        forecast = self.network_forecast(inputs)
        expected = (len(future), *forecast.shape[1:])
        check_output(forecast, expected, part=self.network, key="model.network", meaning="(batch, ...)")
        return self.masked_loss(forecast, future, mask), forecast

    def masked_loss(self, forecast: Tensor, future: Tensor, mask: Tensor | None) -> Tensor:
        """Mean loss over the observed values; zero if there are none."""
        if mask is None:
            return self.loss(forecast, future)
        return self.loss(forecast[mask], future[mask]) if mask.any() else forecast.sum() * 0.0

    def point_forecast(self, forecast: Tensor) -> Tensor:
        """(B, H, C): the forecast, or its level 0.5 if it has quantiles."""
        return forecast if self.quantiles is None else forecast[..., self.quantiles.index(0.5)]

    @override
    def predict_step(self, batch: Batch, batch_idx: int) -> Batch:
        names = ("past", *self._network_inputs)
        return {
            "forecast": self(**{name: batch[name] for name in names if name in batch}),
            "origin": batch["origin"],
        }

    @override
    def example_inputs(self) -> dict[str, Tensor]:
        example = {"past": torch.randn(2, self.look_back, self.num_channels)}
        rows = {"past_covariates": self.look_back, "future_covariates": self.look_back + self.horizon}
        for name, scale in self.covariate_scales.items():
            example[name] = torch.randn(2, rows[name], len(scale.mean))  # type: ignore[arg-type]
        if self.num_static_covariates:
            example["static_covariates"] = torch.randn(2, self.num_channels, self.num_static_covariates)
        return example
