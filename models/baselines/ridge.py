"""Ridge regression of reduced rank in closed form: of all channels, or of each; chosen on validation data."""

import statistics
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from models.base import Batch
from models.baselines.gram_matrices import GramMatrices, RidgeSolution, solve_ridge
from models.forecasting.forecaster import Forecaster
from models.layers import ReversibleNorm

_GIB = 2**30
_MOST_BYTES = 4 * _GIB
"""Memory that the moments of single channels may take."""
_PARTS = 4
"""Parts of the validation windows, in each of which regressions of channels have to be better than one of all."""


class FixedLinear(nn.Module):
    """A linear forecast whose weight is solved in closed form instead of trained.

    Args:
        look_back: Input rows, L.
        horizon: Forecast rows, H.
        norm: Normalisation of each window; `mean` or `last`, which keep the regression linear.

    Attributes:
        weight: (L, H) for all channels, or (C, L, H), one for each.
    """

    weight: Tensor

    def __init__(self, *, look_back: int, horizon: int, norm: ReversibleNorm) -> None:
        super().__init__()
        if norm.mode == "std":
            raise ValueError("norm: mode 'std' given, a regression in closed form allows 'mean' and 'last'")
        self.look_back = look_back
        self.norm = norm
        self.register_buffer("weight", torch.zeros(look_back, horizon))

    def set_weight(self, weight: Tensor) -> None:
        """Takes a weight.

        Args:
            weight: (L, H) or (C, L, H).
        """
        self.weight = weight.to(self.weight)

    @override
    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:  # type: ignore[override]
        saved = state_dict.get(f"{prefix}weight")
        if isinstance(saved, Tensor) and saved.shape[-2:] == self.weight.shape[-2:]:
            self.weight = torch.empty_like(saved, device=self.weight.device)  # of all channels or of each
        super()._load_from_state_dict(state_dict, prefix, *args)  # type: ignore[arg-type]

    def forward(self, past: Tensor) -> Tensor:
        """Forecasts (B, L, C) -> (B, H, C)."""
        window, level, scale = self.norm(past.transpose(1, 2)[..., -self.look_back :])  # (B, C, L)
        channels = "" if self.weight.ndim == 2 else "c"
        forecast = torch.einsum(f"bcl,{channels}lh->bch", window, self.weight)
        return self.norm.invert(forecast, level, scale).transpose(1, 2)


