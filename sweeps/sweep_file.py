"""The file that describes a sweep."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from lightning_app.errors import UsageError
from sweeps.samplers import PRUNERS, SAMPLERS
from sweeps.space import SearchSpace

_KEYS = ("metrics", "space", "sampler", "pruner", "seed")


@dataclass(frozen=True)
class SweepFile:
    """What a sweep looks for, where, and how.

    Attributes:
        metrics: Name of a validation metric to `minimize` or `maximize`; several make a Pareto front.
        space: What varies.
        sampler: How values are drawn, see `make_sampler`.
        pruner: How trials without prospects are found, see `make_pruner`.
        seed: Of the sampler.
    """

    metrics: dict[str, Literal["minimize", "maximize"]]
    space: SearchSpace
    sampler: str = "auto"
    pruner: str = "median"
    seed: int = 0

    @classmethod
    def read(cls, path: str) -> "SweepFile":
        """Reads a YAML file.

        Args:
            path: The file.

        Raises:
            UsageError: It is not there, or a key or value in it is wrong.
        """
        if not Path(path).is_file():
            raise UsageError(f"space: {path!r} does not exist")
        try:
            given = yaml.safe_load(Path(path).read_text())
        except yaml.YAMLError as error:
            raise UsageError(f"space: {path} is no YAML: {error}") from error
        if not isinstance(given, Mapping):
            raise UsageError(f"space: {path} needs the keys metrics and space")
        for key in given:
            if key not in _KEYS:
                raise UsageError(f"{key}: no such key of a sweep, allowed: {', '.join(_KEYS)}")
        pruner = given.get("pruner", "median" if len(given.get("metrics") or ()) == 1 else "none")
        for key, value, allowed in (
            ("sampler", given.get("sampler", "auto"), ("auto", *SAMPLERS)),
            ("pruner", pruner, tuple(PRUNERS)),
        ):
            if value not in allowed:
                raise UsageError(f"{key}: {value!r} given, allowed: {', '.join(allowed)}")
        metrics = _metrics(given.get("metrics"))
        if len(metrics) > 1 and pruner != "none":
            raise UsageError("pruner: trials of several metrics cannot be pruned; take it out")
        return cls(
            metrics=metrics,
            space=SearchSpace.read(given.get("space")),
            sampler=given.get("sampler", "auto"),
            pruner=pruner,
            seed=int(given.get("seed", 0)),
        )


def _metrics(given: Any) -> dict[str, Any]:
    if not isinstance(given, Mapping) or not given:
        raise UsageError("metrics: none given; name one, e.g. `metrics: {val/loss: minimize}`")
    for name, direction in given.items():
        if direction not in ("minimize", "maximize"):
            raise UsageError(f"metrics.{name}: {direction!r} given, allowed: minimize, maximize")
    return dict(given)
