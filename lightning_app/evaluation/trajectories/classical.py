"""Classical trajectory forecasters without training: the baselines of probabilistic forecasts."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from lightning_app.evaluation.trajectories.levels import LEVELS, check_levels
from lightning_app.evaluation.trajectories.units import Units, from_units, to_units


class _ChangeQuantiles(ABC):
    """Forecasts the last value plus quantiles of the change over each step of the horizon.

    Args:
        horizon: Steps H.
        levels: (Q,), ascending.
        units: `log_return` for prices (changes of the logarithm), `level` for series that may be zero or negative.
    """

    def __init__(self, *, horizon: int = 63, levels: Sequence[float] = LEVELS, units: Units = "log_return") -> None:
        if horizon < 1:
            raise ValueError(f"horizon: {horizon} given, 1 or more is allowed")
        self.horizon = horizon
        self.levels = tuple(check_levels(levels).tolist())
        self.units = units

    def fit(self, values: np.ndarray) -> None:
        """Estimates what all forecasts share.

        Args:
            values: (T, C), training rows.

        Raises:
            ValueError: Too few rows, or a value without logarithm.
        """
        if len(values) < self._min_rows:
            raise ValueError(
                f"values: {len(values)} rows given to fit {type(self).__name__}, {self._min_rows} or more are needed; "
                "start later or shorten the horizon"
            )
        self._fit(to_units(values, units=self.units))

    def forecast(self, values: np.ndarray) -> np.ndarray:
        """Quantiles of the rows after the last one.

        Args:
            values: (T, C), all rows up to the origin.

        Returns:
            (C, H, Q), in the units of `values`.
        """
        return from_units(self._quantiles(to_units(values, units=self.units)), units=self.units)

    @property
    def _min_rows(self) -> int:
        # One more row than needed for H changes over the whole horizon.
        return 2 * self.horizon + 1

    @abstractmethod
    def _fit(self, values: np.ndarray) -> None: ...

    @abstractmethod
    def _quantiles(self, values: np.ndarray) -> np.ndarray: ...

    @property
    def _root_steps(self) -> np.ndarray:
        return np.sqrt(np.arange(1, self.horizon + 1))


class RandomWalk(_ChangeQuantiles):
    """Gaussian random walk without drift, with the variance of the last 252 changes: the naive forecast.

    Args:
        horizon: Steps H.
        levels: (Q,), ascending.
        units: `log_return` for prices, `level` for series that may be zero or negative.
        window: Number of changes for the variance.
    """

    def __init__(
        self,
        *,
        horizon: int = 63,
        levels: Sequence[float] = LEVELS,
        units: Units = "log_return",
        window: int = 252,
    ) -> None:
        super().__init__(horizon=horizon, levels=levels, units=units)
        if window < 2:
            raise ValueError(f"window: {window} given, 2 or more is allowed")
        self.window = window
        self._normal = np.array([NormalDist().inv_cdf(level) for level in self.levels])

    @property
    def _min_rows(self) -> int:
        return self.window + 1

    def _fit(self, values: np.ndarray) -> None:
        """Does nothing: the variance window ends at each origin."""

    def _quantiles(self, values: np.ndarray) -> np.ndarray:
        spread = np.diff(values[-self.window - 1 :], axis=0).std(axis=0)  # (C,)
        return values[-1][:, None, None] + np.multiply.outer(spread, np.outer(self._root_steps, self._normal))


class EmpiricalQuantiles(_ChangeQuantiles):
    """Unconditional quantiles of the h-step changes in the training rows, for each h and series."""

    def _fit(self, values: np.ndarray) -> None:
        self._changes = np.stack(
            [
                np.quantile(values[step:] - values[:-step], self.levels, axis=0).T  # (C, Q)
                for step in range(1, self.horizon + 1)
            ],
            axis=1,
        )  # (C, H, Q)

    def _quantiles(self, values: np.ndarray) -> np.ndarray:
        return values[-1][:, None, None] + self._changes


class VolatilityScaledQuantiles(_ChangeQuantiles):
    """Quantiles of h-step changes in units of volatility times sqrt(h), scaled by the volatility at the origin.

    Volatility is an exponentially weighted average of squared changes (RiskMetrics, 1996).

    Args:
        horizon: Steps H.
        levels: (Q,), ascending.
        units: `log_return` for prices, `level` for series that may be zero or negative.
        decay: Decay factor of the average.
        warm_up: Number of initial changes, whose variance initialises the average and which are not used otherwise.
    """

    def __init__(
        self,
        *,
        horizon: int = 63,
        levels: Sequence[float] = LEVELS,
        units: Units = "log_return",
        decay: float = 0.97,
        warm_up: int = 252,
    ) -> None:
        super().__init__(horizon=horizon, levels=levels, units=units)
        if not 0 < decay < 1 or warm_up < 2:
            raise ValueError(
                f"decay, warm_up: {decay}, {warm_up} given; decay must be between 0 and 1, warm_up 2 or more"
            )
        self.decay = decay
        self.warm_up = warm_up

    @property
    def _min_rows(self) -> int:
        return self.warm_up + 2 * self.horizon + 1

    def _fit(self, values: np.ndarray) -> None:
        # The initial value of the average uses the whole warm-up, so only later changes are out of sample.
        scale = self._volatility(values)[self.warm_up + 1 :]  # (T', C)
        known = values[self.warm_up + 1 :]
        self._scaled = np.stack(
            [
                np.quantile((known[step:] - known[:-step]) / (scale[:-step] * step**0.5), self.levels, axis=0).T
                for step in range(1, self.horizon + 1)
            ],
            axis=1,
        )  # (C, H, Q)

    def _quantiles(self, values: np.ndarray) -> np.ndarray:
        scale = self._last_volatility(values)  # (C,)
        return values[-1][:, None, None] + scale[:, None, None] * self._root_steps[:, None] * self._scaled

    def _volatility(self, values: np.ndarray) -> np.ndarray:
        """Volatility (T, C) known at each row of values (T, C)."""
        squares = np.diff(values, axis=0) ** 2
        variance = np.empty_like(values)
        variance[0] = np.diff(values[: self.warm_up + 1], axis=0).var(axis=0)
        for row, square in enumerate(squares, start=1):
            variance[row] = self.decay * variance[row - 1] + (1 - self.decay) * square
        return _positive_root(variance)

    def _last_volatility(self, values: np.ndarray) -> np.ndarray:
        """The last row of `_volatility`, (C,), as one weighted sum."""
        squares = np.diff(values, axis=0) ** 2
        ages = np.arange(len(squares))[::-1]
        start = np.diff(values[: self.warm_up + 1], axis=0).var(axis=0)
        variance = (1 - self.decay) * (self.decay**ages @ squares) + self.decay ** len(squares) * start
        return _positive_root(variance)


class SeasonalNaive(_ChangeQuantiles):
    """The value one season ago, with quantiles of the changes over the number of seasons to the step.

    Args:
        period: Rows of a season, e.g. 7 for days of a week.
        horizon: Steps H.
        levels: (Q,), ascending.
        units: `log_return` for prices, `level` for series that may be zero or negative.
    """

    def __init__(
        self,
        *,
        period: int,
        horizon: int = 63,
        levels: Sequence[float] = LEVELS,
        units: Units = "level",
    ) -> None:
        super().__init__(horizon=horizon, levels=levels, units=units)
        if period < 1:
            raise ValueError(f"period: {period} given, 1 or more is allowed")
        self.period = period
        steps = np.arange(horizon)
        self._seasons = steps // period  # (H,), whole seasons between the last observed one and the step
        self._phase = steps % period  # (H,)

    @property
    def _min_rows(self) -> int:
        return 2 * (int(self._seasons[-1]) + 1) * self.period

    def _fit(self, values: np.ndarray) -> None:
        by_seasons = np.stack(
            [
                np.quantile(values[lag:] - values[:-lag], self.levels, axis=0).T  # (C, Q)
                for lag in self.period * np.arange(1, self._seasons[-1] + 2)
            ],
            axis=1,
        )  # (C, seasons, Q)
        self._changes = by_seasons[:, self._seasons]  # (C, H, Q)

    def _quantiles(self, values: np.ndarray) -> np.ndarray:
        return values[-self.period :][self._phase].T[:, :, None] + self._changes


def _positive_root(variance: np.ndarray) -> np.ndarray:
    # A constant series has zero volatility to divide by.
    return np.sqrt(np.maximum(variance, np.finfo(np.float64).tiny))
