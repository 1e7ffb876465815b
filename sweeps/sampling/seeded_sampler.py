"""Seeded sampler: stateless, so that a trial is a function of the study, the seed and the trial number."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from typing_extensions import override


class SeededSampler(BaseSampler):
    """Draws each trial by a sampler of its own, whose seed follows from the study's and the trial's number.

    A sampler's generator is not in the storage: a study that goes on with the same seed, or several workers that share
    one, would draw the same values again.

    Args:
        make: Makes a sampler from a seed; what it has learned is in the storage.
        seed: Seed of the study.
        view: The study as samplers are to see it.
        one_seed: The first draw of each trial has the study's seed: its number says which point of a sequence it is.
    """

    def __init__(
        self,
        make: Callable[[int], BaseSampler],
        *,
        seed: int,
        view: Callable[[Study], Study] = lambda study: study,
        one_seed: bool = False,
    ) -> None:
        self.make = make
        self.seed = seed
        self.view = view
        self.one_seed = one_seed
        self._current: tuple[tuple[int, int], BaseSampler] = ((-1, 0), make(seed))

    def seed_of(self, number: int, attempt: int) -> int:
        """Seed of a draw.

        Args:
            number: Number of the trial.
            attempt: Count of draws for it before this one, which gave what is known already.
        """
        if self.one_seed and not attempt:
            return self.seed
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
        with warnings.catch_warnings():
            # CMA-ES says that it does not use constraints; `PenalizedStudy` makes it.
            warnings.filterwarnings("ignore", message="Constraints have been set", category=UserWarning)
            self.of(trial.number).after_trial(study, trial, state, values)
