"""Accumulators: state of features over all of the past, for events in any order.

An accumulator receives all events that meet the condition of its feature, with the value of its column or None.
"""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from typing_extensions import override

from features.online.exact_sum import ExactSum, variance

Value = int | float | str | bool
Folded = tuple[int, int, Value | None]
"""Event time, available time, value."""


class Accumulator:
    """State of a feature over all of the past.

    Attributes:
        any_event: Whether there was an event, with or without a value.
    """

    __slots__ = ("any_event",)
    fields: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        self.any_event = False

    def add(self, time: int, available: int, value: Value | None) -> None:
        """Adds an event.

        Args:
            time: Event time, in microseconds.
            available: Time from which it was known.
            value: Value of the column; None counts as an event without a value.
        """
        self.any_event = True
        if value is not None:
            self._add(time, available, value)

    def with_events(self, events: Sequence[Folded]) -> "Accumulator":
        """This accumulator if there are no events, else a copy that has them too."""
        if not events:
            return self
        copy = self.copy()
        for time, available, value in events:
            copy.add(time, available, value)
        return copy

    def copy(self) -> "Accumulator":
        """An independent copy."""
        copy = type(self)()
        copy.any_event = self.any_event
        for name in self.fields:
            setattr(copy, name, getattr(self, name))
        return copy

    def pack(self) -> list[Any]:
        """State as values that msgpack supports."""
        return [self.any_event, *(getattr(self, name) for name in self.fields)]

    def unpack(self, content: Sequence[Any]) -> None:
        """Restores the state from the output of `pack`."""
        self.any_event = content[0]
        for name, value in zip(self.fields, content[1:], strict=True):
            setattr(self, name, value)

    def _add(self, time: int, available: int, value: Value) -> None:
        raise NotImplementedError


class Counter(Accumulator):
    """Number of values."""

    __slots__ = ("count",)
    fields = ("count",)

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def _add(self, time: int, available: int, value: Value) -> None:  # noqa: ARG002
        self.count += 1


class Sum(Accumulator):
    """Number and exact sum of the values."""

    __slots__ = ("count", "total")

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.total = ExactSum()

    @override
    def copy(self) -> "Sum":
        copy = type(self)()
        copy.any_event, copy.count, copy.total = self.any_event, self.count, self.total.copy()
        return copy

    @override
    def pack(self) -> list[Any]:
        return [self.any_event, self.count, self.total.pack()]

    @override
    def unpack(self, content: Sequence[Any]) -> None:
        self.any_event, self.count, total = content
        self.total = ExactSum.unpack(*total)

    def _add(self, time: int, available: int, value: Value) -> None:  # noqa: ARG002
        self.count += 1
        self.total.add(value)  # type: ignore[arg-type]


class Spread(Accumulator):
    """Number of values, exact sums of them and of their squares."""

    __slots__ = ("count", "squares", "total")

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.total = ExactSum()
        self.squares = ExactSum()

    @override
    def copy(self) -> "Spread":
        copy = type(self)()
        copy.any_event, copy.count = self.any_event, self.count
        copy.total, copy.squares = self.total.copy(), self.squares.copy()
        return copy

    @override
    def pack(self) -> list[Any]:
        return [self.any_event, self.count, self.total.pack(), self.squares.pack()]

    @override
    def unpack(self, content: Sequence[Any]) -> None:
        self.any_event, self.count, total, squares = content
        self.total, self.squares = ExactSum.unpack(*total), ExactSum.unpack(*squares)

    def deviation(self) -> float | None:
        """Sample deviation; None below two values."""
        return math.sqrt(variance(self.count, self.total, self.squares)) if self.count > 1 else None

    def _add(self, time: int, available: int, value: Value) -> None:  # noqa: ARG002
        self.count += 1
        self.total.add(value)  # type: ignore[arg-type]
        self.squares.add_square(value)  # type: ignore[arg-type]


class Smallest(Accumulator):
    """Smallest value."""

    __slots__ = ("value",)
    fields = ("value",)

    def __init__(self) -> None:
        super().__init__()
        self.value: Value | None = None

    def _add(self, time: int, available: int, value: Value) -> None:  # noqa: ARG002
        if self.value is None or value < self.value:  # type: ignore[operator]
            self.value = value


class Largest(Smallest):
    """Largest value."""

    __slots__ = ()

    def _add(self, time: int, available: int, value: Value) -> None:  # noqa: ARG002
        if self.value is None or value > self.value:  # type: ignore[operator]
            self.value = value


class First(Accumulator):
    """First value in the order of event time, available time and arrival."""

    __slots__ = ("available", "time", "value")
    fields = ("time", "available", "value")

    def __init__(self) -> None:
        super().__init__()
        self.time = 0
        self.available = 0
        self.value: Value | None = None

    def _add(self, time: int, available: int, value: Value) -> None:
        if self.value is None or (time, available) < (self.time, self.available):
            self.time, self.available, self.value = time, available, value


class Last(First):
    """Last value in the order of event time, available time and arrival."""

    __slots__ = ()

    def _add(self, time: int, available: int, value: Value) -> None:
        if self.value is None or (time, available) >= (self.time, self.available):
            self.time, self.available, self.value = time, available, value


class Distinct(Accumulator):
    """The different values."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        super().__init__()
        self.values: set[Value] = set()

    @override
    def copy(self) -> "Distinct":
        copy = type(self)()
        copy.any_event, copy.values = self.any_event, set(self.values)
        return copy

    @override
    def pack(self) -> list[Any]:
        return [self.any_event, list(self.values)]

    @override
    def unpack(self, content: Sequence[Any]) -> None:
        self.any_event, values = content
        self.values = set(values)

    def _add(self, time: int, available: int, value: Value) -> None:  # noqa: ARG002
        self.values.add(value)
