"""The space of a sweep: what varies, within which bounds, and under which conditions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalChoiceType,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from lightning_app.errors import UsageError

_KINDS = {
    "float": ("low", "high", "log", "step"),
    "int": ("low", "high", "log", "step"),
    "categorical": ("choices",),
    "class": ("choices",),
}


@dataclass(frozen=True)
class Parameter:
    """One thing that varies.

    Attributes:
        key: Dotted path in the config, as on the command line: `model.encoder.hidden_size`.
        kind: `float`, `int`, `categorical`, or `class` for a choice among class paths.
        low: Smallest value of a number.
        high: Largest value of a number.
        log: Draw a number by its logarithm.
        step: Distance between neighbouring values of a number.
        choices: Values of the others.
        when: Values that other parameters must have for this one to be there; a list stands for any of its values.
    """

    key: str
    kind: Literal["float", "int", "categorical", "class"]
    low: float | None = None
    high: float | None = None
    log: bool = False
    step: float | None = None
    choices: tuple[Any, ...] = ()
    when: Mapping[str, tuple[Any, ...]] | None = None

    def is_active(self, drawn: Mapping[str, Any]) -> bool:
        """Whether its conditions hold for what was drawn before it."""
        return all(key in drawn and drawn[key] in values for key, values in (self.when or {}).items())

    def distribution(self) -> BaseDistribution:
        """What Optuna draws from."""
        if self.kind == "float":
            assert self.low is not None
            assert self.high is not None
            return FloatDistribution(self.low, self.high, log=self.log, step=self.step)
        if self.kind == "int":
            assert self.low is not None
            assert self.high is not None
            return IntDistribution(int(self.low), int(self.high), log=self.log, step=int(self.step or 1))
        return CategoricalDistribution([_as_choice(choice) for choice in self.choices])

    def value(self, drawn: Any) -> Any:
        """What Optuna drew, as the config takes it."""
        if self.kind in ("float", "int"):
            return drawn
        return next(choice for choice in self.choices if _as_choice(choice) == drawn)


class SearchSpace:
    """All that varies, parameters before those whose conditions name them.

    Args:
        parameters: The parameters.
    """

    def __init__(self, parameters: list[Parameter]) -> None:
        self.parameters = _in_order_of_conditions(parameters)

    @classmethod
    def read(cls, section: Mapping[str, Any]) -> "SearchSpace":
        """Reads the `space` section of a sweep's file.

        Args:
            section: Dotted keys to what varies there.

        Raises:
            UsageError: An entry is wrong; the message names its key and what is allowed.
        """
        if not section:
            raise UsageError("space: nothing varies; give at least one parameter")
        return cls([_parameter(key, entry) for key, entry in section.items()])

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        """Draws the parameters of a trial.

        Args:
            trial: A trial that was asked for.

        Returns:
            Values by key, of the active parameters alone.
        """
        drawn: dict[str, Any] = {}
        for parameter in self.parameters:
            if parameter.is_active(drawn):
                found = trial._suggest(parameter.key, parameter.distribution())
                drawn[parameter.key] = parameter.value(found)
        return drawn


def _parameter(key: str, entry: Any) -> Parameter:
    place = f"space.{key}"
    if not isinstance(entry, Mapping) or entry.get("type") not in _KINDS:
        given = entry.get("type") if isinstance(entry, Mapping) else entry
        raise UsageError(f"{place}.type: {given!r} given, allowed: {', '.join(_KINDS)}")
    kind = entry["type"]
    allowed = ("type", "when", *_KINDS[kind])
    for name in entry:
        if name not in allowed:
            raise UsageError(f"{place}.{name}: a {kind} has no such option, allowed: {', '.join(allowed)}")
    when = {str(other): _values(wanted) for other, wanted in (entry.get("when") or {}).items()}
    if kind in ("categorical", "class"):
        choices = entry.get("choices")
        if not isinstance(choices, list) or not choices:
            raise UsageError(f"{place}.choices: {choices!r} given, a list with at least one value is needed")
        return Parameter(key, kind, choices=tuple(choices), when=when)
    return _number(key, kind, entry, when)


def _number(key: str, kind: Any, entry: Mapping[str, Any], when: Mapping[str, tuple[Any, ...]]) -> Parameter:
    place = f"space.{key}"
    low, high, log, step = (entry.get(name) for name in ("low", "high", "log", "step"))
    for name, value in (("low", low), ("high", high)):
        wanted = int if kind == "int" else (int, float)
        if isinstance(value, bool) or not isinstance(value, wanted):
            hint = "; YAML reads 1e-3 as a text, write 1.0e-3" if isinstance(value, str) else ""
            raise UsageError(f"{place}.{name}: {value!r} given, {kind} is needed{hint}")
    assert low is not None
    assert high is not None
    if low > high:
        raise UsageError(f"{place}: low {low} is above high {high}")
    if log and low <= 0:
        raise UsageError(f"{place}.low: {low} given, a logarithm needs more than 0")
    if log and step is not None:
        raise UsageError(f"{place}.step: log and step exclude each other")
    if step is not None and step <= 0:
        raise UsageError(f"{place}.step: {step} given, more than 0 is needed")
    return Parameter(key, kind, low=low, high=high, log=bool(log), step=step, when=when)


def _values(wanted: Any) -> tuple[Any, ...]:
    return tuple(wanted) if isinstance(wanted, list) else (wanted,)


def _as_choice(choice: Any) -> CategoricalChoiceType:
    """Optuna stores plain values alone; others go by their text."""
    return choice if choice is None or isinstance(choice, bool | int | float | str) else repr(choice)


def _in_order_of_conditions(parameters: list[Parameter]) -> list[Parameter]:
    known = {parameter.key: parameter for parameter in parameters}
    for parameter in parameters:
        for other, values in (parameter.when or {}).items():
            _check_condition(parameter, other, values, known)
    ordered: list[Parameter] = []
    waiting = list(parameters)
    while waiting:
        placed = {parameter.key for parameter in ordered}
        ready = [parameter for parameter in waiting if placed.issuperset(parameter.when or ())]
        if not ready:
            raise UsageError(f"space: conditions go in a circle: {', '.join(p.key for p in waiting)}")
        ordered += ready
        waiting = [parameter for parameter in waiting if parameter not in ready]
    return ordered


def _check_condition(parameter: Parameter, other: str, values: tuple[Any, ...], known: Mapping[str, Parameter]) -> None:
    place = f"space.{parameter.key}.when.{other}"
    if other not in known:
        raise UsageError(f"{place}: nothing varies there; conditions can name {', '.join(known)}")
    condition = known[other]
    for value in values:
        if condition.kind in ("categorical", "class") and value not in condition.choices:
            raise UsageError(f"{place}: {value!r} is none of its choices {list(condition.choices)}")
