"""GlrDetector: the likelihood ratio of a change at the best place, with a stated number of rows between false alarms.

Errors of 0 and 1 are compared by the likelihood of a Bernoulli variable before and after each place at which the
histogram of the window can be cut (Siegmund & Venkatraman 1995: both means unknown). Errors between 0 and 1, and errors
that depend on those before them, have another variance than that: the ratio is divided by the dispersion that the
merged buckets show at the scale at which it is largest. There are far more independent places for a short change than
for a long one, so each place has the logarithm of the rows on its shorter side as a bonus: false alarms are spread
evenly over lengths (Duembgen & Spokoiny 2001).
"""

from math import log
from typing import Literal

from msgspec import Struct, field

from lightning_app.drift.streaming.checked_value import checked_value

_CLOCK = 16
"""Rows between two checks, and in the smallest bucket."""
_MAX_BUCKETS = 8
_MINIMUM_BEFORE = 128
"""Rows before the first change that can be seen."""
_INTERCEPT, _SLOPE = 4.2, 1.2
"""Threshold is intercept + slope * log(run_length / 1000): simulated for the constants above from 1,000 to 1,000,000
rows; `drift_run_length` in benchmarks/monitoring measures it on other streams."""
_PRIOR_CONTRASTS = 4
"""Contrasts of independent values that are added to those of each level, so that a few chance ones do not count."""
_LEAST_CONTRASTS = 4


class Level(Struct, array_like=True):
    """Buckets of one size, the oldest first.

    Attributes:
        totals: Sum of the values of each.
        contrasts: Pairs of buckets that were merged.
        contrast_total: Sum of their contrasts, each with the variance of the values as its mean if these are
            independent.
    """

    totals: list[float] = field(default_factory=list)
    contrasts: int = 0
    contrast_total: float = 0.0


