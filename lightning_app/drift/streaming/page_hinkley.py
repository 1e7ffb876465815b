"""PageHinkley: sums of deviations from the mean, and how far they have come from their extreme (Page 1954)."""

from typing import Literal

from msgspec import Struct

from lightning_app.drift.streaming.checked_value import checked_value

Direction = Literal["up", "down", "both"]


class PageHinkley(Struct, kw_only=True, tag="page_hinkley"):
    """The test of Page and Hinkley, with its state: `msgspec.json` writes it and reads it back.

    Attributes:
        minimum_rows: Values before the first alarm.
        delta: Changes of the mean that are let pass.
        threshold: Distance of the sum from its extreme at which an alarm is given, in the unit of the values.
        alpha: Factor by which the sums forget at each value.
        direction: Changes of the mean that are looked for.
        seen: Values since the start or the latest change.
        mean: Their mean.
        rising: Sum of deviations less delta.
        falling: Sum of deviations plus delta.
        lowest: Least of the first sum; None before the first value.
        highest: Greatest of the second.
        detected: Whether the latest value ended with a change.
    """

    minimum_rows: int = 30
    delta: float = 0.005
    threshold: float = 50.0
    alpha: float = 1 - 0.0001
    direction: Direction = "both"
    seen: int = 0
    mean: float = 0.0
    rising: float = 0.0
    falling: float = 0.0
    lowest: float | None = None
    highest: float = -1.0
    detected: bool = False

    def __post_init__(self) -> None:
        if self.threshold <= 0 or not 0 < self.alpha <= 1:
            raise ValueError("PageHinkley: the threshold is above 0, and alpha above 0 and at most 1.")
        if self.direction not in ("up", "down", "both"):
            raise ValueError(f"PageHinkley: direction is {self.direction!r}; up, down and both are allowed.")

    def reset(self) -> None:
        """Forgets all values."""
        self.seen, self.mean, self.rising, self.falling = 0, 0.0, 0.0, 0.0
        self.lowest, self.highest = None, -1.0

    def update(self, value: float) -> bool:
        """Takes the next value.

        Args:
            value: A number, e.g. the absolute error of an answer.

        Returns:
            Whether the mean has changed.

        Raises:
            ValueError: The value is not finite.
        """
        value = checked_value("PageHinkley", value)
        if self.detected:
            self.reset()
        self.seen += 1
        self.mean += (value - self.mean) / self.seen
        deviation = value - self.mean
        self.rising = self.alpha * self.rising + deviation - self.delta
        self.falling = self.alpha * self.falling + deviation + self.delta
        self.lowest = self.rising if self.lowest is None else min(self.lowest, self.rising)
        self.highest = max(self.highest, self.falling)
        up = self.rising - self.lowest > self.threshold
        down = self.highest - self.falling > self.threshold
        far = {"up": up, "down": down, "both": up or down}[self.direction]
        self.detected = self.seen >= self.minimum_rows and far
        return self.detected
