"""Reserve: the part of a deadline that is kept for the fallbacks of a model."""

from collections import deque

LEAST_SHARE, _MOST_SHARE = 0.1, 0.5
"""Of the time that is left, this much at least and at most is kept for what comes next in the chain."""
_MEASURED = 256


class Reserve:
    """How much of the deadline is kept for the fallbacks of a model: what they needed lately.

    Args:
        seconds: What the user set; None measures.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self._fixed = seconds
        self._lately: deque[float] = deque(maxlen=_MEASURED)
        self._since = 0
        self._p99 = 0.0

    def took(self, seconds: float) -> None:
        """Measures an answer of a fallback.

        Args:
            seconds: How long it took.
        """
        self._lately.append(seconds)
        self._since += 1
        if self._since >= _MEASURED // 8 or not self._p99:
            self._since = 0
            ordered = sorted(self._lately)
            self._p99 = ordered[int(0.99 * (len(ordered) - 1))]

    def of(self, left: float, calls: float) -> float:
        """Seconds of those that are left which are kept.

        Args:
            left: Seconds until the deadline.
            calls: What a call of the fallback was measured to take when it was loaded.
        """
        wanted = self._fixed if self._fixed is not None else max(LEAST_SHARE * left, 2 * self._p99, 5 * calls)
        return min(wanted, _MOST_SHARE * left)
