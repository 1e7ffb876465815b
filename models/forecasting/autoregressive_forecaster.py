"""AutoregressiveForecaster: trains DeepAR by likelihood; what it forecasts is judged like any forecast."""

from torch import Tensor, nn
from typing_extensions import override

from models.base import Batch, OptimizerFactory, SchedulerFactory
from models.forecasting.forecaster import Forecaster
from models.recurrent.deepar import DeepAR


class AutoregressiveForecaster(Forecaster):
    """A `Forecaster` that is trained on the likelihood of each value of the horizon given the true ones before it.

    Training reads window and horizon at once and draws no path. Validation and test forecast by paths, as a package
    does, and measure `loss` and the metrics on them.

    Args:
        network: A `DeepAR`.
        loss: (forecast, future) -> mean loss of validation and test, e.g. `PinballLoss` of its quantiles.
        num_channels: Target channels C.
        look_back: Input rows, L.
        horizon: Forecast rows, H.
        num_past_covariates: Refused above 0: the paths would need their future.
        num_future_covariates: Columns known over the horizon, K.
        num_static_covariates: Attributes of a channel, S.
        optimizer: Optimizer factory.
        scheduler: Scheduler factory, see `BaseModule`.
    """

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
        if not isinstance(network, DeepAR):
            raise ValueError(
                f"model.network: {type(network).__name__} given, AutoregressiveForecaster trains a DeepAR; other "
                "networks are trained by a Forecaster"
            )
        super().__init__(
            network=network,
            loss=loss,
            num_channels=num_channels,
            look_back=look_back,
            horizon=horizon,
            num_past_covariates=num_past_covariates,
            num_future_covariates=num_future_covariates,
            num_static_covariates=num_static_covariates,
            optimizer=optimizer,
            scheduler=scheduler,
        )

    @override
    def training_loss(self, inputs: Batch, future: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        if not self.training:
            return super().training_loss(inputs, future, mask)
        assert isinstance(self.network, DeepAR)
        loss, location = self.network.negative_log_likelihood(future=future, **inputs)
        if mask is None:
            return loss.mean(), location
        return (loss[mask].mean() if mask.any() else loss.sum() * 0.0), location
