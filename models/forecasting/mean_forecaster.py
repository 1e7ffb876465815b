"""MeanForecaster, the base of forecasters whose forecast is a weighted mean of some of their members."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from models.base import Batch, StepOutput
from models.forecasting.forecaster import COVARIATES, Forecaster


class MemberMean(nn.Module):
    """The weighted mean of the members' forecasts, each of which takes what it knows of the inputs.

    Args:
        members: Forecasters in raw units; their weights are equal until a choice says otherwise.

    Attributes:
        weights: Of the members, of sum one, (M,); those of weight 0 do not forecast.
    """

    weights: Tensor

    def __init__(self, *, members: Iterable[Forecaster]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.register_buffer("weights", _equal(len(self.members)))

    def add(self, member: Forecaster) -> None:
        """Adds a member; the weights are equal again."""
        self.members.append(member)
        self.weights = _equal(len(self.members)).to(self.weights.device)

    def weigh(self, weights: Sequence[float]) -> None:
        """Sets the weights.

        Args:
            weights: Of all members.
        """
        self.weights.copy_(torch.tensor(weights, dtype=torch.float64))

    @property
    def chosen(self) -> Tensor:
        """Which members have a weight, (M,)."""
        return self.weights > 0

    def taken(self) -> list[tuple[float, Forecaster]]:
        """Weights and members, of those that have a weight."""
        return [pair for pair in zip(self.weights.tolist(), self.members, strict=True) if pair[0]]  # type: ignore[misc]

    @override
    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:  # type: ignore[override]
        marks = state_dict.get(f"{prefix}chosen")
        if isinstance(marks, Tensor):  # of a version whose members had equal weights
            state_dict = {name: value for name, value in state_dict.items() if name != f"{prefix}chosen"}
            state_dict[f"{prefix}weights"] = marks.float() / marks.sum().clamp_min(1)
        super()._load_from_state_dict(state_dict, prefix, *args)  # type: ignore[arg-type]

    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs that a chosen member takes."""
        taken = {name for _, member in self.taken() for name in member.input_names}
        return tuple(name for name in ("past", *COVARIATES) if name in taken)

    def forecasts(self, inputs: Batch) -> list[Tensor]:
        """Each member's forecast in raw units, chosen or not."""
        return [member_forecast(member, inputs) for member in self.members]  # type: ignore[arg-type]

    def forward(
        self,
        past: Tensor,
        past_covariates: Tensor | None = None,
        future_covariates: Tensor | None = None,
        static_covariates: Tensor | None = None,
    ) -> Tensor:
        """Forecasts in raw units: (B, L, C) -> (B, H, C)."""
        given = (past, past_covariates, future_covariates, static_covariates)
        inputs = {name: value for name, value in zip(("past", *COVARIATES), given, strict=True) if value is not None}
        members = self.taken()
        if not members:
            raise ValueError("model: none of its members is fitted; give the checkpoint of a fit, --ckpt_path")
        return mean_forecast(members, inputs)


def mean_forecast(members: Sequence[tuple[float, Forecaster]], inputs: Batch) -> Tensor:
    """The weighted mean of forecasts in raw units, (B, H, C).

    Args:
        members: Weights, of sum one, and forecasters in raw units.
        inputs: Of which each takes what it knows, and the last rows that it sees.
    """
    if len(members) == 1:
        return member_forecast(members[0][1], inputs)
    forecasts = torch.stack([weight * member_forecast(member, inputs) for weight, member in members])
    return forecasts.sum(dim=0)


def member_forecast(member: Forecaster, inputs: Batch) -> Tensor:
    """A member's forecast in raw units, (B, H, C), see `mean_forecast`."""
    shorter = {name: inputs[name] for name in member.input_names if name in inputs}
    rows = shorter["past"].shape[1] - member.look_back
    if rows > 0:  # the last rows of a longer window
        kept = {name: value if name == "static_covariates" else value[:, rows:] for name, value in shorter.items()}
        return member(**kept)  # type: ignore[no-any-return]
    return member(**shorter)  # type: ignore[no-any-return]


def _equal(size: int) -> Tensor:
    return torch.full((size,), 1 / max(1, size))


class MeanForecaster(Forecaster):
    """Collects the products of the members' errors on the validation windows, from which members are weighed.

    The products of a window's errors determine the squared error of every weighted mean. Subclasses choose in
    `choose_members`. Members work in raw units and have statistics of their own; those of this module set the scale of
    the metrics.
    """

    network: MemberMean

    @property
    def chosen(self) -> list[tuple[float, Forecaster]]:
        """Weights and members, of those whose weighted mean is the forecast."""
        return self.network.taken()

    def choose_members(self, products: Tensor, counts: Tensor) -> dict[str, float]:
        """Sets `network.weights`.

        Args:
            products: Sums of the products of the members' errors in each window, in order of time, float64 (N, M, M).
            counts: Errors in each window, (N,).

        Returns:
            Metrics of the choice by name; `val/mse` among them.
        """
        raise NotImplementedError

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Nothing to train."""

    @override
    def on_validation_epoch_start(self) -> None:
        self._windows: list[tuple[Tensor, Tensor, Tensor]] = []

    @override
    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        if self.trainer.state.fn != "fit":
            super().validation_step(batch, batch_idx)
            return
        future = self.target_scale(batch["future"])
        errors = torch.stack([self.target_scale(raw) - future for raw in self.network.forecasts(batch)], dim=1)
        mask = batch.get("future_mask")
        mask = torch.ones_like(future, dtype=torch.bool) if mask is None else mask
        flat = errors.masked_fill(~mask[:, None], 0.0).flatten(2)  # (B, M, H * C)
        products = (flat @ flat.transpose(1, 2)).double()
        self._windows.append((batch["origin"].cpu(), products.cpu(), mask.flatten(1).sum(dim=1).cpu()))

    @override
    def on_validation_epoch_end(self) -> None:
        if self.trainer.state.fn != "fit" or self.trainer.sanity_checking:
            return
        metrics = self.choose_members(*self._windows_in_order())
        self.log_dict({"val/loss": metrics["val/mse"], **metrics})

    def _windows_in_order(self) -> tuple[Tensor, Tensor]:
        """Error products (N, M, M) and counts (N,) of the windows of all processes, in order of time."""
        everyone = [self._windows]
        if self.trainer.world_size > 1:
            everyone = [[] for _ in range(self.trainer.world_size)]
            torch.distributed.all_gather_object(everyone, self._windows)
        parts = [part for windows in everyone for part in windows]
        origins, products, counts = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        order = origins.argsort()
        return products[order], counts[order]

    @override
    def network_inputs(self, batch: Batch) -> Batch:
        return {name: batch[name] for name in ("past", *COVARIATES) if name in batch}

    @override
    def step(self, batch: Batch) -> StepOutput:
        future = self.target_scale(batch["future"])
        forecast = self.target_scale(self.network(**self.network_inputs(batch)))
        mask = batch.get("future_mask")
        mask = torch.ones_like(future, dtype=torch.bool) if mask is None else mask
        return StepOutput(
            loss=self.masked_loss(forecast, future, mask),
            predictions=forecast[mask],
            targets=future[mask],
            weight=int(mask.sum()),
            network_output=forecast,
        )

    def forward(
        self,
        past: Tensor,
        past_covariates: Tensor | None = None,
        future_covariates: Tensor | None = None,
        static_covariates: Tensor | None = None,
    ) -> Tensor:
        """Forecasts in raw units: (B, L, C) -> (B, H, C)."""
        return self.network(past, past_covariates, future_covariates, static_covariates)
