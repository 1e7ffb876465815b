"""Reductions: functions of the values of a window, of which none is null."""

import math
from collections.abc import Callable
from typing import Any


def total(cells: list[Any]) -> Any:
    """Sum of numbers, whole if they are, else rounded once."""
    if not cells:
        return None
    if not isinstance(cells[0], float):
        return sum(cells)
    try:
        return math.fsum(cells)
    except (OverflowError, ValueError):  # too large in between, or infinities of both signs
        return sum(cells)


def mean(cells: list[Any]) -> float | None:
    """Mean of numbers."""
    return total(cells) / len(cells) if cells else None


def deviation(cells: list[Any]) -> float | None:
    """Sample deviation, in two passes, corrected for the rounding of the mean."""
    if len(cells) < 2:
        return None
    centre = total(cells) / len(cells)
    distances = [cell - centre for cell in cells]
    off = total(distances)
    spread = total([distance * distance for distance in distances]) - off * off / len(cells)
    return math.sqrt(spread / (len(cells) - 1)) if spread > 0 else spread * 0.0


REDUCE: dict[str, Callable[[list[Any]], Any]] = {
    "count": len,
    "sum": total,
    "mean": mean,
    "std": deviation,
    "min": lambda cells: min(cells, default=None),
    "max": lambda cells: max(cells, default=None),
    "first": lambda cells: cells[0] if cells else None,
    "last": lambda cells: cells[-1] if cells else None,
    "distinct": lambda cells: len(set(cells)),
}
