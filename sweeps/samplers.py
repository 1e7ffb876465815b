"""Samplers and pruners, with their settings in the open."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, PatientPruner, WilcoxonPruner
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, QMCSampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from typing_extensions import (
    override,  # `group` of TPE, which conditions need: its interface may change, and the version is pinned.
)

warnings.filterwarnings("ignore", category=ExperimentalWarning, module="optuna")

SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "tpe": lambda seed: TPESampler(seed=seed, n_startup_trials=10, multivariate=True, group=True, constant_liar=True),
    "gp": lambda seed: GPSampler(seed=seed, n_startup_trials=10, deterministic_objective=False),
    "nsga2": lambda seed: NSGAIISampler(seed=seed, population_size=20),
    "qmc": lambda seed: QMCSampler(seed=seed, scramble=True, warn_asynchronous_seeding=False),
    "random": lambda seed: RandomSampler(seed=seed),
}
PRUNERS: dict[str, Callable[[], BasePruner]] = {
    "none": NopPruner,
    "median": lambda: MedianPruner(n_startup_trials=5, n_warmup_steps=0),
    "hyperband": lambda: HyperbandPruner(min_resource=1, reduction_factor=3),
    "wilcoxon": lambda: WilcoxonPruner(p_threshold=0.1),
    "patient": lambda: PatientPruner(MedianPruner(n_startup_trials=5), patience=3),
}


class SeededSampler(BaseSampler):
    """Draws each trial by a sampler of its own, whose seed follows from the study's and the trial's number.

    A sampler's generator is not in the storage: a study that goes on with the same seed, or several workers that share
    one, would draw the same values again.

    Args:
        make: Makes a sampler from a seed; what it has learned is in the storage.
        seed: Seed of the study.
    """

    def __init__(self, make: Callable[[int], BaseSampler], *, seed: int) -> None:
        self.make = make
        self.seed = seed
        self._current: tuple[tuple[int, int], BaseSampler] = ((-1, 0), make(seed))

    def seed_of(self, number: int, attempt: int) -> int:
        """Seed of a draw.

        Args:
            number: Number of the trial.
            attempt: Count of draws for it before this one, which gave what is known already.
        """
        words = [self.seed, number, attempt] if attempt else [self.seed, number]
        return int(np.random.SeedSequence(words).generate_state(1)[0])

    def of(self, number: int, attempt: int = 0) -> BaseSampler:
        """The sampler of one draw; arguments as of `seed_of`."""
        if self._current[0] != (number, attempt):
            self._current = ((number, attempt), self.make(self.seed_of(number, attempt)))
        return self._current[1]

    @override
    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self.of(trial.number).infer_relative_search_space(study, trial)

    @override
    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self.of(trial.number).sample_relative(study, trial, search_space)

    @override
    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self.of(trial.number).sample_independent(study, trial, param_name, param_distribution)

    @override
    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self.of(trial.number).before_trial(study, trial)

    @override
    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        self.of(trial.number).after_trial(study, trial, state, values)


def make_sampler(name: str, *, seed: int, conditional: bool, num_metrics: int) -> SeededSampler:
    """A sampler by its name.

    Args:
        name: One of `SAMPLERS`; `auto` takes the GP for one metric without conditions, else TPE.
        seed: Seed of the study.
        conditional: Whether some parameters are there under conditions only.
        num_metrics: How many metrics are optimised.
    """
    if name == "auto":
        name = "tpe" if conditional or num_metrics > 1 else "gp"
    return SeededSampler(SAMPLERS[name], seed=seed)


def make_pruner(name: str) -> BasePruner:
    """A pruner by its name, one of `PRUNERS`."""
    return PRUNERS[name]()


optuna.logging.set_verbosity(optuna.logging.WARNING)
