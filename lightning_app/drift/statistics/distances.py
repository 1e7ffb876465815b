"""Distances between two distributions over the same bins."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_HALF = 0.5
"""Added to each count of PSI, which is infinite where one of both is 0."""


class Tails(NamedTuple):
    """What lies beyond the edges.

    Attributes:
        below: Mean over all rows of the distance below the first edge.
        above: Mean over all rows of the distance above the last edge.
    """

    below: float
    above: float


def psi(reference: Array, current: Array) -> Array:
    """Population stability index (the symmetric Kullback-Leibler divergence, natural logarithm).

    Args:
        reference: Counts, [..., bins].
        current: Counts, [..., bins].

    Returns:
        [...]
    """
    used = (reference.reshape(-1, reference.shape[-1]).sum(axis=0) > 0) | (
        current.reshape(-1, current.shape[-1]).sum(axis=0) > 0
    )
    first, second = (_shares(counts[..., used] + _HALF) for counts in (reference, current))
    found: Array = np.sum((second - first) * np.log(second / first), axis=-1)
    return found


def jensen_shannon(reference: Array, current: Array) -> Array:
    """Jensen-Shannon distance (root of the divergence, base 2): 0 to 1.

    Args:
        reference: Counts, [..., bins].
        current: Counts, [..., bins].

    Returns:
        [...]
    """
    first, second = _shares(reference), _shares(current)
    middle = (first + second) / 2
    divergence = (_information(first, middle) + _information(second, middle)) / 2
    return np.sqrt(np.maximum(divergence, 0))


def kolmogorov_smirnov(reference: Array, current: Array) -> Array:
    """Largest difference of the distribution functions at the edges.

    Args:
        reference: Counts in ordered bins, [..., bins].
        current: Counts, [..., bins].

    Returns:
        [...]
    """
    gaps = np.cumsum(_shares(current) - _shares(reference), axis=-1)
    found: Array = np.max(np.abs(gaps), axis=-1)
    return found


def wasserstein(
    reference: Array, current: Array, edges: Array, *, reference_tails: Tails, current_tails: Tails
) -> Array:
    """Wasserstein distance of order 1: how far values must be moved on average.

    Values are taken to be spread evenly within a bin; beyond the edges, their mean distance from the edge is exact.

    Args:
        reference: Counts in ordered bins, [..., bins].
        current: Counts, [..., bins].
        edges: Edges between the bins, [bins - 1].
        reference_tails: What lies beyond the edges in the reference.
        current_tails: What lies beyond the edges in the window.

    Returns:
        [...] in the unit of the edges.
    """
    outside = abs(current_tails.below - reference_tails.below) + abs(current_tails.above - reference_tails.above)
    gaps = np.cumsum(_shares(current) - _shares(reference), axis=-1)[..., :-1]
    before, after = gaps[..., :-1], gaps[..., 1:]
    total = np.abs(before) + np.abs(after)
    crossing = np.divide(before**2 + after**2, 2 * total, out=np.zeros_like(total), where=total > 0)
    area = np.where(before * after >= 0, total / 2, crossing)
    found: Array = np.sum(area * np.diff(edges), axis=-1) + outside
    return found


def _shares(counts: Array) -> Array:
    return counts / np.sum(counts, axis=-1, keepdims=True)


def _information(shares: Array, middle: Array) -> Array:
    ratios = np.divide(shares, middle, out=np.ones_like(shares), where=shares > 0)
    found: Array = np.sum(shares * np.log2(ratios), axis=-1)
    return found
