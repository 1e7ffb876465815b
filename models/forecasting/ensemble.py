"""EnsembleForecaster: equal-weight mean of trained forecasters."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from typing_extensions import override

from models.base import Batch, StepOutput
from models.forecasting.forecaster import Forecaster
from models.forecasting.member_choice import MOST_MEMBERS, largest_subset


class EnsembleForecaster(Forecaster):
    """Mean of the members that validation chooses.

    `fit` trains nothing: one validation pass collects the products of the members' errors in each window, which
    determine the MSE of every subset's mean and how far it can be trusted, see `largest_subset`. The weights within a
    subset are equal, as fitted weights rarely beat them out of sample (Smith & Wallis, 2009).

    Args:
        members: Checkpoints of trained forecasters with the same horizon and channels, without covariates and
            quantiles. Keep the files: a saved ensemble rebuilds its members from them.
        loss: Logged only.
        num_channels: Target channels C.
        look_back: Input rows, L; at least the longest of the members.
        horizon: Forecast rows, H.
        choose: Choose members; False keeps all.
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
        if not 1 <= len(members) <= MOST_MEMBERS:
            raise ValueError(f"model.members: {len(members)} checkpoints given, 1 to {MOST_MEMBERS} are allowed")
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
        self._windows: list[tuple[Tensor, Tensor, Tensor]] = []

    @override
    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        if self.trainer.state.fn != "fit":
            super().validation_step(batch, batch_idx)
            return
        assert isinstance(self.network, _Mean)
        future = self.target_scale(batch["future"])
        errors = torch.stack([self.target_scale(raw) - future for raw in self.network.forecasts(batch["past"])], dim=1)
        mask = batch.get("future_mask")
        mask = torch.ones_like(future, dtype=torch.bool) if mask is None else mask
        flat = errors.masked_fill(~mask[:, None], 0.0).flatten(2)  # (B, M, H * C)
        products = (flat @ flat.transpose(1, 2)).double()
        self._windows.append((batch["origin"].cpu(), products.cpu(), mask.flatten(1).sum(dim=1).cpu()))

    @override
    def on_validation_epoch_end(self) -> None:
        if self.trainer.state.fn != "fit" or self.trainer.sanity_checking:
            return
        assert isinstance(self.network, _Mean)
        products, counts = self._windows_in_order()
        if self.choose:
            choice = largest_subset(products, counts=counts, block=self.horizon)
            subset, error = choice.members, choice.error
            self.print(f"ensemble: {choice.describe(member_names(self.members))}")
        else:
            subset = tuple(range(len(self.members)))
            error = float(products.mean(dim=(1, 2)).sum() / counts.sum())
        self.network.chosen.copy_(torch.tensor([index in subset for index in range(len(self.members))]))
        self.log_dict({"val/loss": error, "val/mse": error, "val/num_members": float(len(subset))})

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


def member_names(paths: Sequence[str]) -> list[str]:
    """Short names of checkpoints: their runs, with as many folders as make them differ."""
    parts = [[part for part in Path(path).parts if part != "checkpoints"] for path in paths]
    if all(part[-1] == "best.ckpt" and len(part) > 1 for part in parts):
        parts = [part[:-1] for part in parts]
    for depth in range(2, max(map(len, parts)) + 1):
        names = [str(Path(*part[-depth:])) for part in parts]
        if len(set(names)) == len(set(paths)):
            return names
    return list(paths)


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
