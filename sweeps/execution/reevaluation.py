"""Re-evaluation: a study's best trials and its base config, fitted again on seeds that the search has not used."""

from collections.abc import Container, Mapping
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from lightning_app.errors import UsageError
from sweeps.execution.leases import Leases
from sweeps.execution.trial_queue import ClaimedTrial, adopt, others_run, refuse
from sweeps.reporting.outcome import SEEDS, Fits, trial_name, why
from sweeps.reporting.ranking import FINISHED, ranked
from sweeps.reporting.selection import BASE, Candidate, Selection
from sweeps.sampling.constraints import is_feasible
from sweeps.sampling.trial_seeds import TrialSeeds
from sweeps.space.search_space import SearchSpace
from sweeps.storage.reevaluation_study import reevaluation_study

_CANDIDATE = "candidate"
_SURPLUS = "surplus: another host re-evaluates this one"


class Reevaluation:
    """Source of the trials of a re-evaluation: each is a candidate, fitted once per fresh seed.

    They are trials of a study of their own: samplers, pruners and counts of the search never see them. Candidates that
    already have values on these seeds keep them when the study resumes, also if the number of seeds has changed.

    Args:
        search: The study of the search, whose trials have all ended.
        metrics: Name and direction of its metric.
        space: What varies.
        seeds: The fresh seeds.
        top: How many of the best trials are candidates.
        lease_seconds: Length of a lease on a trial since its last renewal.
    """

    def __init__(
        self,
        search: optuna.Study,
        *,
        metrics: Mapping[str, str],
        space: SearchSpace,
        seeds: TrialSeeds,
        top: int,
        lease_seconds: float,
    ) -> None:
        self.search = search
        self.seeds = seeds
        best = ranked(search, metrics)[:top]
        self._drawn: dict[int, dict[str, Any]] = {BASE: {}}
        for trial in best:
            drawn = space.drawn(trial.params)
            if missing := set(trial.params) - set(drawn):
                raise UsageError(
                    f"reevaluate: trial {trial.number} was begun with {min(missing)}, which does not vary any more; "
                    "put it back into the space, or give another --study"
                )
            self._drawn[trial.number] = drawn
        self.study = reevaluation_study(search)
        self.leases = Leases(self.study, seconds=lease_seconds)
        # One that failed is tried again when the study goes on.
        self._old_failures = {trial.number for trial in self._trials() if trial.state == TrialState.FAIL}

    @property
    def candidates(self) -> list[int]:
        """Numbers of the candidates: the base config, and the best trials of the search, the best first."""
        return list(self._drawn)

    def next(self) -> ClaimedTrial | None:
        """The next candidate for this process; None if there is none now."""
        while (trial := adopt(self.study, self.leases) or self._ask()) is not None:
            number = self._candidate(self._frozen(trial))
            if number is not None:
                return ClaimedTrial(trial, self._drawn[number], self.seeds, _name(number))
            refuse(trial, _SURPLUS)
        return None

    def others_run(self, mine: Container[int]) -> bool:
        """Whether other processes run candidates, which may still be lost and adopted."""
        return others_run(self.study, mine)

    def name_of(self, trial: FrozenTrial) -> str:
        """Name of a candidate's latest run folder and log."""
        number = trial.user_attrs.get(_CANDIDATE, {}).get("trial", BASE)
        fits = Fits.of(trial)
        return _name(number) + self.seeds.suffix(min(len(fits.values) if fits else 0, self.seeds.count - 1))

    def is_candidate(self, trial: FrozenTrial) -> bool:
        """Whether a trial of this study is a candidate."""
        return self._candidate(trial) is not None

    def label(self, number: int) -> str:
        """Label of the candidate that a trial of this study re-evaluates.

        Args:
            number: Of the trial of this study.
        """
        candidate = self._trials()[number].user_attrs.get(_CANDIDATE, {}).get("trial", BASE)
        return f"re-evaluation of {Candidate(candidate, []).name}"

    def select(self, metrics: Mapping[str, str]) -> Selection | None:
        """Chooses the candidate with the best mean; the base config, and then the better one of the search, wins ties.

        Args:
            metrics: Name and direction of the metric.

        Returns:
            None as long as a candidate has not ended.
        """
        found: list[Candidate] = []
        for number in self.candidates:
            trial = self._latest(number)
            if trial is None or trial.state not in FINISHED:
                return None
            found.append(_judged(number, trial))
        sign = -1.0 if "maximize" in metrics.values() else 1.0
        eligible = [candidate for candidate in found if not candidate.why]
        best = min(eligible, key=lambda candidate: sign * candidate.mean, default=None)
        finished = len(self.search.get_trials(deepcopy=False, states=FINISHED))
        return Selection(self.seeds.numbers, found, best.number if best else None, finished)

    def _ask(self) -> optuna.Trial | None:
        """The first candidate that nobody has taken up."""
        waiting = {self._number(trial) for trial in self._trials() if trial.state == TrialState.WAITING}
        for number in self.candidates:
            if self._latest(number) is None and number not in waiting:
                words = {_CANDIDATE: {"trial": number, "seeds": self.seeds.numbers}, **self._known(number)}
                self.study.enqueue_trial({}, user_attrs=words)
                break
            if number in waiting:
                break
        else:
            return None
        trial = self.study.ask()
        return trial if self.leases.take(trial.number) else None

    def _known(self, number: int) -> dict[str, Any]:
        """Fits that an earlier trial of a candidate has ended, of the first seeds: their run folders are complete."""
        known: Fits | None = None
        for trial in self._trials():
            fits = Fits.of(trial)
            if fits is None or trial.user_attrs.get(_CANDIDATE, {}).get("trial") != number:
                continue
            taken = fits.of_seeds(self.seeds.numbers)
            if known is None or len(taken.values) >= len(known.values):
                known = taken
        return {} if known is None else {SEEDS: known.words()}

    def _trials(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False)

    def _frozen(self, trial: optuna.Trial) -> FrozenTrial:
        return self._trials()[trial.number]

    def _number(self, trial: FrozenTrial) -> int | None:
        """The candidate of a trial; None of other seeds, or of one that is no candidate any more."""
        words = trial.user_attrs.get(_CANDIDATE, {})
        return words["trial"] if words.get("seeds") == self.seeds.numbers and words["trial"] in self._drawn else None

    def _latest(self, number: int) -> FrozenTrial | None:
        """The trial that counts for a candidate: the first one that has begun and is no failure of an earlier time."""
        for trial in self._trials():
            if (
                self._number(trial) == number
                and trial.state != TrialState.WAITING
                and trial.number not in self._old_failures
                and trial.user_attrs.get("why") != _SURPLUS
            ):
                return trial
        return None

    def _candidate(self, trial: FrozenTrial) -> int | None:
        """The candidate of a running trial; None where another trial counts for it."""
        number = self._number(trial)
        latest = None if number is None else self._latest(number)
        return number if latest is not None and latest.number == trial.number else None


def _judged(number: int, trial: FrozenTrial) -> Candidate:
    fits = Fits.of(trial)
    values = [value for (value,) in fits.values] if fits else []
    if trial.state != TrialState.COMPLETE:
        return Candidate(number, [], f"{trial.state.name.lower()}: {why(trial) or 'see its log'}")
    return Candidate(number, values, "" if is_feasible(trial) else "breaks a bound")


def fresh_seeds(search: optuna.Study, seeds: TrialSeeds, *, count: int) -> TrialSeeds:
    """Seeds that no trial of a search has, also if earlier trials had more of them than new ones.

    Args:
        search: The study of the search.
        seeds: Of a trial of the search.
        count: How many fresh ones.
    """
    fits = [fits for trial in search.get_trials(deepcopy=False) if (fits := Fits.of(trial)) is not None]
    return seeds.fresh(count, used=[seed for fit in fits for seed in fit.seeds])


def _name(candidate: int) -> str:
    return "base" if candidate == BASE else trial_name(candidate)
