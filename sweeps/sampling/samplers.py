"""Samplers by name, with all their settings."""

import importlib.util
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.study import Study

from lightning_app.errors import UsageError
from sweeps.sampling.component_spec import ComponentSpec
from sweeps.sampling.grid import GridSampler
from sweeps.sampling.numbered_qmc import NumberedQMC
from sweeps.sampling.penalized_study import PenalizedStudy
from sweeps.sampling.seeded_sampler import SeededSampler
from sweeps.space.search_space import SearchSpace

# `group` of TPE, `with_margin` of CMA-ES, QMC: their interfaces may change, and the version is pinned.
warnings.filterwarnings("ignore", category=ExperimentalWarning)
optuna.logging.set_verbosity(optuna.logging.WARNING)

MANY_TRIALS = 250
"""From here on a Gaussian process takes longer than it is worth."""

SAMPLERS: Mapping[str, Mapping[str, Any]] = {
    "auto": {},
    "tpe": {
        "n_startup_trials": 10,
        "n_ei_candidates": 24,
        "multivariate": True,
        "group": True,
        "constant_liar": True,
    },
    "gp": {"n_startup_trials": 10, "deterministic_objective": False},
    "cmaes": {
        "n_startup_trials": 1,
        "popsize": None,
        "use_separable_cma": False,
        "with_margin": False,
        "lr_adapt": False,
        "consider_pruned_trials": False,
    },
    "nsga2": {"population_size": 20, "mutation_prob": None, "crossover_prob": 0.9, "swapping_prob": 0.5},
    "qmc": {"qmc_type": "sobol", "scramble": True},
    "random": {},
    "grid": {},
}
"""Settings with their defaults: arguments of Optuna's classes."""


def settle(
    choice: ComponentSpec, *, space: SearchSpace, num_metrics: int, num_trials: int, prunes: bool = False
) -> tuple[ComponentSpec, str]:
    """What `auto` stands for in a sweep.

    Args:
        choice: What the file says.
        space: What varies.
        num_metrics: How many metrics are optimised.
        num_trials: Trials of the study in all.
        prunes: Whether trials are pruned.

    Returns:
        A choice that names a sampler, and why it was taken; no reason where the file names it.
    """
    if choice.name != "auto":
        return choice, ""
    size = space.size()
    if size is not None and size <= num_trials:
        name, reason = "grid", f"the space has {size} points, no more than trials"
    elif num_metrics > 1:
        name, reason = "tpe", "several metrics"
    elif space.is_conditional or not all(parameter.is_number for parameter in space.parameters):
        name, reason = "tpe", "conditions" if space.is_conditional else "choices"
    elif prunes:
        name, reason = "tpe", "trials are pruned, of which others learn nothing"
    elif num_trials > MANY_TRIALS and len(space.parameters) > 1:
        name, reason = "cmaes", f"numbers alone, more than {MANY_TRIALS} trials"
    else:
        name, reason = "gp", "one metric, numbers alone"
    return ComponentSpec(name, SAMPLERS[name]), reason


def make_sampler(choice: ComponentSpec, *, seed: int, space: SearchSpace, num_metrics: int) -> SeededSampler:
    """The sampler that was chosen.

    Args:
        choice: A name of `SAMPLERS` other than `auto`, with its settings.
        seed: Seed of the study.
        space: What varies.
        num_metrics: How many metrics are optimised.

    Raises:
        UsageError: The sampler cannot work on this space, or refuses a setting.
    """
    settings = choice.settings
    if choice.name == "cmaes":
        _check_cmaes(space, num_metrics)
    if choice.name == "grid":
        grid = GridSampler(space)
        return SeededSampler(lambda _: grid, seed=seed)
    makers: dict[str, Callable[[int], BaseSampler]] = {
        "tpe": lambda seed: TPESampler(seed=seed, **settings),
        "gp": lambda seed: GPSampler(seed=seed, warn_independent_sampling=False, **settings),
        "cmaes": lambda seed: CmaEsSampler(seed=seed, warn_independent_sampling=False, **settings),
        "nsga2": lambda seed: NSGAIISampler(seed=seed, **settings),
        "qmc": lambda seed: NumberedQMC(space, seed=seed, **settings),
        "random": lambda seed: RandomSampler(seed=seed),
    }
    try:
        return SeededSampler(makers[choice.name], seed=seed, view=_view(choice.name), one_seed=choice.name == "qmc")
    except ValueError as error:
        raise UsageError(f"sampler: {choice.name}: {error}") from error


def _view(name: str) -> Callable[[Study], Study]:
    if name in ("gp", "nsga2", "cmaes"):
        return lambda study: PenalizedStudy(study, by_value=name == "cmaes")
    return lambda study: study


def _check_cmaes(space: SearchSpace, num_metrics: int) -> None:
    advice = "take sampler: tpe"
    if num_metrics > 1:
        raise UsageError(f"sampler: cmaes works on one metric, {num_metrics} given; {advice}")
    if space.is_conditional:
        key = next(parameter.key for parameter in space.parameters if parameter.when)
        raise UsageError(f"sampler: cmaes knows no conditions, and space.{key}.when has some; {advice}")
    if not any(parameter.is_number and parameter.size() != 1 for parameter in space.parameters):
        raise UsageError(f"sampler: cmaes works on numbers, and the space has choices alone; {advice}")
    if importlib.util.find_spec("cmaes") is None:
        raise UsageError("sampler: cmaes needs a package that is not installed: pip install 'lightning-r2p[sweep]'")