class GlrDetector(Struct, kw_only=True, tag="glr"):
    """Likelihood ratio of a change, with its state: `msgspec.json` writes it and reads it back.

    Attributes:
        run_length: Rows between false alarms, on average.
        direction: Changes of the mean that are looked for.
        scale: A typical error: an error e becomes e / (e + scale). None takes errors between 0 and 1 as they are.
        levels: Buckets of 16, 32, 64, ... rows.
        width: Rows in full buckets.
        total: Sum of their values.
        squares: Sum of the squares of their values.
        open_rows: Rows of the bucket that is being filled.
        open_total: Their sum.
        open_squares: Sum of their squares.
        statistic: Log likelihood ratio at the latest check, with the bonus of its place.
        changed: Rows since the likeliest place of the change, at the latest check.
        detected: Whether the latest value ended with a change; the next one starts an empty window.
    """

    run_length: int = 100_000
    direction: Literal["up", "both"] = "up"
    scale: float | None = None
    levels: list[Level] = field(default_factory=lambda: [Level()])
    width: int = 0
    total: float = 0.0
    squares: float = 0.0
    open_rows: int = 0
    open_total: float = 0.0
    open_squares: float = 0.0
    statistic: float = 0.0
    changed: int = 0
    detected: bool = False

    def __post_init__(self) -> None:
        if self.run_length < 100:
            raise ValueError(f"GlrDetector: run_length is {self.run_length}; at least 100 rows are allowed.")
        if self.scale is not None and self.scale <= 0:
            raise ValueError(f"GlrDetector: scale is {self.scale:g}; a typical error is above 0.")
        if self.direction not in ("up", "both"):
            raise ValueError(f"GlrDetector: direction is {self.direction!r}; up and both are allowed.")

    @property
    def threshold(self) -> float:
        """Statistic above which an alarm is given."""
        both = log(2) if self.direction == "both" else 0.0
        return _INTERCEPT + _SLOPE * (log(self.run_length / 1000) + both)

    @property
    def mean(self) -> float:
        """Mean of the window, of errors as they are compared; 0 while it is empty."""
        rows = self.width + self.open_rows
        return (self.total + self.open_total) / rows if rows else 0.0

    @property
    def candidates(self) -> list[int]:
        """Rows of full buckets since each place at which the next change of these rows can be put."""
        found, rows = [], 0
        for number, level in enumerate(self.levels):
            for _ in level.totals:
                rows += _CLOCK << number
                found.append(rows)
        return found

    def reset(self) -> None:
        """Empties the window."""
        self.levels, self.width, self.total, self.squares = [Level()], 0, 0.0, 0.0
        self.open_rows, self.open_total, self.open_squares = 0, 0.0, 0.0
        self.statistic, self.changed, self.detected = 0.0, 0, False

    def update(self, error: float) -> bool:
        """Takes the error of the next row.

        Args:
            error: Between 0 and 1, e.g. 1 for a wrong answer; at least 0 where a scale is given.

        Returns:
            Whether the mean has changed.

        Raises:
            ValueError: The error is not finite, or outside of what is allowed.
        """
        value = self._bounded(checked_value("GlrDetector", error))
        if self.detected:
            self.reset()
        self.open_rows += 1
        self.open_total += value
        self.open_squares += value * value
        if self.open_rows == _CLOCK:
            self._close_bucket()
            self._check()
            self.detected = self.statistic > self.threshold
        return self.detected

    def _bounded(self, error: float) -> float:
        if error < 0 or (self.scale is None and error > 1):
            allowed = "0 to 1 without a scale" if self.scale is None else "at least 0"
            raise ValueError(
                f"GlrDetector: the error {error:g} is outside of what is allowed ({allowed}); "
                "give absolute errors, and a typical one as scale."
            )
        return error if self.scale is None else error / (error + self.scale)

    def _close_bucket(self) -> None:
        self.width += self.open_rows
        self.total += self.open_total
        self.squares += self.open_squares
        self.levels[0].totals.append(self.open_total)
        self.open_rows, self.open_total, self.open_squares = 0, 0.0, 0.0
        at, size = 0, _CLOCK
        while len(self.levels[at].totals) > _MAX_BUCKETS:
            level = self.levels[at]
            if at + 1 == len(self.levels):
                self.levels.append(Level())
            older, newer = level.totals[:2]
            del level.totals[:2]
            level.contrasts += 1
            level.contrast_total += (older - newer) ** 2 / (2 * size)
            self.levels[at + 1].totals.append(older + newer)
            at, size = at + 1, 2 * size

    def _dispersion(self) -> float:
        """Variance of the values, dependence included, over that of a Bernoulli variable of their mean."""
        mean = self.total / self.width
        variance = largest = self.squares / self.width - mean * mean
        for level in self.levels:
            if level.contrasts >= _LEAST_CONTRASTS:
                total = level.contrast_total + _PRIOR_CONTRASTS * variance
                largest = max(largest, total / (level.contrasts + _PRIOR_CONTRASTS))
        return largest / (mean * (1 - mean))

    def _check(self) -> None:
        self.statistic, self.changed = 0.0, 0
        mean = self.total / self.width
        if self.width <= _MINIMUM_BEFORE or not 0 < mean < 1:
            return
        dispersion = self._dispersion()
        rows, total, size = 0, 0.0, _CLOCK
        for level in self.levels:
            for bucket in reversed(level.totals):
                rows += size
                total += bucket
                before = self.width - rows
                if before < _MINIMUM_BEFORE:
                    break
                earlier, later = (self.total - total) / before, total / rows
                if later > earlier or self.direction == "both":
                    ratio = (rows * _divergence(later, mean) + before * _divergence(earlier, mean)) / dispersion
                    statistic = ratio + log(min(rows, before) / _CLOCK)
                    if statistic > self.statistic:
                        self.statistic, self.changed = statistic, rows
            size *= 2


def _divergence(mean: float, other: float) -> float:
    """Kullback-Leibler divergence of Bernoulli variables, in nats; rounding may put a mean slightly outside 0 to 1."""
    divergence = 0.0
    if mean > 0:
        divergence += mean * log(mean / other)
    if mean < 1:
        divergence += (1 - mean) * log((1 - mean) / (1 - other))
    return divergence
