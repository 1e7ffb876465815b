"""Pruners by name, with all their settings."""

from collections.abc import Callable, Mapping
from typing import Any

from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, PatientPruner, WilcoxonPruner

from lightning_app.errors import UsageError
from sweeps.sampling.component_spec import ComponentSpec

_MEDIAN = {"n_startup_trials": 5, "n_warmup_steps": 0, "interval_steps": 1, "n_min_trials": 1}

PRUNERS: Mapping[str, Mapping[str, Any]] = {
    "none": {},
    "median": _MEDIAN,
    "hyperband": {"min_resource": 1, "max_resource": "auto", "reduction_factor": 3, "bootstrap_count": 0},
    "wilcoxon": {"p_threshold": 0.1, "n_startup_steps": 2},
    "patient": {"patience": 3, "min_delta": 0.0, **_MEDIAN},
}
"""Settings with their defaults: arguments of Optuna's classes; `patient` wraps the median."""


def make_pruner(choice: ComponentSpec) -> BasePruner:
    """The pruner that was chosen.

    Args:
        choice: A name of `PRUNERS` with its settings.

    Raises:
        UsageError: A setting has a value that the pruner refuses.
    """
    makers: dict[str, Callable[..., BasePruner]] = {
        "none": NopPruner,
        "median": MedianPruner,
        "hyperband": HyperbandPruner,
        "wilcoxon": WilcoxonPruner,
        "patient": _patient,
    }
    try:
        return makers[choice.name](**choice.settings)
    except ValueError as error:
        raise UsageError(f"pruner: {choice.name}: {error}") from error


def _patient(*, patience: int, min_delta: float, **median: Any) -> BasePruner:
    return PatientPruner(MedianPruner(**median), patience=patience, min_delta=min_delta)
