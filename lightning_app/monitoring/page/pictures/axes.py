"""Axes of pictures: round ticks of numbers and of time, and scales from values to pixels."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

_HOUR, _DAY = 3600, 86_400
_STEPS = (
    60, 300, 900, 1800, _HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR, _DAY, 2 * _DAY, 7 * _DAY, 14 * _DAY, 28 * _DAY,
    91 * _DAY, 182 * _DAY, 365 * _DAY,
)  # fmt: skip
_MONDAY = 4 * _DAY
"""The first Monday after 1970 began, which weeks are counted from."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """From values to pixels.

    Attributes:
        low: Value at `start`.
        high: Value at `end`.
        start: Pixel.
        end: Pixel; smaller than `start` for axes that point upwards.
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Pixel of a value; values outside lie on the border."""
        place = (value - self.low) / (self.high - self.low or 1.0)
        return self.start + (self.end - self.start) * min(1.0, max(0.0, place))


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers that span a range; their first and last are the ends of the axis.

    Args:
        low: Smallest value.
        high: Largest value.
        most: Intervals between ticks, about.
    """
    span = (high - low) or abs(high) or 1.0
    rough = span / most
    power = 10.0 ** math.floor(math.log10(rough))
    size = power * next(factor for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / size + 1e-9), math.ceil(high / size - 1e-9)
    last = max(last, first + 1)
    return [float(f"{place * size:.12g}") for place in range(first, last + 1)]


def time_ticks(since: float, until: float, most: int = 8) -> list[tuple[float, str]]:
    """Round times inside a span with short labels in UTC.

    Args:
        since: First moment.
        until: Last moment.
        most: Most ticks.
    """
    place = bisect_left(_STEPS, (until - since) / most)
    step = _STEPS[min(place, len(_STEPS) - 1)]
    offset = _MONDAY if step % (7 * _DAY) == 0 else 0
    time = math.ceil((since - offset) / step) * step + offset
    labelled = []
    while time <= until:
        labelled.append((float(time), _label(time, step)))
        time += step
    return labelled


def _label(seconds: float, step: float) -> str:
    time = datetime.fromtimestamp(seconds, UTC)
    if step < _DAY and (time.hour or time.minute):
        return f"{time:%H:%M}"
    return f"{time:%b %Y}" if step >= 91 * _DAY else f"{time.day} {time:%b}"


def path(points: Sequence[tuple[float, float] | None]) -> str:
    """Path of a line through points; None interrupts it.

    Args:
        points: Pixels.
    """
    words, is_open = [], False
    for point in points:
        if point is not None:
            words.append(f"{'L' if is_open else 'M'}{pixel(point[0])} {pixel(point[1])}")
        is_open = point is not None
    return "".join(words)


def pixel(value: float) -> str:
    """A pixel with a tenth at most: pictures stay small.

    Args:
        value: Pixel.
    """
    text = f"{value:.1f}"
    return text.removesuffix(".0") if text != "-0.0" else "0"
