"""Random stratified partition of samples into fractions."""

from collections.abc import Sequence

import numpy as np


def percentages(fractions: Sequence[float]) -> str:
    """Fractions as percentages for names: `60_20_20`."""
    return "_".join(f"{100 * fraction:g}" for fraction in fractions)


def check_fractions(train: float, val: float, *, key: str) -> tuple[float, float, float]:
    """Validates the fractions of train and val; returns those of train, val and test, the rest."""
    test = round(1 - train - val, 9)
    if min(train, val, test) <= 0:
        raise ValueError(
            f"{key}: train {train:g} and val {val:g} leave {test:g} for test; all three must be above 0, "
            "e.g. train 0.6 and val 0.2"
        )
    return train, val, test


def stratified_partition(
    labels: np.ndarray | None, size: int, fractions: Sequence[float], generator: np.random.Generator
) -> list[np.ndarray]:
    """Partitions `size` samples at random; part sizes match the fractions to within one sample.

    With labels each class is spread evenly over the parts: in random order within its class, sample r of n has position
    (r + 1/2) / n, and the parts are consecutive ranges of all samples sorted by position. So a class with a single
    sample goes to the part that contains the middle.

    Args:
        labels: Classes (size,); None for no stratification.
        size: Number of samples.
        fractions: Fractions of the parts, which sum to 1.
        generator: Source of randomness.

    Returns:
        Sample indices of each part, int64, ascending.
    """
    order = generator.permutation(size)
    if labels is not None:
        positions = np.empty(size)
        for label in np.unique(labels):
            members = order[labels[order] == label]
            positions[members] = (np.arange(len(members)) + 0.5) / len(members)
        order = order[np.argsort(positions[order], kind="stable")]
    ends = np.round(np.cumsum(fractions[:-1]) * size).astype(np.int64)
    return [np.sort(part) for part in np.split(order, ends)]
