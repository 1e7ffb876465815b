"""Words of the page: numbers with the digits that matter, shares, and times in UTC."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime

NOTHING = "\N{EN DASH}"
"""Where there is no value."""
MINUS = "\N{MINUS SIGN}"
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86_400.0


def number(value: float | None, digits: int = 3) -> str:
    """A number with so many significant digits; integers keep all of theirs.

    Args:
        value: The number; None is shown as a dash.
        digits: Significant digits.
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    if isinstance(value, int) or value == 0:
        return f"{int(value):,}".replace("-", MINUS)
    size = abs(value)
    if size >= 1e9 or size < 1e-4:
        return f"{value:.{digits - 1}e}".replace("-", MINUS)
    return fixed(value, max(0, digits - 1 - math.floor(math.log10(size))))


def fixed(value: float, places: int) -> str:
    """A number with so many digits after the point.

    Args:
        value: The number.
        places: Digits after the point.
    """
    text = f"{value:,.{places}f}"
    return text.removeprefix("-") if float(text.replace(",", "")) == 0 else text.replace("-", MINUS)


def tick_names(values: Sequence[float]) -> list[str]:
    """Names of the ticks of an axis: all with the same digits after the point.

    Args:
        values: Ticks, at least two.
    """
    largest = max(abs(value) for value in values)
    if largest >= 1e6 or largest < 1e-3:
        return [f"{value:.3g}".replace("-", MINUS) for value in values]
    places = next((places for places in range(6) if all(_is_round(value, places) for value in values)), 6)
    return [fixed(value, places) for value in values]


def _is_round(value: float, places: int) -> bool:
    return abs(value - round(value, places)) <= 1e-9 * max(1.0, abs(value))


def count(value: int, one: str, many: str | None = None) -> str:
    """A number of things, e.g. `3 columns`.

    Args:
        value: How many.
        one: Name of one.
        many: Name of several; default: with an s.
    """
    return f"{value:,} {one if value == 1 else many or one + 's'}"


def share(value: float | None) -> str:
    """A share in percent, as precise as it matters.

    Args:
        value: Between 0 and 1; None is shown as a dash.
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    percent = 100 * value
    if 0 < percent < 0.1:
        return "< 0.1 %"
    if 99.9 < percent < 100:
        return "> 99.9 %"
    text = f"{percent:.1f}" if 0 < percent < 10 or 90 < percent < 100 else f"{percent:.0f}"
    return f"{text.removesuffix('.0')} %"


def p_value(value: float | None) -> str:
    """A p-value; very small ones as a bound.

    Args:
        value: Between 0 and 1; None is shown as a dash.
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def interval(low: float | None, high: float | None) -> str:
    """An interval; empty without one.

    Args:
        low: Lower end.
        high: Upper end.
    """
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return ""
    size = max(abs(low), abs(high))
    if size == 0 or size >= 1e9 or size < 1e-4:
        return f"{number(low)} to {number(high)}"
    places = max(0, 2 - math.floor(math.log10(size)))
    return f"{fixed(low, places)} to {fixed(high, places)}"


def moment(seconds: float) -> str:
    """A time to the minute, e.g. `8 Nov 2026 14:05`, in UTC.

    Args:
        seconds: Unix seconds.
    """
    time = _time(seconds)
    return f"{day(seconds)} {time:%H:%M}"


def day(seconds: float) -> str:
    """A day, e.g. `8 Nov 2026`, in UTC.

    Args:
        seconds: Unix seconds.
    """
    time = _time(seconds)
    return f"{time.day} {time:%b} {time.year}"


def iso(seconds: float) -> str:
    """A time for machines, e.g. `2026-11-08T14:05:00Z`.

    Args:
        seconds: Unix seconds.
    """
    return f"{_time(seconds):%Y-%m-%dT%H:%M:%SZ}"


def start_of(seconds: float, every: float) -> str:
    """The start of a window: a day if windows are whole days, else a time.

    Args:
        seconds: Unix seconds.
        every: Length of the window in seconds.
    """
    return day(seconds) if every % _DAY == 0 and seconds % _DAY == 0 else moment(seconds)


def span(seconds: float) -> str:
    """A length of time, e.g. `7 days` or `90 minutes`.

    Args:
        seconds: The length.
    """
    for size, name in ((_DAY, "day"), (_HOUR, "hour"), (_MINUTE, "minute")):
        if seconds >= 2 * size or seconds == size:
            whole = seconds / size
            text = f"{whole:.0f}" if whole.is_integer() or whole >= 10 else f"{whole:.1f}"
            return f"{text} {name}{'' if text == '1' else 's'}"
    return f"{seconds:.0f} seconds"


def listed(names: Sequence[str], most: int = 3) -> str:
    """Names as a list in a sentence, e.g. `a, b and 3 more`.

    Args:
        names: At least one.
        most: Names that are written out.
    """
    if len(names) > most + 1:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def shortened(text: str, most: int) -> str:
    """A text of at most so many letters; the last becomes an ellipsis.

    Args:
        text: Text.
        most: Letters.
    """
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
