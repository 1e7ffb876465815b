"""Trial sampler: values for a trial from the sampler of the study, without repeating a point."""

import time
from collections import Counter
from typing import Any

import numpy as np
import optuna
from optuna import pruners
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState

from sweeps.sampling.enqueued import values_of_trial
from sweeps.sampling.seeded_sampler import SeededSampler
from sweeps.space.search_space import SearchSpace

_SAMPLER_ATTEMPTS = 3
_RANDOM_ATTEMPTS = 1000
_ALLOWED_FAILURES = 2
_Point = frozenset[tuple[str, Any]]


class TrialSampler:
    """Samples the trials of one study.

    A point that another trial holds is not sampled again: the sampler is asked once more with another seed, and if it
    repeats a known point, one of the remaining points is picked at random. Points of failed trials may be sampled once
    more.

    Hosts that sample at the same time take turns in the order of their trial numbers.

    Args:
        study: The study; its sampler is a `SeededSampler`.
        space: The search space.
        patience: Seconds to wait for a host that has created a trial and not sampled its values yet.
    """

    def __init__(self, study: optuna.Study, space: SearchSpace, *, patience: float = 5.0) -> None:
        assert isinstance(study.sampler, SeededSampler)
        self.study = study
        self.space = space
        self.patience = patience
        self._sampler = study.sampler
        self._size = space.size()
        self._finished: dict[int, _Point] = {}
        self._given_up: set[int] = set()

    def is_exhausted(self) -> bool:
        """Whether every point of the space has been tried or is running."""
        if self._size is None:
            return False
        taken = self._taken(self._trials(), number=-1)
        return len(taken) >= self._size and all(self._point(point) in taken for point in self.space.points())

    def draw(self, trial: optuna.Trial) -> dict[str, Any] | None:
        """Samples the values of a trial and stores them.

        Values that a trial already has, sampled or enqueued, are kept.

        Args:
            trial: A new or adopted trial.

        Returns:
            Values of the config by key, of the active parameters alone; None if no point is left.

        Raises:
            TrialRefused: It has values outside the space.
        """
        held = values_of_trial(trial, self.space)
        if self.space.is_whole(held):
            self._keep(trial, held)
        else:
            taken = self._taken(self._after_those_before(trial.number), trial.number)
            found = self._new_point(trial, held, taken)
            if found is None:
                return None
            self._keep(trial, found)
            held = found
        return held

    def _keep(self, trial: optuna.Trial, drawn: dict[str, Any]) -> None:
        parameters = {parameter.key: parameter for parameter in self.space.parameters}
        # Optuna's own way for values that are known before a trial asks for them (`Study.enqueue_trial`).
        trial._fixed_params = {key: parameters[key].stored(value) for key, value in drawn.items()}
        for key in drawn:
            trial._suggest(key, parameters[key].distribution())

    def _trials(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False)

    def _after_those_before(self, number: int) -> list[FrozenTrial]:
        """All trials, once those with lower numbers have values or are lost."""
        until = time.monotonic() + self.patience
        while True:
            trials = self._trials()
            open_numbers = {
                other.number
                for other in trials
                if other.number < number
                and other.state == TrialState.RUNNING
                and not self.space.is_whole(self.space.drawn(other.params))
            } - self._given_up
            if not open_numbers:
                return trials
            if time.monotonic() > until:
                self._given_up |= open_numbers
                return trials
            time.sleep(0.02)

    def _taken(self, trials: list[FrozenTrial], number: int) -> set[_Point]:
        taken: set[_Point] = set()
        failed: Counter[_Point] = Counter()
        for other in trials:
            if other.number == number:
                continue
            point = self._finished.get(other.number)
            if point is None:
                point = frozenset(other.params.items())
                if other.state.is_finished():
                    self._finished[other.number] = point
            if other.state == TrialState.FAIL:
                failed[point] += 1
            elif point:
                taken.add(point)
        return taken | {point for point, times in failed.items() if times >= _ALLOWED_FAILURES and point}

    def _new_point(self, trial: optuna.Trial, held: dict[str, Any], taken: set[_Point]) -> dict[str, Any] | None:
        frozen = self.study._storage.get_trial(trial._trial_id)
        for attempt in range(_SAMPLER_ATTEMPTS):
            found = self._sample(self._sampler.of(trial.number, attempt), frozen, held)
            if self._point(found) not in taken:
                return found
        if self._size is not None:
            rest = [
                point
                for point in self.space.points()
                if held.items() <= point.items() and self._point(point) not in taken
            ]
            state = np.random.SeedSequence([self._sampler.seed, trial.number, _SAMPLER_ATTEMPTS])
            return rest[int(np.random.default_rng(state).integers(len(rest)))] if rest else None
        for attempt in range(_RANDOM_ATTEMPTS):
            sampler = RandomSampler(seed=self._sampler.seed_of(trial.number, _SAMPLER_ATTEMPTS + attempt))
            found = self._sample(sampler, frozen, held)
            if self._point(found) not in taken:
                return found
        return None

    def _point(self, drawn: dict[str, Any]) -> _Point:
        return frozenset(
            (parameter.key, parameter.stored(drawn[parameter.key]))
            for parameter in self.space.parameters
            if parameter.key in drawn
        )

    def _sample(self, sampler: BaseSampler, frozen: FrozenTrial, held: dict[str, Any]) -> dict[str, Any]:
        """Samples the missing values as an Optuna trial would, without writing them to the storage."""
        study = self._sampler.view(pruners._filter_study(self.study, frozen))
        sampler.before_trial(study, frozen)
        together = sampler.infer_relative_search_space(study, frozen)
        relative = sampler.sample_relative(study, frozen, together)
        found = dict(held)
        for parameter in self.space.parameters:
            if parameter.key in held or not parameter.is_active(found):
                continue
            distribution = parameter.distribution()
            if parameter.size() == 1:
                found[parameter.key] = parameter.values()[0]
                continue
            if _fits(relative, parameter.key, distribution):
                value = relative[parameter.key]
            else:
                value = sampler.sample_independent(study, frozen, parameter.key, distribution)
            found[parameter.key] = parameter.value(value)
        return found


def _fits(relative: dict[str, Any], key: str, distribution: BaseDistribution) -> bool:
    return key in relative and distribution._contains(distribution.to_internal_repr(relative[key]))
