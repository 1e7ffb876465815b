"""Candidate, a forecaster to try: how it is made for the data, and how it is trained."""

import inspect
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Protocol

from lightning.pytorch import Callback
from torch import nn

from models.base import OptimizerFactory, SchedulerFactory, class_and_arguments
from models.forecasting.forecaster import COVARIATES, Forecaster


class NetworkFactory(Protocol):
    """Makes a network; a class without the arguments of this call, of which it gets those that it takes.

    An argument `period` that is None is that of the data.
    """

    def __call__(
        self,
        *,
        num_channels: int,
        look_back: int,
        horizon: int,
        num_past_covariates: int,
        num_future_covariates: int,
        num_static_covariates: int,
    ) -> nn.Module:
        """Makes it."""


class ForecasterFactory(Protocol):
    """Makes the module that trains a network: `Forecaster` or a subclass of it, without the arguments of this call."""

    def __call__(
        self,
        *,
        network: nn.Module,
        loss: nn.Module,
        num_channels: int,
        look_back: int,
        horizon: int,
        num_past_covariates: int,
        num_future_covariates: int,
        num_static_covariates: int,
        optimizer: OptimizerFactory | None,
        scheduler: SchedulerFactory | None,
    ) -> Forecaster:
        """Makes it."""


@dataclass(frozen=True)
class WindowSizes:
    """Sizes of the windows of the data.

    Attributes:
        num_channels: Target channels C.
        look_back: Input rows, L; a candidate may take fewer.
        horizon: Forecast rows, H.
        period: Rows of one season; None if there is none.
        num_past_covariates: Columns known up to the origin, P.
        num_future_covariates: Columns known over the horizon, K.
        num_static_covariates: Attributes of a channel, S.
    """

    num_channels: int
    look_back: int
    horizon: int
    period: int | None = None
    num_past_covariates: int = 0
    num_future_covariates: int = 0
    num_static_covariates: int = 0


class CandidateDoesNotFitError(ValueError):
    """A candidate cannot be made for the data."""


class Candidate:
    """A forecaster to try.

    Args:
        network: Makes the network.
        loss: (forecast, future) -> mean loss.
        forecaster: Makes the module that trains the network.
        optimizer: Optimizer factory; None for a naive forecast or one in closed form, which is fitted in one epoch.
        scheduler: Scheduler factory, see `BaseModule`.
        callbacks: Of its fit, such as `WeightAverage`.
        look_back: Rows that it sees; fewer where the data has fewer, None for all.
        epochs: Epochs of its fit.
        least_steps: Optimizer steps that its fit has at least, by more epochs where an epoch has few.
        batch_size: Windows per step.
        gradient_clip: Norm that gradients are clipped at; None clips none.
        least_columns: Channels and covariates together below which it is left out, as it would mix nothing.
        least_channels: Channels below which it is left out, such as 2 where each has weights of its own.
    """

    def __init__(
        self,
        *,
        network: NetworkFactory,
        loss: nn.Module,
        forecaster: ForecasterFactory = Forecaster,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
        callbacks: Sequence[Callback] = (),
        look_back: int | None = None,
        epochs: int = 1,
        least_steps: int = 0,
        batch_size: int = 128,
        gradient_clip: float | None = None,
        least_columns: int = 1,
        least_channels: int = 1,
    ) -> None:
        for name, value in (("look_back", look_back or 1), ("epochs", epochs), ("batch_size", batch_size)):
            if value < 1:
                raise ValueError(f"{name}: {value} given, at least 1 is needed")
        self.network = network
        self.loss = loss
        self.forecaster = forecaster
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.callbacks = tuple(callbacks)
        self.look_back = look_back
        self.epochs = epochs
        self.least_steps = least_steps
        self.batch_size = batch_size
        self.gradient_clip = gradient_clip
        self.least_columns = least_columns
        self.least_channels = least_channels

    @property
    def is_closed_form(self) -> bool:
        """Whether nothing is trained by gradients."""
        return self.optimizer is None

    def look_back_of(self, sizes: WindowSizes) -> int:
        """Rows that it sees of windows with these sizes."""
        return min(self.look_back or sizes.look_back, sizes.look_back)

    def make(self, sizes: WindowSizes) -> Forecaster:
        """Makes the forecaster, untrained.

        Args:
            sizes: Of the windows of the data.

        Raises:
            CandidateDoesNotFitError: Its network cannot be made for these sizes.
        """
        look_back = self.look_back_of(sizes)
        offered: dict[str, Any] = {**vars(sizes), "look_back": look_back}
        accepted = _parameters(self.network)
        columns = sizes.num_channels + sizes.num_past_covariates + sizes.num_future_covariates
        if columns < self.least_columns:
            raise CandidateDoesNotFitError(f"it mixes columns, and there are fewer than {self.least_columns}")
        if sizes.num_channels < self.least_channels:
            raise CandidateDoesNotFitError(f"it is for {self.least_channels} or more channels")
        if "period" in accepted and sizes.period is None:
            raise CandidateDoesNotFitError("it needs a season, and none was found")
        try:
            network = self.network(**{name: value for name, value in offered.items() if name in accepted})
        except ValueError as error:
            raise CandidateDoesNotFitError(str(error)) from error
        inputs = inspect.signature(network.forward).parameters
        counts = {f"num_{name}": getattr(sizes, f"num_{name}") if name in inputs else 0 for name in COVARIATES}
        given: dict[str, Any] = {
            "network": deepcopy(network),  # factories share the parts that their section gives them
            "loss": deepcopy(self.loss),
            "num_channels": sizes.num_channels,
            "look_back": look_back,
            "horizon": sizes.horizon,
            **counts,
            "optimizer": self.optimizer,
            "scheduler": self.scheduler,
        }
        accepted = _parameters(self.forecaster)
        refused = [name for name, value in given.items() if name not in accepted and value]
        if refused:
            kind = class_and_arguments(self.forecaster)[0]
            raise ValueError(f"{kind.__name__ if kind else self.forecaster} takes no {refused[0]}")
        return self.forecaster(**{name: value for name, value in given.items() if name in accepted})


def _parameters(factory: Any) -> frozenset[str]:
    """Names that the class behind a factory takes, less those that the factory holds a value of already."""
    kind, held = class_and_arguments(factory)
    given = {name for name, value in held.items() if value is not None}
    return frozenset(inspect.signature(kind or factory).parameters) - given
