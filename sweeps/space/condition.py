"""Condition under which a parameter is active: the allowed values of another parameter."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lightning_app.errors import UsageError, nearest


@dataclass(frozen=True)
class Condition:
    """A set of values: a list, or a range between two bounds.

    Attributes:
        values: The values; None for a range.
        low: Smallest value of a range.
        high: Largest value of a range.
    """

    values: tuple[Any, ...] | None = None
    low: float = -math.inf
    high: float = math.inf

    @classmethod
    def read(cls, place: str, wanted: Any) -> "Condition":
        """Reads a value, a list of values, or `{low: a, high: b}`, of which one may be left out.

        Args:
            place: Key in the file, for messages.
            wanted: The value in the file.

        Raises:
            UsageError: It is none of the three.
        """
        if not isinstance(wanted, Mapping):
            return cls(values=tuple(wanted) if isinstance(wanted, list) else (wanted,))
        for name, bound in wanted.items():
            if name not in ("low", "high"):
                raise UsageError(
                    f"{place}.{name}: no such bound{nearest(str(name), ['low', 'high'])}; give low and high"
                )
            if isinstance(bound, bool) or not isinstance(bound, int | float) or math.isnan(bound):
                raise UsageError(f"{place}.{name}: {bound!r} given, a number is needed")
        if not wanted:
            raise UsageError(f"{place}: an empty range given; give low, high or both")
        return cls(**wanted)

    def holds(self, value: Any) -> bool:
        """Whether a value is in the set."""
        if self.values is not None:
            return value in self.values
        return isinstance(value, int | float) and self.low <= value <= self.high

    def meet(self, other: "Condition") -> "Condition":
        """The values that are in both sets."""
        if self.values is None and other.values is None:
            return Condition(low=max(self.low, other.low), high=min(self.high, other.high))
        some, rest = (self, other) if self.values is not None else (other, self)
        return Condition(values=tuple(value for value in some.values or () if rest.holds(value)))

    def __str__(self) -> str:
        if self.values is None:
            if math.isinf(self.high):
                return f"at least {self.low:g}"
            return f"at most {self.high:g}" if math.isinf(self.low) else f"{self.low:g} to {self.high:g}"
        return ", ".join(repr(value) for value in self.values)
