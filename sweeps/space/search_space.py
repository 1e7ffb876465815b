"""Search space: parameters, their bounds, and the conditions between them."""

from collections.abc import Iterator, Mapping
from typing import Any

from lightning_app.errors import UsageError, nearest
from sweeps.space.condition import Condition
from sweeps.space.parameter import Parameter
from sweeps.space.parameter_entry import read_parameter

COUNTABLE = 100_000
"""A space of more points than this counts as one that is never exhausted."""


class SearchSpace:
    """The parameters, each after those that its conditions refer to.

    Args:
        parameters: The parameters.

    Raises:
        UsageError: A condition refers to a fixed key, or can never hold.
    """

    def __init__(self, parameters: list[Parameter]) -> None:
        self.parameters = _in_order_of_conditions(parameters)
        self._known = {parameter.key: parameter for parameter in self.parameters}
        self._needed: dict[str, dict[str, Condition]] = {}
        for parameter in self.parameters:
            self._needed[parameter.key] = self._all_conditions(parameter)

    @classmethod
    def read(cls, section: Any) -> "SearchSpace":
        """Reads the `space` section of a sweep's file.

        Args:
            section: Dotted keys with their entries.

        Raises:
            UsageError: An entry is wrong; the message names its key and what is allowed.
        """
        if not section:
            raise UsageError("space: nothing varies; give at least one parameter")
        if not isinstance(section, Mapping):
            raise UsageError(f"space: {section!r} given, keys of the config with what varies there are needed")
        return cls([read_parameter(str(key), entry) for key, entry in section.items()])

    @property
    def is_conditional(self) -> bool:
        """Whether some parameters are conditional."""
        return any(parameter.when for parameter in self.parameters)

    def witness(self, parameter: Parameter) -> dict[str, Any]:
        """Values of other parameters that make a parameter active, prerequisites first."""
        needed = self._needed[parameter.key]
        return {other.key: other.some(needed[other.key])[0] for other in self.parameters if other.key in needed}

    def completed(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """A point of the space with these values; the other parameters take their lowest value or first choice."""
        found: dict[str, Any] = {}
        for parameter in self.parameters:
            if parameter.key in values:
                found[parameter.key] = values[parameter.key]
            elif parameter.is_active(found):
                found[parameter.key] = parameter.low if parameter.is_number else parameter.choices[0]
        return found

    def drawn(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Config values from the stored values of a study, as far as they are complete.

        Args:
            params: Stored values by key.
        """
        found: dict[str, Any] = {}
        for parameter in self.parameters:
            if parameter.key in params and parameter.is_active(found):
                found[parameter.key] = parameter.value(params[parameter.key])
        return found

    def is_whole(self, drawn: Mapping[str, Any]) -> bool:
        """Whether each active parameter has a value."""
        return all(parameter.key in drawn or not parameter.is_active(drawn) for parameter in self.parameters)

    def size(self) -> int | None:
        """Number of points, respecting conditions; None for more than `COUNTABLE` or infinitely many."""
        naming = [parameter for parameter in self.parameters if self._is_named(parameter)]
        sizes = [parameter.size() for parameter in self.parameters]
        if any(size is None for size in sizes):
            return None
        branches = 1
        for parameter in naming:
            branches *= parameter.size() or 1
        if branches > 10_000:  # they are gone through one by one
            return None
        total = self._count(0, {})
        return total if total <= COUNTABLE else None

    def points(self) -> Iterator[dict[str, Any]]:
        """All points of a finite space; the last parameter changes fastest."""
        return self._points(0, {})

    def _points(self, index: int, drawn: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if index == len(self.parameters):
            yield drawn
            return
        parameter = self.parameters[index]
        if not parameter.is_active(drawn):
            yield from self._points(index + 1, drawn)
            return
        for value in parameter.values():
            yield from self._points(index + 1, {**drawn, parameter.key: value})

    def _count(self, index: int, drawn: dict[str, Any]) -> int:
        if index == len(self.parameters):
            return 1
        parameter = self.parameters[index]
        if not parameter.is_active(drawn):
            return self._count(index + 1, drawn)
        if not self._is_named(parameter):
            return (parameter.size() or 1) * self._count(index + 1, drawn)
        return sum(self._count(index + 1, {**drawn, parameter.key: value}) for value in parameter.values())

    def _is_named(self, parameter: Parameter) -> bool:
        return any(parameter.key in (other.when or {}) for other in self.parameters)

    def _all_conditions(self, parameter: Parameter) -> dict[str, Condition]:
        """Its conditions, and those of the parameters that they refer to."""
        found: dict[str, Condition] = dict(parameter.when or {})
        for other in parameter.when or {}:
            for key, condition in self._needed[other].items():
                found[key] = found[key].meet(condition) if key in found else condition
        for key, condition in found.items():
            if not self._known[key].some(condition):
                raise UsageError(f"space.{parameter.key}.when: never holds, conditions on {key} exclude each other")
        return found


def _in_order_of_conditions(parameters: list[Parameter]) -> list[Parameter]:
    known = {parameter.key: parameter for parameter in parameters}
    for parameter in parameters:
        for other, condition in (parameter.when or {}).items():
            _check_condition(parameter, other, condition, known)
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


def _check_condition(parameter: Parameter, other: str, condition: Condition, known: Mapping[str, Parameter]) -> None:
    place = f"space.{parameter.key}.when.{other}"
    if other not in known:
        raise UsageError(f"{place}: nothing varies there{nearest(other, known)}; what varies: {', '.join(known)}")
    target = known[other]
    if condition.values is None:
        if not target.is_number:
            raise UsageError(f"{place}: a range given, but {other} has choices: {', '.join(map(str, target.choices))}")
        if not target.some(condition):
            raise UsageError(f"{place}: {condition} given, but {other} has no value there, see its low, high and step")
        return
    for value in condition.values:
        if target.some(Condition(values=(value,))):
            continue
        if not target.is_number:
            near = nearest(str(value), [str(choice) for choice in target.choices])
            raise UsageError(f"{place}: {value!r} is none of its choices{near}; they are {list(target.choices)}")
        if target.size() is None:
            raise UsageError(
                f"{place}: {value!r} is hardly ever drawn, as {other} has no step; give a range: low, high"
            )
        raise UsageError(f"{place}: {value!r} is never drawn, see low, high and step of {other}")
