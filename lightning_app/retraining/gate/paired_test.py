"""Paired test: whether a candidate's errors are lower than the champion's, on rows whose errors are correlated."""

import math
from dataclasses import dataclass

import numpy as np

MOST_BLOCKS = 40
FEWEST_BLOCKS = 10
_LENGTHS = 5.0
"""Blocks are so many times as long as the errors are correlated, so that their means are nearly independent."""


@dataclass(frozen=True)
class PairedResult:
    """Result of a test on errors by row.

    Attributes:
        ratio: Mean error of the candidate / mean error of the champion.
        low: Lower end of its 95 % interval.
        high: Upper end.
        p_value: Of "the candidate is not better than the margin asks"; 1 with too few rows.
        rows: Rows.
        rows_needed: Rows below which nothing can be said.
        block: Rows per block.
    """

    ratio: float
    low: float
    high: float
    p_value: float
    rows: int
    rows_needed: int
    block: int


def paired_test(candidate: np.ndarray, champion: np.ndarray, *, margin: float, block: int = 1) -> PairedResult:
    """Tests `mean(candidate) < (1 + margin) * mean(champion)` by the means of blocks of consecutive rows.

    Differences of neighbouring rows are correlated, since errors change with the hour and the season. Their integrated
    autocorrelation gives the length of the blocks; Student's t on the means of 10 to 40 blocks gives the p-value, also
    where it has to be very small.

    Args:
        candidate: Errors of the candidate (N,), in the order of time.
        champion: Errors of the champion on the same rows.
        margin: How much worse the candidate may be, relative to the champion; below 0 it has to be better.
        block: Rows that are known to be correlated.
    """
    from scipy.special import stdtr

    rows, mean = len(candidate), float(champion.mean()) if len(champion) else math.nan
    difference = candidate - (1 + margin) * champion
    length = max(block, math.ceil(_LENGTHS * correlated_rows(difference)))
    num_blocks = min(MOST_BLOCKS, rows // length)
    needed = FEWEST_BLOCKS * length
    ratio = _ratio(float(candidate.mean()) if rows else math.nan, mean)
    if num_blocks < FEWEST_BLOCKS:
        return PairedResult(ratio, 0.0, math.inf, 1.0, rows, needed, length)
    means = _block_means(difference, num_blocks)
    error = float(means.std(ddof=1)) / math.sqrt(num_blocks)
    freedom, centre = num_blocks - 1, float(difference.mean())
    p_value = float(stdtr(freedom, centre / error)) if error > 0 else 0.0 if centre < 0 else 1.0
    low, high = _interval(candidate, champion, num_blocks)
    return PairedResult(ratio, low, high, p_value, rows, needed, length)


def correlated_rows(values: np.ndarray) -> float:
    """Integrated autocorrelation: how many consecutive rows say as much as one independent row; at least 1.

    Args:
        values: The series (N,).
    """
    count = len(values)
    centred = values - values.mean() if count else values
    if count < 4 or not (power := float(centred @ centred)):
        return 1.0
    spectrum = np.fft.rfft(centred, 2 * count)
    correlation = np.fft.irfft(spectrum * spectrum.conj())[:count] / power
    # Geyer's initial positive sequence: sums of neighbouring pairs are positive, until noise is all that is left.
    pairs = correlation[: count - count % 2].reshape(-1, 2).sum(axis=1)
    end = int(np.argmax(pairs <= 0)) if (pairs <= 0).any() else len(pairs)
    return max(1.0, float(2 * pairs[:end].sum() - 1))


def _interval(candidate: np.ndarray, champion: np.ndarray, num_blocks: int) -> tuple[float, float]:
    """95 % interval of the ratio of the means, from the linearised errors of the blocks."""
    from scipy.special import stdtrit

    mean, other = float(candidate.mean()), float(champion.mean())
    if other <= 0:
        return (1.0, 1.0) if mean <= 0 else (math.inf, math.inf)
    ratio = mean / other
    means = _block_means(candidate - ratio * champion, num_blocks) / other
    radius = float(stdtrit(num_blocks - 1, 0.975)) * float(means.std(ddof=1)) / math.sqrt(num_blocks)
    return max(0.0, ratio - radius), ratio + radius


def _block_means(values: np.ndarray, num_blocks: int) -> np.ndarray:
    return np.array([part.mean() for part in np.array_split(values, num_blocks)])


def _ratio(mean: float, other: float) -> float:
    if math.isnan(mean) or math.isnan(other):
        return math.nan
    return mean / other if other > 0 else 1.0 if mean <= 0 else math.inf
