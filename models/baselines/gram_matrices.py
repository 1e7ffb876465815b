"""GramMatrices, the second moments of windows and horizons per channel, and the reduced-rank ridge they determine."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_STEP = 10.0
"""Factor by which a grid of penalties is widened at its end."""
_LOWEST, _HIGHEST = 1e-4, 1e12


@dataclass
class GramMatrices:
    """Second moments of windows X (N, L) and horizons Y (N, H) of C channels: they determine the error of any weight.

    Attributes:
        xx: X'X, float64 (C, L, L).
        xy: X'Y, float64 (C, L, H).
        yy: Sum of squares of Y, float64 (C,).
        count: Number of values in Y, float64 (C,).
    """

    xx: Tensor
    xy: Tensor
    yy: Tensor
    count: Tensor

    @classmethod
    def zeros(cls, *, channels: int, look_back: int, horizon: int, device: torch.device) -> "GramMatrices":
        """Moments of zero rows."""
        # Blocks are multiplied in float32 and summed in float64; MPS has no float64, so its sums are kept on the CPU.
        home = torch.device("cpu") if device.type == "mps" else device

        def empty(*shape: int) -> Tensor:
            return torch.zeros(channels, *shape, dtype=torch.float64, device=home)

        return cls(xx=empty(look_back, look_back), xy=empty(look_back, horizon), yy=empty(), count=empty())

    def add(self, x_CNL: Tensor, y_CNH: Tensor, whole_CN: Tensor | None = None) -> None:  # noqa: N803
        """Adds a block of rows.

        Args:
            x_CNL: Windows (C, N, L); with a single channel of moments, the rows of all channels count as its own.
            y_CNH: Horizons (C, N, H).
            whole_CN: Rows that count, bool (C, N); None for all.
        """
        if len(self.xx) == 1 and len(x_CNL) > 1:
            x_CNL, y_CNH = x_CNL.flatten(0, 1).unsqueeze(0), y_CNH.flatten(0, 1).unsqueeze(0)  # noqa: N806
            whole_CN = None if whole_CN is None else whole_CN.flatten().unsqueeze(0)  # noqa: N806
        rows = torch.full_like(self.count, x_CNL.shape[1])
        if whole_CN is not None:  # rows of zeros add nothing
            x_CNL, y_CNH = (torch.where(whole_CN.unsqueeze(-1), part, 0.0) for part in (x_CNL, y_CNH))  # noqa: N806
            rows = whole_CN.sum(dim=1).to(rows)
        self.xx += (x_CNL.transpose(1, 2) @ x_CNL).to(self.xx)
        self.xy += (x_CNL.transpose(1, 2) @ y_CNH).to(self.xy)
        self.yy += y_CNH.square().sum(dim=(1, 2)).to(self.yy)
        self.count += rows * y_CNH.shape[2]

    def __add__(self, other: "GramMatrices") -> "GramMatrices":
        """Moments of the rows of both."""
        return GramMatrices(
            xx=self.xx + other.xx, xy=self.xy + other.xy, yy=self.yy + other.yy, count=self.count + other.count
        )

    def channel(self, index: int) -> "GramMatrices":
        """Moments of one channel."""
        one = slice(index, index + 1)
        return GramMatrices(xx=self.xx[one], xy=self.xy[one], yy=self.yy[one], count=self.count[one])

    def shared(self) -> "GramMatrices":
        """Moments of the rows of all channels, as one."""
        parts = (part.sum(dim=0, keepdim=True) for part in (self.xx, self.xy, self.yy, self.count))
        return GramMatrices(*parts)

    def mean_squared_error(self, weight: Tensor) -> float:
        """MSE of X @ weight on these rows; weight float64 (L, H) or (C, L, H)."""
        explained = sum(
            float((own * (xx @ own - 2 * xy)).sum())
            for xx, xy, own in zip(self.xx, self.xy, weight.expand_as(self.xy), strict=True)
        )
        return (explained + float(self.yy.sum())) / float(self.count.sum())


@dataclass(frozen=True)
class RidgeSolution:
    """The ridge regression with the lowest validation MSE among the candidates.

    Attributes:
        weight: float64 (L, H).
        penalty: Its lambda.
        rank: Its rank.
    """

    weight: Tensor
    penalty: float
    rank: int


def solve_ridge(
    train: GramMatrices, val: GramMatrices, *, penalties: Sequence[float], ranks: Sequence[int]
) -> RidgeSolution:
    """Chooses penalty, and then rank, of a ridge regression by its validation MSE.

    The rank is that of the fitted values (Izenman, 1975): the leading directions of B' X'X B; the errors of all ranks
    follow from the moments of those directions. Where the lowest or highest of several penalties is the best one, the
    grid is widened there, tenfold each time.

    Args:
        train: Moments of the training rows of one channel.
        val: Those of its validation rows.
        penalties: Candidates for lambda; a single one is taken as it is.
        ranks: Candidates for the rank; full rank is always one.
    """
    eigenvalues, basis = torch.linalg.eigh(train.xx[0])
    projected = basis.T @ train.xy[0]
    ridges: dict[float, Tensor] = {}
    errors: dict[float, float] = {}

    def tried(penalty: float) -> float:
        if penalty not in errors:
            ridges[penalty] = basis @ (projected / (eigenvalues + penalty)[:, None])
            errors[penalty] = val.mean_squared_error(ridges[penalty])
        return errors[penalty]

    grid = sorted(penalties)
    penalty = min(grid, key=tried)
    while len(grid) > 1 and _LOWEST <= penalty <= _HIGHEST and penalty in (grid[0], grid[-1]):
        grid = sorted([*grid, penalty / _STEP if penalty == grid[0] else penalty * _STEP])
        penalty = min(grid, key=tried)

    ridge = ridges[penalty]
    full_rank = ridge.shape[1]
    directions = torch.linalg.eigh(ridge.T @ train.xx[0] @ ridge).eigenvectors.flip(
        1
    )  # by how much of the fit is theirs
    turned = ridge @ directions
    matched = directions * (ridge.T @ val.xy[0] @ directions)
    explained = ((turned * (val.xx[0] @ turned)).sum(0) - 2 * matched.sum(0)).cumsum(0)  # by rank, from 1 on
    rank = min({*(rank for rank in ranks if rank < full_rank), full_rank}, key=lambda rank: float(explained[rank - 1]))
    leading = directions[:, :rank]
    return RidgeSolution(weight=ridge if rank == full_rank else ridge @ leading @ leading.T, penalty=penalty, rank=rank)
