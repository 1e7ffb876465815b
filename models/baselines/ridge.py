"""Ridge regression of reduced rank in closed form; penalty and rank are selected on validation data."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from typing_extensions import override

from models.base import Batch
from models.forecasting.forecaster import Forecaster
from models.layers import ReversibleNorm


class FixedLinear(nn.Module):
    """A linear forecast whose weight is solved in closed form instead of trained.

    Args:
        look_back: Input rows, L.
        horizon: Forecast rows, H.
        norm: Normalisation of each window; `mean` or `last`, which keep the regression linear.
    """

    weight: Tensor

    def __init__(self, *, look_back: int, horizon: int, norm: ReversibleNorm) -> None:
        super().__init__()
        if norm.mode == "std":
            raise ValueError("norm: mode 'std' given, a regression in closed form allows 'mean' and 'last'")
        self.look_back = look_back
        self.norm = norm
        self.register_buffer("weight", torch.zeros(look_back, horizon))

    def forward(self, past: Tensor) -> Tensor:
        """Forecasts (B, L, C) -> (B, H, C)."""
        window, level, scale = self.norm(past.transpose(1, 2)[..., -self.look_back :])
        return self.norm.invert(window @ self.weight, level, scale).transpose(1, 2)


@dataclass
class GramMatrices:
    """Second moments of windows X (N, L) and horizons Y (N, H), which determine the squared error of any weight.

    Attributes:
        xx: X'X, float64 (L, L).
        xy: X'Y, float64 (L, H).
        yy: Sum of squares of Y, float64 scalar.
        count: Number of values in Y.
    """

    xx: Tensor
    xy: Tensor
    yy: Tensor
    count: int = 0

    @classmethod
    def zeros(cls, look_back: int, horizon: int, device: torch.device) -> "GramMatrices":
        """Moments of zero rows."""
        # Blocks are multiplied in float32 and summed in float64; MPS has no float64, so its sums are kept on the CPU.
        home = torch.device("cpu") if device.type == "mps" else device
        empty = torch.zeros(look_back, look_back + horizon + 1, dtype=torch.float64, device=home)
        return cls(xx=empty[:, :look_back].clone(), xy=empty[:, look_back:-1].clone(), yy=empty[0, -1].clone())

    def add(self, x_NL: Tensor, y_NH: Tensor) -> None:  # noqa: N803
        """Adds a block of rows."""
        self.xx += (x_NL.T @ x_NL).to(self.xx)
        self.xy += (x_NL.T @ y_NH).to(self.xy)
        self.yy += y_NH.square().sum().to(self.yy)
        self.count += y_NH.numel()

    def mean_squared_error(self, weight: Tensor) -> float:
        """MSE of X @ weight on these rows; weight float64 (L, H)."""
        explained = (weight * (self.xx @ weight - 2 * self.xy)).sum()
        return float(explained + self.yy) / self.count


class RidgeForecaster(Forecaster):
    """Reduced-rank ridge regression from window to horizon; lambda and rank minimise the validation MSE.

    `fit` accumulates the Gram matrices of the training windows in one pass, then those of the validation windows. The
    validation error of every candidate follows from them, so that the selection is nearly free. The rank is that of
    the fitted values (Izenman, 1975): the leading directions of B' X'X B. With masked data only windows whose whole
    horizon was observed are used.

    Args:
        network: The linear map to solve for.
        loss: Logged only.
        num_channels: Target channels C.
        look_back: Input rows, L.
        horizon: Forecast rows, H.
        penalties: Candidates for lambda.
        ranks: Candidates for the rank; full rank is always one.
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
        ranks: Sequence[int] = (8, 16, 24, 32, 48, 96),
    ) -> None:
        super().__init__(network=network, loss=loss, num_channels=num_channels, look_back=look_back, horizon=horizon)
        if not penalties or min(penalties) <= 0:
            raise ValueError(f"model.penalties: {list(penalties)} given, one or more numbers above 0 are needed")
        self.penalties = tuple(penalties)
        self.ranks = tuple(rank for rank in ranks if rank < horizon)
        self.chosen = {"penalty": float("nan"), "rank": float("nan")}

    @property
    @override
    def num_fitted(self) -> int:
        return self.look_back * self.horizon

    @override
    def on_train_epoch_start(self) -> None:
        self._train_moments = self._no_moments()

    @override
    def training_step(self, batch: Batch, batch_idx: int) -> None:
        self._add(self._train_moments, batch)

    @override
    def on_validation_epoch_start(self) -> None:
        self._val_moments = self._no_moments()

    @override
    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._add(self._val_moments, batch)

    @override
    def on_validation_epoch_end(self) -> None:
        assert isinstance(self.network, FixedLinear)
        moments = self._reduced(self._val_moments)
        if moments.count == 0:
            raise ValueError("data: no validation window has a wholly observed horizon to choose the penalty on")
        if self.trainer.training or self.trainer.state.fn == "fit":
            if self.trainer.sanity_checking:
                return
            weight, self.chosen = self.solve(self._reduced(self._train_moments), moments)
            self.network.weight.copy_(weight)
            self.log_dict({f"val/{name}": value for name, value in self.chosen.items()})
        error = moments.mean_squared_error(self.network.weight.to(moments.xx))
        self.log_dict({"val/loss": error, "val/mse": error}, prog_bar=True)

    def solve(self, train: GramMatrices, val: GramMatrices) -> tuple[Tensor, dict[str, float]]:
        """Selects the candidate with the lowest validation MSE: first lambda at full rank, then the rank.

        Returns:
            weight: float64 (L, H).
            chosen: Its `penalty` and `rank`.
        """
        eigenvalues, basis = torch.linalg.eigh(train.xx)
        projected = basis.T @ train.xy
        full_rank = train.xy.shape[1]
        by_penalty = {penalty: basis @ (projected / (eigenvalues + penalty)[:, None]) for penalty in self.penalties}
        penalty = min(by_penalty, key=lambda candidate: val.mean_squared_error(by_penalty[candidate]))
        ridge = by_penalty[penalty]
        directions = torch.linalg.eigh(ridge.T @ train.xx @ ridge).eigenvectors.flip(1)
        by_rank = {full_rank: ridge}
        for rank in self.ranks:
            leading = directions[:, :rank]
            by_rank[rank] = ridge @ leading @ leading.T
        rank = min(by_rank, key=lambda candidate: val.mean_squared_error(by_rank[candidate]))
        return by_rank[rank], {"penalty": penalty, "rank": float(rank)}

    def _no_moments(self) -> GramMatrices:
        return GramMatrices.zeros(self.look_back, self.horizon, self.device)

    def _add(self, moments: GramMatrices, batch: Batch) -> None:
        assert isinstance(self.network, FixedLinear)
        past = self.target_scale(batch["past"]).transpose(1, 2)
        future = self.target_scale(batch["future"]).transpose(1, 2)
        window, level, _ = self.network.norm(past)
        rows = window.flatten(0, 1), (future - level).flatten(0, 1)
        if "future_mask" in batch:  # use only rows with a fully observed horizon
            whole = batch["future_mask"].transpose(1, 2).flatten(0, 1).all(dim=1)
            rows = rows[0][whole], rows[1][whole]
        moments.add(*rows)

    def _reduced(self, moments: GramMatrices) -> GramMatrices:
        """The sum over all processes."""
        if self.trainer.world_size == 1:
            return moments
        count = torch.tensor(moments.count, dtype=torch.float64, device=moments.xx.device)
        reduce = self.trainer.strategy.reduce
        summed = [reduce(part, reduce_op="sum") for part in (moments.xx, moments.xy, moments.yy, count)]
        return GramMatrices(xx=summed[0], xy=summed[1], yy=summed[2], count=int(summed[3]))