class RidgeForecaster(Forecaster):
    """Reduced-rank ridge regression from window to horizon, of all channels or of each; validation chooses.

    `fit` accumulates the Gram matrices of the training windows in one pass, then those of the validation windows. The
    validation errors of all penalties and ranks follow from them, so that the choice is nearly free, see `solve_ridge`.
    A regression for each channel has C times the numbers of one for all: it is taken where it has the lower error in
    every quarter of the validation windows. With masked data only windows whose whole horizon was observed are used.

    Args:
        network: The linear map to solve for.
        loss: Logged only.
        num_channels: Target channels C.
        look_back: Input rows, L.
        horizon: Forecast rows, H.
        penalties: Candidates for lambda; widened where the lowest or highest one is the best. A single one is taken.
        ranks: Candidates for the rank; full rank is always one.
        per_channel: Whether each channel gets a regression of its own; None lets validation choose.
    """

    def __init__(
        self,
        *,
        network: FixedLinear,
        loss: nn.Module,
        num_channels: int,
        look_back: int,
        horizon: int,
        penalties: Sequence[float] = (1e1, 1e3, 1e4, 1e5),
        ranks: Sequence[int] = (1, 2, 4, 8, 16, 24, 32, 48, 96),
        per_channel: bool | None = None,
    ) -> None:
        super().__init__(network=network, loss=loss, num_channels=num_channels, look_back=look_back, horizon=horizon)
        if not penalties or min(penalties) <= 0:
            raise ValueError(f"model.penalties: {list(penalties)} given, one or more numbers above 0 are needed")
        if ranks and min(ranks) < 1:
            raise ValueError(f"model.ranks: {list(ranks)} given, whole numbers above 0 are needed")
        self.penalties = tuple(penalties)
        self.ranks = tuple(ranks)
        self.per_channel = per_channel
        self._single = False
        self.solutions: list[RidgeSolution] = []
        """What was chosen by the last fit: one of all channels, or one of each."""

    @property
    @override
    def num_fitted(self) -> int:
        assert isinstance(self.network, FixedLinear)
        return self.network.weight.numel()

    @override
    def on_train_epoch_start(self) -> None:
        self._train_moments = self._no_moments()

    @override
    def training_step(self, batch: Batch, batch_idx: int) -> None:
        self._add(self._train_moments, batch)

    @override
    def on_validation_epoch_start(self) -> None:
        self._val_moments = [self._no_moments() for _ in range(_PARTS)]

    @override
    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        part = min(batch_idx * _PARTS // int(self.trainer.num_val_batches[0]), _PARTS - 1)
        self._add(self._val_moments[part], batch)

    @override
    def on_validation_epoch_end(self) -> None:
        assert isinstance(self.network, FixedLinear)
        parts = [self._reduced(part) for part in self._val_moments]
        moments = reduce(add, parts)
        if not moments.count.sum():
            raise ValueError("data: no validation window has a wholly observed horizon to choose the penalty on")
        if self.trainer.training or self.trainer.state.fn == "fit":
            if self.trainer.sanity_checking:
                return
            self.network.set_weight(self.solve(self._reduced(self._train_moments), parts))
            self.log_dict({f"val/{name}": value for name, value in self.chosen.items()})
        error = moments.mean_squared_error(self.network.weight.to(moments.xx))
        self.log_dict({"val/loss": error, "val/mse": error}, prog_bar=True)

    def solve(self, train: GramMatrices, val: Sequence[GramMatrices]) -> Tensor:
        """Solves for the regressions that validation chooses, and keeps them in `solutions`.

        Args:
            train: Moments of the training rows; of several channels if each may get a regression of its own.
            val: Those of the validation rows, in parts.

        Returns:
            Their weight, float64 (L, H), or (C, L, H) with a regression for each channel.
        """

        def solved(train: GramMatrices, val: GramMatrices) -> RidgeSolution:
            return solve_ridge(train, val, penalties=self.penalties, ranks=self.ranks)

        whole = reduce(add, val)
        several = len(train.count) > 1
        if several and not (train.count.all() and whole.count.all()):
            if self.per_channel:
                raise ValueError(
                    "model.per_channel: a channel has no training or no validation window with a wholly observed "
                    "horizon; give null or false"
                )
            several = False
        shared = None if self.per_channel and several else solved(train.shared(), whole.shared())
        if several:
            own = [solved(train.channel(index), whole.channel(index)) for index in range(len(train.count))]
            weight = torch.stack([solution.weight for solution in own])
            parts = [part for part in val if part.count.sum()]
            if shared is None or all(
                part.mean_squared_error(weight) < part.mean_squared_error(shared.weight) for part in parts
            ):
                self.solutions = own
                return weight
        assert shared is not None
        self.solutions = [shared]
        return shared.weight

    @property
    def chosen(self) -> dict[str, float]:
        """Medians of `penalty` and `rank` over what was chosen, and how many `regressions` there are."""
        return {
            "penalty": statistics.median(solution.penalty for solution in self.solutions),
            "rank": float(statistics.median(solution.rank for solution in self.solutions)),
            "regressions": float(len(self.solutions)),
        }

    @override
    def on_fit_start(self) -> None:
        super().on_fit_start()
        needed = 8 * (1 + _PARTS) * self.num_channels * self.look_back * (self.look_back + self.horizon)
        self._single = self.num_channels > 1 and self.per_channel is not False
        if self._single and self.per_channel is None and needed > _MOST_BYTES:
            self._single = False
            self.print(
                f"fit: one regression for all {self.num_channels} channels: those of each would take "
                f"{needed / _GIB:.0f} GiB; model.per_channel true takes them"
            )

    def _no_moments(self) -> GramMatrices:
        assert isinstance(self.network, FixedLinear)
        single = self._single if self.trainer.state.fn == "fit" else self.network.weight.ndim == 3
        return GramMatrices.zeros(
            channels=self.num_channels if single else 1,
            look_back=self.look_back,
            horizon=self.horizon,
            device=self.device,
        )

    def _add(self, moments: GramMatrices, batch: Batch) -> None:
        assert isinstance(self.network, FixedLinear)
        past = self.target_scale(batch["past"]).transpose(1, 2)
        future = self.target_scale(batch["future"]).transpose(1, 2)
        window, level, _ = self.network.norm(past)
        mask = batch.get("future_mask")
        whole = None if mask is None else mask.transpose(1, 2).all(dim=2).transpose(0, 1)  # (C, B)
        moments.add(window.transpose(0, 1), (future - level).transpose(0, 1), whole)

    def _reduced(self, moments: GramMatrices) -> GramMatrices:
        """The sum over all processes."""
        if self.trainer.world_size == 1:
            return moments
        summed = self.trainer.strategy.reduce
        parts = (moments.xx, moments.xy, moments.yy, moments.count)
        return GramMatrices(*(summed(part, reduce_op="sum") for part in parts))
