"""Decayed sums over ranges of events: the weight of an event halves every half-life."""

import numpy as np


def decayed_sums(values: np.ndarray, times: np.ndarray, starts: np.ndarray, half_life: int) -> np.ndarray:
    """Sum of the values up to each event, weighed at the time of that event, float64 (n,).

    Sums over 1, 2, 4, ... events are built from one another: nothing is subtracted, so no digit is lost.

    Args:
        values: float64 (n,).
        times: Microseconds, int64 (n,), ascending within a history.
        starts: Position of the first event of the history of each event, int64 (n,).
        half_life: Microseconds.
    """
    total = values.astype(np.float64)
    position = np.arange(len(values))
    step = 1
    rows = np.flatnonzero(position - step >= starts)
    while len(rows):
        earlier = rows - step
        weight = 0.5 ** ((times[rows] - times[earlier]) / half_life)
        total[rows] = total[rows] + weight * total[earlier]  # the right side is of before, all of it
        step *= 2
        rows = rows[rows - step >= starts[rows]]
    return total
