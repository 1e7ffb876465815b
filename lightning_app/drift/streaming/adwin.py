"""Adwin: a window of the latest values that is cut where the means of its two parts differ (Bifet & Gavalda 2007).

The window is an exponential histogram: buckets of 1, 2, 4, ... values with their sum and their spread, a few of each
size, so that memory and the cost of an update grow with the logarithm of the window.
"""

from math import log, sqrt

from msgspec import Struct, field

from lightning_app.drift.streaming.checked_value import checked_value


class Level(Struct, array_like=True):
    """Buckets of one size, the oldest first.

    Attributes:
        totals: Sum of the values of each.
        spreads: Sum of the squared deviations from the mean of each.
    """

    totals: list[float] = field(default_factory=list)
    spreads: list[float] = field(default_factory=list)


class Adwin(Struct, kw_only=True, tag="adwin"):
    """Adwin, with its state: `msgspec.json` writes it and reads it back.

    Attributes:
        delta: Bound of the rate of false cuts at each check; smaller is slower and surer.
        clock: Rows between two checks.
        max_buckets: Buckets of each size; more of them cut at finer places.
        minimum_part: Values that each part of the window needs.
        grace: Values before the first check.
        restart: Whether the window is emptied after a change; otherwise its newer part stays, as in the paper.
        levels: Buckets of 1, 2, 4, ... values.
        width: Values in the window.
        total: Their sum.
        spread: Sum of their squared deviations from the mean.
        seen: Values since the window was last empty.
        detected: Whether the latest value ended with a change.
    """

    delta: float = 0.002
    clock: int = 32
    max_buckets: int = 5
    minimum_part: int = 5
    grace: int = 10
    restart: bool = True
    levels: list[Level] = field(default_factory=lambda: [Level()])
    width: int = 0
    total: float = 0.0
    spread: float = 0.0
    seen: int = 0
    detected: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.delta < 1:
            raise ValueError(f"Adwin: delta is {self.delta:g}; it lies between 0 and 1.")
        if min(self.clock, self.max_buckets, self.minimum_part) < 1:
            raise ValueError("Adwin: clock, max_buckets and minimum_part are at least 1.")

    @property
    def mean(self) -> float:
        """Mean of the window; 0 while it is empty."""
        return self.total / self.width if self.width else 0.0

    def reset(self) -> None:
        """Empties the window."""
        self.levels, self.width, self.total, self.spread, self.seen = [Level()], 0, 0.0, 0.0, 0

    def update(self, value: float) -> bool:
        """Takes the next value.

        Args:
            value: A number, e.g. 1 for a wrong answer and 0 for a right one.

        Returns:
            Whether the mean has changed.

        Raises:
            ValueError: The value is not finite.
        """
        value = checked_value("Adwin", value)
        if self.detected and self.restart:
            self.reset()
        self._insert(value)
        self.seen += 1
        self.detected = False
        if self.seen % self.clock == 0 and self.width > self.grace:
            while self._differs():
                self._drop_oldest()
                self.detected = True
        return self.detected

    def _insert(self, value: float) -> None:
        if self.width:
            deviation = value - self.total / self.width
            self.spread += self.width * deviation * deviation / (self.width + 1)
        self.width += 1
        self.total += value
        newest = self.levels[0]
        newest.totals.append(value)
        newest.spreads.append(0.0)
        at, size = 0, 1
        while len(self.levels[at].totals) > self.max_buckets:
            if at + 1 == len(self.levels):
                self.levels.append(Level())
            totals, spreads = self.levels[at].totals, self.levels[at].spreads
            between = (totals[0] - totals[1]) / size
            self.levels[at + 1].totals.append(totals[0] + totals[1])
            self.levels[at + 1].spreads.append(spreads[0] + spreads[1] + size * between * between / 2)
            del totals[:2], spreads[:2]
            at, size = at + 1, 2 * size

    def _differs(self) -> bool:
        """Whether the means of the parts before and after the end of some bucket differ by more than chance."""
        variance = self.spread / self.width
        strictness = log(2 * log(self.width) / self.delta)
        count, total = 0, 0.0
        for at in range(len(self.levels) - 1, -1, -1):
            size = 1 << at
            for bucket in self.levels[at].totals:
                count += size
                total += bucket
                rest = self.width - count
                if rest < self.minimum_part:
                    return False
                if count < self.minimum_part:
                    continue
                inverse = 1 / (count - self.minimum_part + 1) + 1 / (rest - self.minimum_part + 1)
                bound = sqrt(2 * inverse * variance * strictness) + 2 / 3 * strictness * inverse
                if abs(total / count - (self.total - total) / rest) > bound:
                    return True
        return False

    def _drop_oldest(self) -> None:
        oldest, size = self.levels[-1], 1 << (len(self.levels) - 1)
        total = oldest.totals.pop(0)
        spread = oldest.spreads.pop(0)
        self.width -= size
        self.total -= total
        between = total / size - self.total / self.width
        self.spread = max(0.0, self.spread - spread - size * self.width * between * between / (size + self.width))
        while len(self.levels) > 1 and not self.levels[-1].totals:
            self.levels.pop()
