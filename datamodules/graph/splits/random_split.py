"""Shares of a set of samples, of every class alike."""

from collections.abc import Sequence

import numpy as np


def percentages(shares: Sequence[float]) -> str:
    """Shares as they are written in names: `60_20_20`."""
    return "_".join(f"{100 * share:g}" for share in shares)


def check_shares(train: float, val: float, *, key: str) -> tuple[float, float, float]:
    """Shares of train, val and test, of which test is what is left."""
    test = round(1 - train - val, 9)
    if min(train, val, test) <= 0:
        raise ValueError(
            f"{key}: train {train:g} and val {val:g} leave {test:g} for test; all three must be above 0, "
            "e.g. train 0.6 and val 0.2"
        )
    return train, val, test


def draw_shares(
    labels: np.ndarray | None, size: int, shares: Sequence[float], generator: np.random.Generator
) -> list[np.ndarray]:
    """Draws disjoint parts of `size` samples, ascending, whose sizes are the shares to within one sample.

    With labels each class is spread evenly over the parts: in a random order within its class, sample r of n stands at
    (r + 1/2) / n of the way, and the parts are cut from all samples in the order of these places. So a class with a
    single sample goes to the part that holds the middle.

    Args:
        labels: Classes (size,); None draws without regard to any.
        size: Number of samples.
        shares: Shares of the parts, which add up to 1.
        generator: What draws.
    """
    order = generator.permutation(size)
    if labels is not None:
        places = np.empty(size)
        for label in np.unique(labels):
            members = order[labels[order] == label]
            places[members] = (np.arange(len(members)) + 0.5) / len(members)
        order = order[np.argsort(places[order], kind="stable")]
    ends = np.round(np.cumsum(shares[:-1]) * size).astype(np.int64)
    return [np.sort(part) for part in np.split(order, ends)]
