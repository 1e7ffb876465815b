"""Decayed sums: exponentially weighted counts and sums relative to a reference time, which moves with the events."""

import math
from typing import ClassVar

from features.online.accumulators import Accumulator, Value

_MOST_HALF_LIVES = 512


class DecayedSum(Accumulator):
    """Sums of weights and of weighted values; an event at `reference` weighs 1, one half-life later 2.

    Attributes:
        half_life: In microseconds.
        reference: Time at which the weight is 1.
        weight: Sum of the weights.
        total: Weighted sum of the values.
    """

    __slots__ = ("half_life", "reference", "total", "weight")
    fields: ClassVar[tuple[str, ...]] = ("half_life", "reference", "weight", "total")

    def __init__(self, half_life: int = 1) -> None:
        super().__init__()
        self.half_life = half_life
        self.reference: int | None = None
        self.weight = 0.0
        self.total = 0.0

    def at(self, total: float, time: int) -> float:
        """A sum as it has decayed at a time."""
        if self.reference is None:
            return 0.0
        halvings = (time - self.reference) / self.half_life
        whole = math.floor(halvings)
        return math.ldexp(total * 0.5 ** (halvings - whole), -whole)

    def _add(self, time: int, available: int, value: Value) -> None:  # noqa: ARG002
        if self.reference is None:
            self.reference = time
        doublings = (time - self.reference) / self.half_life
        if doublings > _MOST_HALF_LIVES:  # moved by whole half-lives, sums scale without rounding
            whole = math.floor(doublings)
            self.reference += whole * self.half_life
            self.weight, self.total = math.ldexp(self.weight, -whole), math.ldexp(self.total, -whole)
            doublings = (time - self.reference) / self.half_life
        weight = 2.0**doublings
        self.weight += weight
        self.total += weight * float(value)
