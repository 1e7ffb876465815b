"""Constraints: upper bounds on the cost of a trial, and which trials satisfy them."""

import math
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from lightning_app.errors import UsageError, nearest

BOUNDS = {"parameters": "number of fitted parameters", "latency": "ms of a validation batch", "memory": "MiB"}
"""What can be bounded, see `Measurements`, and its unit."""

WHY = "why"
"""User attribute: why a trial was stopped, or has failed, where that is known."""
DIVERGED = "diverged"
_FAR_BELOW = -10.0


def read_constraints(section: Any) -> dict[str, float]:
    """Reads the `constraints` section of a sweep's file.

    Args:
        section: The most that is allowed of each measurement.

    Raises:
        UsageError: A key or a bound is wrong.
    """
    if section is None:
        return {}
    if not isinstance(section, Mapping):
        raise UsageError(f"constraints: {section!r} given, bounds of {', '.join(BOUNDS)} are needed")
    for name, bound in section.items():
        if name not in BOUNDS:
            near = nearest(str(name), BOUNDS)
            raise UsageError(f"constraints.{name}: nothing that is measured{near}; allowed: {', '.join(BOUNDS)}")
        if isinstance(bound, bool) or not isinstance(bound, int | float) or not math.isfinite(bound) or bound <= 0:
            raise UsageError(f"constraints.{name}: {bound!r} given, more than 0 is needed ({BOUNDS[name]})")
    return {name: float(section[name]) for name in BOUNDS if name in section}


def violations(bounds: Mapping[str, float], found: Mapping[str, float]) -> dict[str, float]:
    """How far measurements are from their bounds, in doublings: comparable among things of different units.

    Args:
        bounds: The most that is allowed.
        found: What was measured; what was not is left out.

    Returns:
        Positive numbers for what breaks its bound, by name, in the order of `BOUNDS`.
    """
    return {
        name: max(_FAR_BELOW, math.log2(found[name] / bounds[name])) if found[name] > 0 else _FAR_BELOW
        for name in BOUNDS
        if name in bounds and name in found
    }


def write_constraints(trial: optuna.Trial, bounds: Mapping[str, float], found: Mapping[str, float]) -> None:
    """Writes what a trial needed where samplers read it; to be called before the study is told of its end.

    Args:
        trial: A running trial.
        bounds: The most that is allowed.
        found: What was measured.
    """
    known = trial.study._storage.get_trial(trial._trial_id).constraints
    for name, violation in violations(bounds, found).items():
        if name not in known:
            trial.set_constraint(name, violation)


def has_diverged(trial: FrozenTrial) -> bool:
    """Whether a trial was stopped because a metric was no number."""
    return trial.user_attrs.get(WHY) == DIVERGED


def is_feasible(trial: FrozenTrial) -> bool:
    """Whether a trial breaks none of its bounds."""
    return all(violation <= 0 for violation in trial.constraints.values())
