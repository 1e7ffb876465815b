"""Streams of errors with and without changes, and concepts like those of SEA: what detectors of changes are tried on."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Errors = Literal["wrong answers", "absolute errors", "heavy-tailed errors", "dependent wrong answers"]


@dataclass(frozen=True)
class Concept:
    """Rows of classes that change at known places.

    Attributes:
        x: Columns between 0 and 10, the third without meaning, (rows, 3).
        y: Classes 0 and 1, (rows,).
        cuts: First row of each new concept.
    """

    x: Array
    y: NDArray[np.int64]
    cuts: tuple[int, ...]


def sea_like(seed: int, *, rows: int = 50_000, noise: float = 0.1) -> Concept:
    """Class 1 where x1 + x2 is at most a bound that changes three times, by at least 1, with noise.

    Args:
        seed: Of the rows, the bounds (6.5 to 10) and the places (7,000 to 15,000 rows apart).
        rows: How many.
        noise: Share of classes that are turned around.
    """
    random = np.random.default_rng(seed)
    cuts = np.cumsum(random.integers(7_000, 15_000, 3))
    bounds = [random.uniform(6.5, 10)]
    while len(bounds) < 4:
        bound = random.uniform(6.5, 10)
        if abs(bound - bounds[-1]) >= 1:
            bounds.append(bound)
    x = 10 * random.random((rows, 3))
    bound = np.array(bounds)[np.searchsorted(cuts, np.arange(rows), side="right")]
    y = (x[:, 0] + x[:, 1] <= bound) ^ (random.random(rows) < noise)
    return Concept(x, y.astype(np.int64), tuple(int(cut) for cut in cuts))


def error_stream(
    kind: Errors, rate: float, *, rows: int, seed: int, change: int | None = None, factor: float = 1.0, over: int = 1
) -> Array:
    """Errors of a model whose mean error is multiplied by a factor at one place.

    Args:
        kind: 0 and 1, or numbers at least 0.
        rate: Mean of errors of 0 and 1; others have a typical size of 1.
        rows: How many.
        seed: Of the errors.
        change: First changed row; None changes nothing.
        factor: Of the mean afterwards.
        over: Rows that the change takes, as a straight line.
    """
    random = np.random.default_rng(seed)
    level = np.ones(rows)
    if change is not None:
        level = 1 + (factor - 1) * np.clip((np.arange(rows) - change + 1) / over, 0, 1)
    if kind == "wrong answers":
        return (random.random(rows) < rate * level).astype(float)
    if kind == "absolute errors":
        return np.abs(random.normal(size=rows)) / 0.674 * level
    if kind == "heavy-tailed errors":
        return np.abs(random.standard_t(2, size=rows)) / 0.816 * level
    from scipy.signal import lfilter

    shocks = random.normal(size=rows + 500)
    wave = 0.5 * lfilter([np.sqrt(1 - 0.9**2)], [1, -0.9], shocks)[500:]
    return (random.random(rows) < np.minimum(1, rate * level * np.exp(wave - 0.125))).astype(float)
