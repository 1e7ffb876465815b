"""Parameter entry: reads and checks one entry of the `space` section."""

import math
from collections.abc import Mapping
from typing import Any

from lightning_app.errors import UsageError, nearest
from sweeps.space.condition import Condition
from sweeps.space.parameter import Parameter

_KINDS = {
    "float": ("low", "high", "log", "step"),
    "int": ("low", "high", "log", "step"),
    "categorical": ("choices",),
    "class": ("choices",),
}


def read_parameter(key: str, entry: Any) -> Parameter:
    """Reads a parameter from its entry.

    Args:
        key: Dotted path in the config.
        entry: The entry in the file.

    Raises:
        UsageError: Something in the entry is wrong.
    """
    place = f"space.{key}"
    kind = entry.get("type") if isinstance(entry, Mapping) else entry
    if not isinstance(entry, Mapping) or not isinstance(kind, str) or kind not in _KINDS:
        raise UsageError(f"{place}.type: {kind!r} given{nearest(str(kind), _KINDS)}; allowed: {', '.join(_KINDS)}")
    allowed = ("type", "when", *_KINDS[kind])
    for name in entry:
        if name not in allowed:
            near = nearest(str(name), allowed)
            raise UsageError(f"{place}.{name}: a {kind} has no such option{near}; allowed: {', '.join(allowed)}")
    when = _conditions(place, entry.get("when"))
    if kind in ("float", "int"):
        return _number(key, kind, entry, when)
    return Parameter(key, kind, choices=_choices(place, kind, entry.get("choices")), when=when)  # type: ignore[arg-type]


def _conditions(place: str, given: Any) -> dict[str, Condition]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise UsageError(f"{place}.when: {given!r} given, keys with the values that they must have are needed")
    return {str(other): Condition.read(f"{place}.when.{other}", wanted) for other, wanted in given.items()}


def _choices(place: str, kind: str, given: Any) -> tuple[Any, ...]:
    if not isinstance(given, list) or not given:
        raise UsageError(f"{place}.choices: {given!r} given, a list with at least one value is needed")
    for index, choice in enumerate(given):
        # 1, 1.0 and True are one value for Python, and for what stores them.
        if choice in given[:index]:
            twin = given[given.index(choice)]
            words = "twice" if repr(twin) == repr(choice) else f"and {twin!r}, which are one value"
            raise UsageError(f"{place}.choices: {choice!r} given {words}; take one out")
        if isinstance(choice, float) and not math.isfinite(choice):
            raise UsageError(f"{place}.choices: {choice} given, a finite number is needed")
        if kind == "class" and not isinstance(choice, str):
            raise UsageError(f"{place}.choices: {choice!r} given, names of classes are needed")
    return tuple(given)


def _number(key: str, kind: Any, entry: Mapping[str, Any], when: Mapping[str, Condition]) -> Parameter:
    place = f"space.{key}"
    for name in ("low", "high"):
        _check_number(f"{place}.{name}", kind, entry.get(name))
    low, high, log, step = entry["low"], entry["high"], entry.get("log", False), entry.get("step")
    if not isinstance(log, bool):
        raise UsageError(f"{place}.log: {log!r} given, allowed: true, false")
    if low > high:
        raise UsageError(f"{place}: low {low} is above high {high}; exchange them")
    if log and low <= 0:
        needed = "at least 1" if kind == "int" else "more than 0"
        raise UsageError(f"{place}.low: {low} given, a logarithm needs {needed}")
    if step is None:
        return Parameter(key, kind, low=low, high=high, log=log, when=when)
    _check_number(f"{place}.step", kind, step)
    if log:
        raise UsageError(f"{place}.step: log and step exclude each other; leave one out")
    if step <= 0:
        raise UsageError(f"{place}.step: {step} given, more than 0 is needed")
    if step > high - low and high > low:
        raise UsageError(f"{place}.step: {step} given, which is more than from {low} to {high}")
    return Parameter(key, kind, low=low, high=high, step=step, when=when)


def _check_number(place: str, kind: str, value: Any) -> None:
    wanted = int if kind == "int" else (int, float)
    if isinstance(value, bool) or not isinstance(value, wanted):
        hint = "; YAML reads 1e-3 as a text, write 1.0e-3" if isinstance(value, str) else ""
        raise UsageError(f"{place}: {value!r} given, {kind} is needed{hint}")
    if not math.isfinite(value):
        raise UsageError(f"{place}: {value} given, a finite number is needed")
