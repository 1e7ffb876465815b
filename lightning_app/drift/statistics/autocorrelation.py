"""Autocorrelation of rows in time order, and the design effect that follows from it."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from msgspec import Struct

Array = npt.NDArray[np.float64]

_MAX_LAGS = 32
_MAX_ROWS = 200_000
_GRID = 2**15
_SURE = 0.001
_NEGLIGIBLE = 1e-6


class Autocorrelation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the rows of one direction depend on those before them.

    Attributes:
        lags: Autocorrelation at lag 1, 2, ...: an autoregression of this order; none for independent rows.
        freedom: Degrees of freedom of the variance that follows from it; None if it is known.
        block_rows: Rows of a block of the reference.
        block_factor: By how much means of blocks vary more than the autoregression says; 1 unless that is certain.
    """

    lags: list[float] = []
    freedom: float | None = None
    block_rows: int = 1
    block_factor: float = 1.0

    @property
    def dependent(self) -> bool:
        """Whether rows depend on those before them."""
        return bool(self.lags) or self.block_factor > 1

    def design_effect(self, rows: int) -> float:
        """Variance of the mean of so many rows in succession, over that of independent rows.

        Args:
            rows: Rows of the window.
        """
        effect = _autoregressive_effect(self.lags, rows)
        reach = min(1.0, rows / self.block_rows)
        return effect * (1 + (self.block_factor - 1) * reach)


def fit_autocorrelation(series: Array, *, num_blocks: int) -> Autocorrelation:
    """Chooses the order of an autoregression by the Bayesian information criterion.

    Args:
        series: Scores of rows in time order, [rows] or [rows, directions] of equal standing.
        num_blocks: Blocks whose means are compared with what the autoregression says.
    """
    series = series[-_MAX_ROWS:].reshape(len(series[-_MAX_ROWS:]), -1)
    series = series - series.mean(axis=0)
    rows, directions = series.shape
    power = float(np.sum(series * series))
    if rows < 40 or power <= 0:
        return Autocorrelation()
    max_lags = min(_MAX_LAGS, rows // 10)
    columns = np.ascontiguousarray(series.T)
    lags = np.array([sum(float(one[lag:] @ one[:-lag]) for one in columns) for lag in range(1, max_lags + 1)]) / power
    order = 0
    if rows * directions * np.max(lags**2) > np.log(rows * directions):  # else no order pays
        errors = _prediction_errors(lags)
        criteria = rows * directions * np.log(np.concatenate(([1.0], errors)))
        orders = np.arange(len(criteria))
        if np.argmin(criteria + orders * np.log(rows * directions)) > 0:
            order = int(np.argmin(criteria + 2 * orders))
    found = lags[:order].tolist()
    block_rows = rows // num_blocks
    blocks = series[rows - block_rows * num_blocks :].reshape(num_blocks, block_rows, directions).mean(axis=1)
    spread = float(np.sum(np.var(blocks, axis=0, ddof=1))) * block_rows * rows / power
    ratio = spread / _autoregressive_effect(found, block_rows)
    free = (num_blocks - 1) * directions
    from scipy.special import chdtrc  # servers read references too, and have no SciPy

    if chdtrc(free, free * ratio) < _SURE:
        return Autocorrelation(lags=found, freedom=float(free), block_rows=block_rows, block_factor=ratio)
    return Autocorrelation(lags=found, freedom=_freedom(found, rows * directions), block_rows=block_rows)


def _prediction_errors(lags: Array) -> Array:
    """Share of the variance that autoregressions of order 1, 2, ... leave (Levinson and Durbin)."""
    coefficients = np.zeros(0)
    error, errors = 1.0, []
    for order, lag in enumerate(lags):
        reflection = (lag - float(coefficients @ lags[:order][::-1])) / error
        error *= 1 - reflection**2
        if error <= 1e-12:
            break
        coefficients = np.append(coefficients - reflection * coefficients[::-1], reflection)
        errors.append(error)
    return np.array(errors)


def _coefficients(lags: list[float]) -> tuple[Array, Array]:
    """Coefficients of the autoregression, and the matrix of autocorrelations."""
    values = np.concatenate(([1.0], lags))
    places = np.arange(len(lags))
    matrix = values[np.abs(places[:, None] - places)]
    return np.linalg.solve(matrix, values[1:]), matrix


def _autoregressive_effect(lags: list[float], rows: int) -> float:
    if not lags or rows < 2:
        return 1.0
    sums, moments = _summed_correlations(tuple(lags))
    last = min(rows, len(sums)) - 1
    return float(max(1 + 2 * (sums[last] - moments[last] / rows), 1 / rows))


@lru_cache(maxsize=1024)
def _summed_correlations(lags: tuple[float, ...]) -> tuple[Array, Array]:
    """Sums of the autocorrelations at lag 0 (not counted), 1, 2, ... and of lag times autocorrelation."""
    coefficients, _ = _coefficients(list(lags))
    for grid in (_GRID // 16, _GRID):
        spectrum = 1 / np.abs(np.fft.rfft(np.concatenate(([1.0], -coefficients)), grid)) ** 2
        correlations = np.fft.irfft(spectrum, grid)[: grid // 2]
        correlations /= correlations[0]
        correlations[0] = 0
        if np.abs(correlations[grid // 4 :]).max() < _NEGLIGIBLE:
            break
    used = np.flatnonzero(np.abs(correlations) > _NEGLIGIBLE)
    correlations = correlations[: used[-1] + 1 if len(used) else 1]
    return np.cumsum(correlations), np.cumsum(np.arange(len(correlations)) * correlations)


def _freedom(lags: list[float], rows: int) -> float | None:
    """Degrees of freedom of the long-run variance (delta method)."""
    if not lags:
        return None
    coefficients, matrix = _coefficients(lags)
    error = 1 - float(coefficients @ lags)
    ones = np.ones(len(lags))
    variance = error * float(ones @ np.linalg.solve(matrix, ones)) / rows
    relative = 2 / rows + 4 * variance / (1 - float(coefficients.sum())) ** 2
    return float(2 / relative)
