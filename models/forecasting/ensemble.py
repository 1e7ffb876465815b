"""EnsembleForecaster: equal-weight mean of trained forecasters."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import torch
from torch import Tensor, nn
from typing_extensions import override

from models.base import Batch, StepOutput
from models.forecasting.forecaster import Forecaster

_MOST_MEMBERS = 12  # all 2^M subsets are evaluated


class EnsembleForecaster(Forecaster):
    """Mean of the subset of members with the lowest validation MSE.

    `fit` trains nothing: one validation pass accumulates the products of the members' errors, which determine the MSE
    of every subset's mean. Weights within a subset are equal, as fitted weights rarely beat them out of sample
    (Smith & Wallis, 2009).

    Args:
        members: Checkpoints of trained forecasters with the same horizon and channels, without covariates and
            quantiles. Keep the files: a saved ensemble rebuilds its members from them.
        loss: Logged only.
        num_channels: Target channels C.
        look_back: Input rows, L; at least the longest of the members.
        horizon: Forecast rows, H.
        choose: Select the best subset; False keeps all members.
    """

    def __init__(
        self,
        *,
        members: Sequence[str | Path],
        loss: nn.Module,
        num_channels: int,
        look_back: int,
        horizon: int,
        choose: bool = True,
    ) -> None:
        if not 1 <= len(members) <= _MOST_MEMBERS:
            raise ValueError(f"model.members: {len(members)} checkpoints given, 1 to {_MOST_MEMBERS} are allowed")
        super().__init__(
            network=_Mean(
                members=[
                    _load(path, look_back=look_back, horizon=horizon, num_channels=num_channels) for path in members
                ]
            ),
            loss=loss,
            num_channels=num_channels,
            look_back=look_back,
            horizon=horizon,
        )
        self.members = tuple(map(str, members))
        self.choose = choose

    @property
    def chosen(self) -> list[Forecaster]:
        """The selected members, whose mean is the forecast."""
        assert isinstance(self.network, _Mean)
        return self.network.taken()

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Nothing to train."""

    def setup(self, stage: str) -> None:
        """Members have their own statistics; those of the data set the scale of the metrics."""
        super().setup(stage)
        self.requires_grad_(False)

    @override
    def on_validation_epoch_start(self) -> None:
        size = len(self.members)
        self._error_products = torch.zeros(size, size, dtype=torch.float64)
        self._num_errors = 0

    @override
    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        if self.trainer.state.fn != "fit":
            super().validation_step(batch, batch_idx)
            return
        assert isinstance(self.network, _Mean)
        future = self.target_scale(batch["future"])
        errors = torch.stack([self.target_scale(raw) - future for raw in self.network.forecasts(batch["past"])])
        if "future_mask" in batch:
            errors = errors[:, batch["future_mask"]]
        flat = errors.flatten(1)  # (M, N)
        self._error_products += (flat @ flat.T).double().cpu()
        self._num_errors += flat.shape[1]

    @override
    def on_validation_epoch_end(self) -> None:
        if self.trainer.state.fn != "fit" or self.trainer.sanity_checking:
            return
        assert isinstance(self.network, _Mean)
        products = self.trainer.strategy.reduce(self._error_products.to(self.device), reduce_op="sum").cpu()
        count = self.trainer.strategy.reduce(torch.tensor(float(self._num_errors), device=self.device), reduce_op="sum")
        products = products / float(count)
        all_members = tuple(range(len(self.members)))
        subset, error = best_subset(products) if self.choose else (all_members, float(products.mean()))
        self.network.chosen.copy_(torch.tensor([index in subset for index in range(len(self.members))]))
        self.log_dict({"val/loss": error, "val/mse": error, "val/num_members": float(len(subset))})

    @override
    def network_inputs(self, batch: Batch) -> Batch:
        return {"past": batch["past"]}

    @override
    def step(self, batch: Batch) -> StepOutput:
        future = self.target_scale(batch["future"])
        forecast = self.target_scale(self.network(batch["past"]))
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
        past_covariates: Tensor | None = None,  # noqa: ARG002
        future_covariates: Tensor | None = None,  # noqa: ARG002
        static_covariates: Tensor | None = None,  # noqa: ARG002
    ) -> Tensor:
        """Forecasts in raw units: (B, L, C) -> (B, H, C)."""
        return self.network(past)


class _Mean(nn.Module):
    chosen: Tensor

    def __init__(self, *, members: Sequence[Forecaster]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.register_buffer("chosen", torch.ones(len(members), dtype=torch.bool))

    def forecasts(self, past: Tensor) -> list[Tensor]:
        """Each member's forecast in raw units."""
        return [member(past) for member in self.members]

    def taken(self) -> list[Forecaster]:
        """The selected members."""
        return [member for member, taken in zip(self.members, self.chosen.tolist(), strict=True) if taken]  # type: ignore[misc]

    def forward(self, past: Tensor) -> Tensor:
        return torch.stack([member(past) for member in self.taken()]).mean(dim=0)


def best_subset(products: Tensor) -> tuple[tuple[int, ...], float]:
    """Finds the subset whose mean forecast has the lowest MSE.

    Args:
        products: Mean products of the members' errors, (M, M).

    Returns:
        Indices of the subset, and its MSE.
    """
    size = len(products)
    subsets = [subset for count in range(1, size + 1) for subset in combinations(range(size), count)]
    errors = {subset: float(products[subset, :][:, subset].mean()) for subset in subsets}
    best = min(errors, key=lambda subset: errors[subset])
    return best, errors[best]


def _load(path: str | Path, *, look_back: int, horizon: int, num_channels: int) -> Forecaster:
    if not Path(path).is_file():
        raise FileNotFoundError(f"model.members: the checkpoint {path} does not exist")
    member = Forecaster.load_from_checkpoint(path, map_location="cpu", weights_only=True)
    if member.covariate_scales or member.num_static_covariates or member.quantiles:
        raise ValueError(f"model.members: {path} takes covariates or gives quantiles, which an ensemble does not")
    if member.num_channels != num_channels:
        raise ValueError(f"model.members: {path} has {member.num_channels} channels, the data has {num_channels}")
    if member.horizon != horizon or member.look_back > look_back:
        raise ValueError(
            f"model.members: {path} maps {member.look_back} rows to {member.horizon}, which does not fit into "
            f"look_back {look_back} and horizon {horizon}"
        )
    return member
