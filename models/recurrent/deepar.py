"""DeepAR: a recurrent encoder that gives the distribution of each next value, and forecasts by paths drawn from it.

Shapes: B windows, C channels, L look-back, H horizon, T = L + H rows, K known-future covariates, S static ones,
N = B * C, F inputs of a row, G lags, M paths, Q quantiles.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Distribution, Normal, StudentT

from models.layers import ReversibleNorm
from models.recurrent.encoder import Encoder
from models.recurrent.state import RecurrentState, map_state

_LEAST_SCALE = 1e-3


class DeepAR(nn.Module):
    """DeepAR (Salinas et al., International Journal of Forecasting, 2020) over any recurrent encoder.

    The inputs of a row are values at earlier rows, its known-future covariates and the static ones; from them the
    encoder gives location and scale of the distribution of its value. A forecast continues the window by paths, each
    value of which is drawn and read again. The draws are fixed when the network is built: a forecast is a function of
    its inputs, the same in training, in a package and in every batch. Channels are forecast independently with shared
    weights. Trained by `AutoregressiveForecaster`.

    Args:
        encoder: Reads the embedded inputs of a row; any size.
        look_back: Input rows, L.
        horizon: Forecast rows, H.
        num_future_covariates: K.
        num_static_covariates: S.
        quantiles: Levels to forecast, those of the paths; None for their mean.
        lags: How many rows before a row its inputs are; the paper has 1, a season helps.
        degrees_of_freedom: Of a Student's t-distribution; None for a Gaussian.
        num_paths: Paths, M.
        seed: Seed of their draws.
        norm: Normalisation of each window.
    """

    draws: Tensor

    def __init__(
        self,
        *,
        encoder: Encoder,
        look_back: int,
        horizon: int,
        num_future_covariates: int = 0,
        num_static_covariates: int = 0,
        quantiles: Sequence[float] | None = None,
        lags: Sequence[int] = (1,),
        degrees_of_freedom: float | None = None,
        num_paths: int = 100,
        seed: int = 0,
        norm: ReversibleNorm,
    ) -> None:
        super().__init__()
        if not lags or min(lags) < 1 or max(lags) >= look_back:
            raise ValueError(
                f"lags: {list(lags)} given, allowed are 1 to less than look_back {look_back}; they are "
                "rows, such as 1 and a season: model.network.lags"
            )
        if num_paths < 2:
            raise ValueError(f"num_paths: {num_paths} given, at least 2 are needed")
        if degrees_of_freedom is not None and degrees_of_freedom <= 2:
            raise ValueError(
                f"degrees_of_freedom: {degrees_of_freedom} given, more than 2 are needed for a finite variance"
            )
        self.look_back = look_back
        self.horizon = horizon
        self.quantiles = tuple(quantiles) if quantiles is not None else None
        self.lags = tuple(lags)
        self.degrees_of_freedom = degrees_of_freedom
        self.num_paths = num_paths
        self.norm = norm
        self.embedding = nn.Linear(len(self.lags) + num_future_covariates + num_static_covariates, encoder.input_size)
        self.encoder = encoder
        self.head = nn.Linear(encoder.output_size, 2)
        unit = Normal(0.0, 1.0) if degrees_of_freedom is None else StudentT(degrees_of_freedom)
        self.register_buffer("draws", _opposite_draws(unit, num_paths, horizon, seed))  # (H, M)

    def forward(
        self, past: Tensor, future_covariates: Tensor | None = None, static_covariates: Tensor | None = None
    ) -> Tensor:
        """Forecasts the horizon after each window.

        Args:
            past: (B, L, C).
            future_covariates: (B, L + H, K), required if K > 0.
            static_covariates: (B, C, S), required if S > 0.

        Returns:
            (B, H, C), or (B, H, C, Q) with quantiles.
        """
        window, level, scale = self.norm(past.transpose(1, 2)[..., -self.look_back :])  # (B, C, L)
        known = self._known(window, future_covariates, static_covariates)
        paths = self._paths(window.flatten(0, 1), known).unflatten(0, window.shape[:2])  # (B, C, H, M)
        if self.quantiles is None:
            return self.norm.invert(paths.mean(dim=-1), level, scale).transpose(1, 2)
        levels = _quantiles(paths, self.quantiles)
        return self.norm.invert(levels, level.unsqueeze(-1), scale.unsqueeze(-1)).transpose(1, 2)

    def negative_log_likelihood(
        self,
        past: Tensor,
        future: Tensor,
        future_covariates: Tensor | None = None,
        static_covariates: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """What training minimises: every value of the horizon given the true ones before it, in units of its window.

        The rows of the window do not count: their level and scale would be those of their own future.

        Args:
            past: (B, L, C).
            future: (B, H, C).
            future_covariates: As in `forward`.
            static_covariates: As in `forward`.

        Returns:
            loss: (B, H, C).
            location: (B, H, C), the expectation of each row of the horizon given the true values before it.
        """
        window, level, scale = self.norm(past.transpose(1, 2)[..., -self.look_back :])
        known = self._known(window, future_covariates, static_covariates)
        values = torch.cat([window, (future.transpose(1, 2) - level) / scale], dim=-1).flatten(0, 1)  # (N, T)
        start = self.encoder.initial_state(values.shape[0])
        parameters, _ = self._read(self._inputs(values, known, values.shape[1]), start)
        location, spread = (part[:, -self.horizon :] for part in parameters)  # (N, H)
        loss = -self._distribution(location, spread).log_prob(values[:, self.look_back :])
        expected = self.norm.invert(location.unflatten(0, window.shape[:2]), level, scale)
        return loss.unflatten(0, window.shape[:2]).transpose(1, 2), expected.transpose(1, 2)

    def _known(self, window: Tensor, coming: Tensor | None, static: Tensor | None) -> Tensor:
        """Known-future and static covariates of all rows, (N, T, K + S)."""
        sizes = (*window.shape[:2], self.look_back + self.horizon)
        parts = [window.new_zeros(*sizes, 0)]
        if coming is not None:
            parts.append(coming[:, coming.shape[1] - sizes[2] :].unsqueeze(1).expand(*sizes, -1))
        if static is not None:
            parts.append(static.unsqueeze(2).expand(*sizes, -1))
        return torch.cat(parts, dim=-1).flatten(0, 1)

    def _inputs(self, values: Tensor, known: Tensor, stop: int) -> Tensor:
        """Inputs (N, rows, F) of the rows from the first that has every lag to `stop`, from values (N, stop)."""
        first = max(self.lags)
        lagged = torch.stack([values[:, first - lag : stop - lag] for lag in self.lags], dim=-1)
        return torch.cat([lagged, known[:, first:stop]], dim=-1)

    def _read(self, inputs: Tensor, state: RecurrentState) -> tuple[tuple[Tensor, Tensor], RecurrentState]:
        """Inputs (lanes, rows, F) -> location and scale of the rows' values, each (lanes, rows), and the state."""
        hidden, state = self.encoder.encode(self.embedding(inputs), state)
        location, spread = self.head(hidden).unbind(dim=-1)
        return (location, F.softplus(spread) + _LEAST_SCALE), state

    def _paths(self, window: Tensor, known: Tensor) -> Tensor:
        """Windows (N, L) -> continuations (N, H, M)."""
        lanes = window.shape[0]
        state = self.encoder.initial_state(lanes)
        _, state = self._read(self._inputs(window, known, self.look_back), state)
        state = map_state(lambda part: part.repeat_interleave(self.num_paths, dim=0), state)
        values = [value.unsqueeze(1).expand(-1, self.num_paths) for value in window.unbind(dim=1)]  # each (N, M)
        for step in range(self.horizon):
            row = self.look_back + step
            lagged = torch.stack([values[row - lag] for lag in self.lags], dim=-1)  # (N, M, G)
            covariates = known[:, row].unsqueeze(1).expand(-1, self.num_paths, -1)
            inputs = torch.cat([lagged, covariates], dim=-1).flatten(0, 1).unsqueeze(1)  # (N * M, 1, F)
            (location, spread), state = self._read(inputs, state)
            drawn = location.reshape(-1, self.num_paths) + spread.reshape(-1, self.num_paths) * self.draws[step]
            values.append(drawn)
        return torch.stack(values[self.look_back :], dim=1)

    def _distribution(self, location: Tensor, spread: Tensor) -> Distribution:
        if self.degrees_of_freedom is None:
            return Normal(location, spread, validate_args=False)
        return StudentT(self.degrees_of_freedom, location, spread, validate_args=False)


