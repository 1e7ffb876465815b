"""Probability of each arm to be the best one: quadrature over the posteriors of all arms."""

from collections.abc import Mapping, Sequence

import numpy as np

from lightning_app.serving.experiments.policies.posteriors import Array, Posterior


def probability_best(posteriors: Sequence[Posterior]) -> Array:
    """Probability of each arm that its mean reward is the largest, shape (num_arms,); they sum to 1.

    It is the integral of the arm's density times the distribution functions of all others, by Simpson's rule between
    the nodes of all posteriors: the same numbers for the same posteriors, without any draws. Right to about 1e-7.

    Args:
        posteriors: Posterior of each arm, on one axis.
    """
    nodes = np.unique(np.concatenate([posterior.nodes() for posterior in posteriors]))
    widths = np.diff(nodes)
    points = np.empty(2 * len(nodes) - 1)
    points[::2], points[1::2] = nodes, nodes[:-1] + widths / 2
    densities = np.stack([posterior.density(points) for posterior in posteriors])
    left, middle, right = densities[:, :-2:2], densities[:, 1::2], densities[:, 2::2]
    below = np.zeros_like(densities)
    np.cumsum(widths / 6 * (left + 4 * middle + right), axis=1, out=below[:, 2::2])
    below[:, 1::2] = below[:, :-2:2] + widths / 24 * (5 * left + 8 * middle - right)
    below = np.clip(below / below[:, -1:], 0.0, 1.0)
    products = densities * _products_of_others(below)
    shares = (widths / 6 * (products[:, :-2:2] + 4 * products[:, 1::2] + products[:, 2::2])).sum(axis=1)
    shares /= (widths / 6 * (left + 4 * middle + right)).sum(axis=1)
    best: Array = shares / shares.sum()
    return best


def with_floor(probabilities: Mapping[str, float], floor: float) -> dict[str, float]:
    """Probabilities of which each is at least a floor; the rest is shared as before.

    Args:
        probabilities: Probability by arm; they sum to 1.
        floor: Least probability; at most 1 / num_arms.
    """
    rest = 1.0 - len(probabilities) * floor
    return {arm: floor + max(rest, 0.0) * probability for arm, probability in probabilities.items()}


def _products_of_others(values: Array) -> Array:
    """For each row the product of all other rows; zeros allowed."""
    before, after = np.ones_like(values), np.ones_like(values)
    np.cumprod(values[:-1], axis=0, out=before[1:])
    np.cumprod(values[:0:-1], axis=0, out=after[-2::-1])
    return before * after
