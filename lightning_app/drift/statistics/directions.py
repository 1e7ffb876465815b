"""Directions in which a distribution over bins can move: place, spread, skewness of numbers; share of a category."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


NUM_RANK_SCORES = 4
NUM_CATEGORIES = 8


def leading_directions(shares: Array, kind: str) -> Array:
    """Directions whose autocorrelation a reference knows one by one.

    Args:
        shares: Share of the reference in each bin, [bins].
        kind: `number` or `category`.

    Returns:
        [bins, directions]: mean 0 and variance 1 in the reference, uncorrelated.
    """
    if kind == "number":
        return rank_scores(shares, num_scores=NUM_RANK_SCORES)
    places = np.argsort(-shares, kind="stable")[: min(NUM_CATEGORIES, np.count_nonzero(shares) - 1)]
    return orthonormal(np.eye(len(shares))[:, places], shares)


def rank_scores(shares: Array, *, num_scores: int) -> Array:
    """Orthonormal polynomials of the mid-ranks, as Neyman's smooth test and the Anderson-Darling statistic use them.

    Args:
        shares: Share of the reference in each bin, [bins].
        num_scores: Maximum number of directions.

    Returns:
        Scores, [bins, directions]: mean 0 and variance 1 in the reference, uncorrelated. Fewer directions if fewer bins
        are used.
    """
    used = shares > 0
    num_scores = min(num_scores, max(int(used.sum()) - 1, 0))
    ranks = 2 * (np.cumsum(shares) - shares / 2) - 1
    return orthonormal(ranks[:, None] ** np.arange(1, num_scores + 1), shares)


def orthonormal(directions: Array, shares: Array) -> Array:
    """Directions made uncorrelated one after the other, with mean 0 and variance 1.

    Args:
        directions: [bins, directions].
        shares: Share of the reference in each bin, [bins].

    Returns:
        [bins, directions]; those that others determine are left out. 0 in bins that the reference does not use.
    """
    roots = np.sqrt(shares)
    basis = [roots / np.sqrt(shares.sum())]
    for direction in (directions * roots[:, None]).T:
        size = np.linalg.norm(direction)
        for _ in range(2):
            direction = direction - sum(one * (one @ direction) for one in basis)
        if np.linalg.norm(direction) > 1e-7 * size:
            basis.append(direction / np.linalg.norm(direction))
    scores = np.stack(basis[1:], axis=1) if len(basis) > 1 else np.zeros((len(shares), 0))
    return np.divide(scores, roots[:, None], out=np.zeros_like(scores), where=roots[:, None] > 0)