def _opposite_draws(unit: Distribution, num_paths: int, horizon: int, seed: int) -> Tensor:
    """(H, M): in each row the M quantiles of a symmetric distribution at (m + 0.5) / M, in a random order.

    Paths come in pairs of opposite draws, and so the noise that few paths leave in their mean and median cancels as far
    as a network is linear.
    """
    grid = torch.linspace(-15, 15, 60_001, dtype=torch.float64).sinh()
    density = unit.log_prob(grid).exp().numpy()
    steps = np.diff(grid.numpy()) * (density[1:] + density[:-1]) / 2
    cumulated = np.concatenate([[0.0], steps.cumsum()]) / steps.sum()
    levels = (np.arange(num_paths) + 0.5) / num_paths
    upper = torch.from_numpy(np.interp(levels, cumulated, grid.numpy())[-(num_paths // 2) :]).float()
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for _ in range(horizon):
        signs = 2 * torch.randint(2, (len(upper),), generator=generator) - 1
        half = signs * upper[torch.randperm(len(upper), generator=generator)]
        rows.append(torch.cat([half, -half, half.new_zeros(num_paths % 2)]))
    return torch.stack(rows)


def _quantiles(paths: Tensor, levels: Sequence[float]) -> Tensor:
    """Paths (..., M) -> quantiles (..., Q), interpolated linearly."""
    ordered = paths.sort(dim=-1).values
    places = [level * (paths.shape[-1] - 1) for level in levels]
    parts = []
    for place in places:
        lower = int(place)
        upper = min(lower + 1, paths.shape[-1] - 1)
        parts.append(torch.lerp(ordered[..., lower], ordered[..., upper], place - lower))
    return torch.stack(parts, dim=-1)
