"""MMD: squared maximum mean discrepancy of two samples by random Fourier features, with a permutation test."""

import numpy as np
import numpy.typing as npt

from lightning_app.drift.multivariate.design import PermutationDesign

Array = npt.NDArray[np.float64]

_FREQUENCIES = 128
"""Of each bandwidth."""
_BANDWIDTHS = (1.0, 0.4)
"""In medians of the distance of two rows (Gretton et al. 2012)."""
_MEDIAN_ROWS = 500


def mmd_test(matrix: Array, design: PermutationDesign, *, seed: int) -> tuple[float, float]:
    """Squared discrepancy, unbiased, and its p-value.

    The bandwidth is the median distance of rows of both samples: with that of the reference alone, labels could not be
    exchanged.

    Args:
        matrix: Pooled rows as numbers, (N, features).
        design: How they are exchanged.
        seed: Of the frequencies.

    Returns:
        The statistic, and the p-value.
    """
    features = random_features(matrix, seed=seed)
    sums = np.zeros((design.labels.shape[1], features.shape[1]))
    np.add.at(sums, design.block, features)
    means = sums / np.bincount(design.block)[:, None]
    statistics = unbiased_mmd(means, design.labels)
    return float(statistics[0]), design.p_value(statistics)


def random_features(matrix: Array, *, seed: int) -> Array:
    """Features whose inner product is near a sum of Gaussian kernels; each row has the norm 1.

    Args:
        matrix: (N, columns).
        seed: Of the frequencies, and of the rows whose distances give the bandwidth.
    """
    random = np.random.default_rng(seed)
    some = matrix[random.permutation(len(matrix))[:_MEDIAN_ROWS]]
    squares = np.sum(some * some, axis=1)
    distances = squares[:, None] + squares - 2 * some @ some.T
    median = np.sqrt(max(float(np.median(distances[np.triu_indices(len(some), 1)])), 1e-12))
    frequencies = np.concatenate(
        [random.normal(size=(matrix.shape[1], _FREQUENCIES)) / (scale * median) for scale in _BANDWIDTHS], axis=1
    )
    angles = matrix @ frequencies
    found: Array = np.concatenate((np.cos(angles), np.sin(angles)), axis=1) / np.sqrt(angles.shape[1])
    return found


def unbiased_mmd(features: Array, labels: npt.NDArray[np.bool_]) -> Array:
    """Unbiased squared distance of the means of two groups of features.

    Args:
        features: (N, features).
        labels: Which rows are in the second group, (assignments, N).

    Returns:
        One for each assignment.
    """
    norms = np.sum(features * features, axis=1)
    chosen = labels.astype(np.float64)
    second = chosen @ features
    first = features.sum(axis=0) - second
    num_second = chosen.sum(axis=1)
    num_first = len(features) - num_second
    own_second = chosen @ norms
    own_first = norms.sum() - own_second
    found: Array = (
        (np.sum(first * first, axis=1) - own_first) / (num_first * (num_first - 1))
        + (np.sum(second * second, axis=1) - own_second) / (num_second * (num_second - 1))
        - 2 * np.sum(first * second, axis=1) / (num_first * num_second)
    )
    return found
