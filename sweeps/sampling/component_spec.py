"""Component spec: a sampler or pruner as a sweep file names it, a name with optional settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lightning_app.errors import UsageError, nearest

# Smallest allowed values; Optuna only rejects smaller ones in the middle of a study.
_COUNTS = {
    "reduction_factor": 2, "min_resource": 1, "max_resource": 1, "bootstrap_count": 0, "popsize": 2,
    "population_size": 2, "n_ei_candidates": 1, "n_startup_trials": 0, "n_startup_steps": 0, "n_warmup_steps": 0,
    "interval_steps": 1, "n_min_trials": 1, "patience": 0,
}  # fmt: skip


@dataclass(frozen=True)
class ComponentSpec:
    """A sampler or pruner with all its settings.

    Attributes:
        name: Its name.
        settings: All settings, defaults included.
    """

    name: str
    settings: Mapping[str, Any]

    @classmethod
    def read(cls, key: str, given: Any, table: Mapping[str, Mapping[str, Any]]) -> "ComponentSpec":
        """Reads `name`, or `{name: name, setting: value}`.

        Args:
            key: Key in the file, for messages.
            given: The value in the file.
            table: Settings with their defaults, by name.

        Raises:
            UsageError: Unknown name or setting, or a value of the wrong type.
        """
        words = dict(given) if isinstance(given, Mapping) else {"name": given}
        name = words.pop("name", None)
        if not isinstance(name, str) or name not in table:
            place = f"{key}.name" if isinstance(given, Mapping) else key
            raise UsageError(f"{place}: {name!r} given{nearest(str(name), table)}; allowed: {', '.join(table)}")
        defaults = table[name]
        for setting, value in words.items():
            if setting not in defaults:
                allowed = f"allowed: {', '.join(defaults)}" if defaults else "it has none"
                raise UsageError(f"{key}.{setting}: {name} has no such setting{nearest(setting, defaults)}; {allowed}")
            _check(f"{key}.{setting}", value, defaults[setting])
        return cls(name, {**defaults, **words})

    def __str__(self) -> str:
        settings = ", ".join(f"{name} {_word(value)}" for name, value in self.settings.items())
        return f"{self.name} ({settings})" if settings else self.name


def _check(place: str, value: Any, default: Any) -> None:
    """Checks that a value has the type of its default; None stands for a number that the library chooses."""
    setting = place.rsplit(".", 1)[-1]
    if setting in _COUNTS and value is not default and (type(value) is not int or value < _COUNTS[setting]):
        raise UsageError(f"{place}: {value!r} given, a whole number from {_COUNTS[setting]} on is needed")
    if default is None or (isinstance(default, float) and not isinstance(value, bool)):
        fits = (isinstance(value, int | float) and not isinstance(value, bool)) or value is default
        wanted = "a number"
    elif isinstance(default, str):
        fits = isinstance(value, str | int)
        wanted = "a text or number"
    else:
        fits = type(value) is type(default)
        wanted = {bool: "true or false", int: "a whole number"}.get(type(default), "a number")
    if not fits:
        raise UsageError(f"{place}: {value!r} given, {wanted} is needed")


def _word(value: Any) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else "auto" if value is None else str(value)
