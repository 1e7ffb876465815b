"""`reevaluate` section of a sweep file: how many of the best trials are fitted again, on how many fresh seeds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lightning_app.errors import UsageError, nearest

_DEFAULTS = {"top": 5, "seeds": 5}


@dataclass(frozen=True)
class Reevaluate:
    """Options of a re-evaluation.

    Attributes:
        top: How many trials, the best ones of the search.
        seeds: On how many fresh seeds each.
    """

    top: int
    seeds: int

    @classmethod
    def read(cls, section: Any, *, num_metrics: int) -> "Reevaluate | None":
        """Reads the `reevaluate` section of a sweep's file.

        Args:
            section: `{top: 5, seeds: 5}`, `true` for the defaults; nothing given, or `false`, is None.
            num_metrics: How many metrics the sweep has.

        Raises:
            UsageError: A key or value is wrong, or there are several metrics.
        """
        if section is None or section is False:
            return None
        if section is True:
            section = {}
        if not isinstance(section, Mapping):
            raise UsageError(f"reevaluate: {section!r} given, give {{top: 5, seeds: 5}}, or true for the defaults")
        for name in section:
            if name not in _DEFAULTS:
                near = nearest(str(name), _DEFAULTS)
                raise UsageError(f"reevaluate.{name}: no such key{near}; allowed: {', '.join(_DEFAULTS)}")
        if num_metrics > 1:
            raise UsageError("reevaluate: of several metrics there is a front and no single best; take it out")
        given = {name: section.get(name, default) for name, default in _DEFAULTS.items()}
        for name, value in given.items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise UsageError(f"reevaluate.{name}: {value!r} given, a whole number from 1 on is needed")
        return cls(**given)
