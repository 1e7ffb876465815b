"""Dependence of a column's rows on those before them, direction by direction."""

import numpy as np
import numpy.typing as npt

from lightning_app.drift.reference.reference import Dependence
from lightning_app.drift.statistics.autocorrelation import Autocorrelation, fit_autocorrelation
from lightning_app.drift.statistics.directions import leading_directions, orthonormal

_RANDOM_DIRECTIONS = 3


def column_dependence(
    places: npt.NDArray[np.intp], counts: npt.NDArray[np.int64], kind: str, *, num_blocks: int
) -> Dependence:
    """Fits an autoregression to each leading direction, and one to random others.

    Args:
        places: Bin of each row in time order, -1 for rows in none.
        counts: Rows in each bin.
        kind: `number` or `category`.
        num_blocks: Number of contiguous blocks.
    """
    usable = places[places >= 0]
    missing = Autocorrelation()
    if 0 < len(usable) < len(places):
        missing = fit_autocorrelation((places < 0).astype(np.float64), num_blocks=num_blocks)
    if np.count_nonzero(counts) < 2:
        return Dependence(unusable=missing)
    shares = counts / counts.sum()
    leading = leading_directions(shares, kind)
    fitted = [fit_autocorrelation(direction[usable], num_blocks=num_blocks) for direction in leading.T]
    noise = np.random.default_rng(0).normal(size=(len(shares), _RANDOM_DIRECTIONS))
    rest = orthonormal(np.concatenate((leading, noise), axis=1), shares)[:, leading.shape[1] :]
    others = fit_autocorrelation(rest[usable], num_blocks=num_blocks) if rest.shape[1] else Autocorrelation()
    return Dependence(leading=fitted, rest=others, unusable=missing)
