"""Parameter of a search space: its kind, bounds and values."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from optuna.distributions import (
    BaseDistribution,
    CategoricalChoiceType,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from lightning_app.errors import UsageError, nearest
from sweeps.space.condition import Condition


@dataclass(frozen=True)
class Parameter:
    """A parameter of the search space.

    Attributes:
        key: Dotted path in the config, as on the command line: `model.encoder.hidden_size`.
        kind: `float`, `int`, `categorical`, or `class` for a choice among class paths.
        low: Smallest value of a number.
        high: Largest value of a number.
        log: Sample a number on a log scale.
        step: Spacing of the values of a number.
        choices: Values of a categorical or class parameter.
        when: Conditions on other parameters under which this one is active.
    """

    key: str
    kind: Literal["float", "int", "categorical", "class"]
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    step: float | None = None
    choices: tuple[Any, ...] = ()
    when: Mapping[str, Condition] | None = None

    @property
    def is_number(self) -> bool:
        """Whether it has bounds rather than choices."""
        return self.kind in ("float", "int")

    def is_active(self, drawn: Mapping[str, Any]) -> bool:
        """Whether its conditions hold for the values sampled before it."""
        return all(key in drawn and condition.holds(drawn[key]) for key, condition in (self.when or {}).items())

    def distribution(self) -> BaseDistribution:
        """The Optuna distribution."""
        if self.kind == "float":
            return FloatDistribution(self.low, self._last(), log=self.log, step=self.step)
        if self.kind == "int":
            return IntDistribution(int(self.low), int(self._last()), log=self.log, step=int(self.step or 1))
        return CategoricalDistribution([_as_choice(choice) for choice in self.choices])

    def value(self, drawn: Any) -> Any:
        """A stored value as the config takes it; numbers with a step are rounded to it exactly.

        Raises:
            UsageError: The resumed study holds a value that is no longer among the choices.
        """
        if not self.is_number:
            for choice in self.choices:
                if _as_choice(choice) == drawn:
                    return choice
            raise UsageError(
                f"space.{self.key}.choices: {drawn!r} was drawn before; put it back, or give another --study"
            )
        if self.kind == "float" and self.step is not None:
            index = round((drawn - self.low) / self.step)
            # What a study drew with other steps stays as it was.
            return self._at(index) if math.isclose(self._at(index), drawn, rel_tol=1e-9, abs_tol=1e-12) else drawn
        return drawn

    def accept(self, value: Any) -> Any:
        """Checks a value from a user, and returns it as the config takes it.

        Args:
            value: A number, a choice, or the text by which Optuna stores a choice.

        Raises:
            UsageError: It is outside the bounds, between two steps, or none of the choices.
        """
        if not self.is_number:
            for choice in self.choices:
                if value in (choice, _as_choice(choice)) and isinstance(value, bool) == isinstance(choice, bool):
                    return choice
            near = nearest(str(value), map(str, self.choices))
            raise UsageError(f"{self.key} {value!r}, which is none of its choices{near}; they are {list(self.choices)}")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UsageError(f"{self.key} {value!r}, which is no number")
        if not self.low <= value <= self._last():
            raise UsageError(f"{self.key} {value!r}, which is outside its bounds {self.low:g} to {self._last():g}")
        step = self.step or (1 if self.kind == "int" else None)
        if step is not None and not self._is_on_step(value, step):
            raise UsageError(f"{self.key} {value!r}, which is between two values of its step {step:g}")
        return int(value) if self.kind == "int" else self.value(float(value))

    def stored(self, value: Any) -> Any:
        """A value of the config as Optuna stores it."""
        return value if self.is_number else _as_choice(value)

    def size(self) -> int | None:
        """Number of values; None if uncountable."""
        if not self.is_number:
            return len(self.choices)
        if self.low == self.high:
            return 1
        step = self.step or (1 if self.kind == "int" else None)
        return None if step is None else math.floor((self.high - self.low) / step * (1 + 1e-12)) + 1

    def values(self) -> list[Any]:
        """All values in order; for parameters with a size."""
        if not self.is_number:
            return list(self.choices)
        size = self.size()
        assert size is not None
        return [self._at(index) for index in range(size)]

    def some(self, condition: Condition) -> tuple[Any, ...]:
        """One value that satisfies a condition; empty if there is none."""
        if self.is_number and condition.values is None:
            step = self.step or (1 if self.kind == "int" else None)
            ahead = max(0.0, condition.low - self.low)
            value = max(self.low, condition.low) if step is None else self._at(math.ceil(ahead / step * (1 - 1e-12)))
            return (value,) if self.low <= value <= self.high and condition.holds(value) else ()
        candidates = self.choices if condition.values is None else condition.values
        return tuple(value for value in candidates if condition.holds(value) and self._has(value))[:1]

    def _has(self, value: Any) -> bool:
        if not self.is_number:
            return value in self.choices
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        step = self.step or (1 if self.kind == "int" else None)
        if step is None:
            return self.low == self.high
        return self._is_on_step(value, step)

    def _is_on_step(self, value: float, step: float) -> bool:
        return math.isclose((value - self.low) / step, round((value - self.low) / step), abs_tol=1e-9)

    def _at(self, index: int) -> int | float:
        if self.kind == "int":
            return int(self.low) + index * int(self.step or 1)
        # In decimals, as Optuna counts steps: 0.1 + 2 * 0.1 is 0.3.
        return float(Decimal(str(self.low)) + index * Decimal(str(self.step or 0.0)))

    def _last(self) -> int | float:
        """The highest value on the grid of steps."""
        if self.step is None:
            return self.high
        size = self.size()
        assert size is not None
        return self._at(size - 1)


def _as_choice(choice: Any) -> CategoricalChoiceType:
    """Optuna stores plain values only; others are stored as text."""
    return choice if choice is None or isinstance(choice, bool | int | float | str) else repr(choice)
