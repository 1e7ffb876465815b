"""RowValues: numbers of named columns of a request, standardised; what is no number is average, and counted."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

MOST_DEVIATIONS = 10.0
"""Values further from the mean, in standard deviations, are taken as this far."""


class RowValues:
    """Reads rows of requests.

    Args:
        columns: Columns of the request.
        means: Mean of each column.
        scales: Standard deviation of each column, positive.

    Attributes:
        missing: By column: rows in which it was absent, null, a text, or not finite; the mean was taken for it.
        clipped: By column: rows in which it was more than 10 standard deviations from the mean.
    """

    def __init__(self, *, columns: Sequence[str], means: Sequence[float], scales: Sequence[float]) -> None:
        self._columns = list(zip(columns, means, scales, strict=True))
        self.missing = dict.fromkeys(columns, 0)
        self.clipped = dict.fromkeys(columns, 0)

    def take_counts(self) -> list[tuple[str, Literal["missing", "clipped"], int]]:
        """Column, what was wrong, and number of rows since the last call; columns that were right are left out."""
        kinds: tuple[tuple[Literal["missing", "clipped"], dict[str, int]], ...] = (
            ("missing", self.missing),
            ("clipped", self.clipped),
        )
        counts = [(column, kind, count) for kind, by_column in kinds for column, count in by_column.items() if count]
        for column, kind, _ in counts:
            (self.missing if kind == "missing" else self.clipped)[column] = 0
        return counts

    def standardised(self, row: Mapping[str, Any]) -> list[float]:
        """Inputs of the linear model: 1, then each column.

        Args:
            row: Value by column.
        """
        inputs = [1.0]
        for column, mean, scale in self._columns:
            value = number(row.get(column))
            if value is None:
                self.missing[column] += 1
                inputs.append(0.0)
                continue
            deviation = (value - mean) / scale
            if not -MOST_DEVIATIONS <= deviation <= MOST_DEVIATIONS:
                self.clipped[column] += 1
                deviation = math.copysign(MOST_DEVIATIONS, deviation)
            inputs.append(deviation)
        return inputs


def number(value: object) -> float | None:
    """A value as a finite number; None if it is none. Texts are none, true is 1, a list of one is what it holds.

    Args:
        value: Value of a column.
    """
    if not isinstance(value, (float, int)):
        value = _single(value)
        if not isinstance(value, (float, int)):
            return None
    try:
        value = float(value)
    except OverflowError:  # an integer of more than 308 digits
        return None
    return value if math.isfinite(value) else None


def _single(value: object) -> object:
    """A value of a table or tensor as one of Python; as it is, if it is none."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value.item() if isinstance(value, (np.generic, np.ndarray)) and value.size == 1 else value
