"""EnsembleForecaster: weighted mean of trained forecasters."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from typing_extensions import override

from models.forecasting.forecaster import Forecaster
from models.forecasting.mean_forecaster import MeanForecaster, MemberMean
from models.forecasting.member_choice import MOST_MEMBERS, largest_subset
from models.forecasting.member_weights import describe_weights, mean_error, shrunken_weights


class EnsembleForecaster(MeanForecaster):
    """Mean of the members, weighed on validation.

    `fit` trains nothing: one validation pass collects the products of the members' errors in each window, which
    determine the MSE of every weighted mean, see `shrunken_weights`, and how far it can be trusted, see
    `largest_subset`.

    Args:
        members: Checkpoints of trained forecasters with the same horizon and channels, without covariates and
            quantiles. Keep the files: a saved ensemble rebuilds its members from them.
        loss: Logged only.
        num_channels: Target channels C.
        look_back: Input rows, L; at least the longest of the members.
        horizon: Forecast rows, H.
        choose: `weights` weighs the members, `subset` takes the largest subset that is within a standard error of the
            best one, with equal weights; False takes the plain mean of all. True is `weights`.
    """

    def __init__(
        self,
        *,
        members: Sequence[str | Path],
        loss: nn.Module,
        num_channels: int,
        look_back: int,
        horizon: int,
        choose: Literal["weights", "subset"] | bool = "weights",
    ) -> None:
        if not 1 <= len(members) <= MOST_MEMBERS:
            raise ValueError(f"model.members: {len(members)} checkpoints given, 1 to {MOST_MEMBERS} are allowed")
        super().__init__(
            network=MemberMean(
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

    def setup(self, stage: str) -> None:
        """Members have their own statistics; those of the data set the scale of the metrics."""
        super().setup(stage)
        self.requires_grad_(False)

    @override
    def choose_members(self, products: Tensor, counts: Tensor) -> dict[str, float]:
        names, size = member_names(self.members), len(self.members)
        if self.choose == "subset":
            choice = largest_subset(products, counts=counts, block=2 * self.horizon)
            weights = torch.tensor([index in choice.members for index in range(size)]).double() / len(choice.members)
            said = choice.describe(names)
        else:
            weights = torch.full((size,), 1 / size, dtype=torch.float64)
            if self.choose:
                weights = shrunken_weights(products, counts=counts, horizon=self.horizon)
            said = f"{int((weights > 0).sum())} of {size} members, MSE {mean_error(products, counts, weights):.4g}: "
            said += describe_weights(weights.tolist(), names)
        self.print(f"ensemble: {said}")
        self.network.weigh(weights.tolist())
        return {"val/mse": mean_error(products, counts, weights), "val/num_members": float((weights > 0).sum())}


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
