"""Sweep file: metrics, space, sampler, pruner, constraints and stopping rule."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from lightning_app.errors import UsageError, nearest
from sweeps.sampling.component_spec import ComponentSpec
from sweeps.sampling.constraints import read_constraints
from sweeps.sampling.early_stop import EarlyStop
from sweeps.sampling.pruners import PRUNERS
from sweeps.sampling.reevaluate import Reevaluate
from sweeps.sampling.samplers import SAMPLERS
from sweeps.sampling.trial_seeds import TrialSeeds
from sweeps.space.search_space import SearchSpace

_KEYS = (
    "metrics", "space", "sampler", "pruner", "constraints", "stop", "seed",
    "seeds_per_trial", "seed_keys", "reevaluate",
)  # fmt: skip
_DIRECTIONS = ("minimize", "maximize")


@dataclass(frozen=True)
class SweepFile:
    """Contents of a sweep file.

    Attributes:
        metrics: Name of a validation metric to `minimize` or `maximize`; several make a Pareto front.
        space: The search space.
        sampler: The sampler.
        pruner: The pruner.
        constraints: Upper bounds on the cost of a trial, see `sweeps.sampling.constraints`.
        stop: Early stopping rule.
        seed: Of the sampler.
        seeds_per_trial: Fits of each trial, whose mean is its value.
        seed_keys: Config keys that are incremented with `seed_everything`, such as the seed of a split.
        reevaluate: How the best trial is selected on fresh seeds; None selects by the values of the search.
    """

    metrics: dict[str, Literal["minimize", "maximize"]]
    space: SearchSpace
    sampler: ComponentSpec
    pruner: ComponentSpec
    constraints: Mapping[str, float] = field(default_factory=dict)
    stop: EarlyStop | None = None
    seed: int = 0
    seeds_per_trial: int = 1
    seed_keys: tuple[str, ...] = ()
    reevaluate: Reevaluate | None = None

    @classmethod
    def read(cls, path: str) -> "SweepFile":
        """Reads a YAML file.

        Args:
            path: The file.

        Raises:
            UsageError: The file does not exist, or a key or value in it is wrong.
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
                near = nearest(str(key), _KEYS)
                raise UsageError(f"{key}: no such key of a sweep{near}; allowed: {', '.join(_KEYS)}")
        metrics = _metrics(given.get("metrics"))
        pruner = ComponentSpec.read("pruner", given.get("pruner", "median" if len(metrics) == 1 else "none"), PRUNERS)
        if len(metrics) > 1 and pruner.name != "none":
            raise UsageError("pruner: trials of several metrics cannot be pruned; take it out")
        return cls(
            metrics=metrics,
            space=SearchSpace.read(given.get("space")),
            sampler=ComponentSpec.read("sampler", given.get("sampler", "auto"), SAMPLERS),
            pruner=pruner,
            constraints=read_constraints(given.get("constraints")),
            stop=EarlyStop.read(given.get("stop")),
            seed=_seed(given.get("seed", 0)),
            seeds_per_trial=_seeds_per_trial(given.get("seeds_per_trial", 1)),
            seed_keys=_seed_keys(given.get("seed_keys")),
            reevaluate=Reevaluate.read(given.get("reevaluate"), num_metrics=len(metrics)),
        )

    def seeds(self, base: Mapping[str, Any]) -> TrialSeeds:
        """The seeds of each trial's fits.

        Args:
            base: The resolved config that is varied.

        Raises:
            UsageError: Several seeds are asked for, and the config has none to count from.
        """
        return TrialSeeds.read(
            base,
            keys=self.seed_keys,
            varying=[parameter.key for parameter in self.space.parameters],
            count=self.seeds_per_trial,
            repeats=self.seeds_per_trial > 1 or self.reevaluate is not None,
        )


def _metrics(given: Any) -> dict[str, Any]:
    if not isinstance(given, Mapping) or not given:
        raise UsageError("metrics: none given; name one, e.g. `metrics: {val/loss: minimize}`")
    for name, direction in given.items():
        if direction not in _DIRECTIONS:
            near = nearest(str(direction), _DIRECTIONS)
            raise UsageError(f"metrics.{name}: {direction!r} given{near}; allowed: {', '.join(_DIRECTIONS)}")
    return dict(given)


def _seed(given: Any) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or given < 0:
        raise UsageError(f"seed: {given!r} given, a whole number from 0 on is needed")
    return given


def _seeds_per_trial(given: Any) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise UsageError(f"seeds_per_trial: {given!r} given, a whole number from 1 on is needed")
    return given


def _seed_keys(given: Any) -> tuple[str, ...]:
    if given is None:
        return ()
    if not isinstance(given, list) or not all(isinstance(key, str) for key in given):
        raise UsageError(f"seed_keys: {given!r} given, a list of keys is needed, e.g. [data.split.seed]")
    return tuple(given)
