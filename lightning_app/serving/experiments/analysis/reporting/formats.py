"""Formats of numbers, intervals, rates and times for people."""

from datetime import UTC, datetime


def number(value: float | None, *, digits: int = 4) -> str:
    """A number for people.

    Args:
        value: The number; None is a dash.
        digits: Significant digits.
    """
    if value is None or value != value:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 10**digits else f"{value:.{digits}g}"


def signed(value: float | None) -> str:
    """A difference for people.

    Args:
        value: The difference; None is a dash.
    """
    if value is None or value != value:
        return "-"
    return f"{value:+.3g}"


def span(ends: tuple[float, float]) -> str:
    """An interval for people.

    Args:
        ends: Its ends.
    """
    return f"{signed(ends[0])} to {signed(ends[1])}"


def p_value(value: float) -> str:
    """A p-value for people.

    Args:
        value: The p-value.
    """
    return "< 1e-12" if value < 1e-12 else f"{value:.2g}"


def rate(events: int, trials: int) -> str:
    """A count with its rate.

    Args:
        events: The count.
        trials: Of how many.
    """
    return f"{events:,} ({events / trials:.2%})" if trials and events else f"{events:,}"


def time_text(seconds: float | None) -> str:
    """A time in UTC.

    Args:
        seconds: Unix seconds; None is a dash.
    """
    return "-" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"
