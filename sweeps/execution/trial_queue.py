"""Trial queue: trials that other hosts have lost first, then new ones until the study is complete."""

import sys
from collections.abc import Container
from dataclasses import dataclass
from typing import Any, Protocol

import optuna
from optuna.trial import FrozenTrial, TrialState

from sweeps.execution.leases import Leases
from sweeps.reporting.outcome import latest_fit_name, trial_name
from sweeps.sampling.constraints import WHY
from sweeps.sampling.early_stop import EarlyStop
from sweeps.sampling.enqueued import TrialRefused
from sweeps.sampling.trial_sampler import TrialSampler
from sweeps.sampling.trial_seeds import TrialSeeds
from sweeps.space.search_space import SearchSpace

_MAX_LOSSES = 10
_SURPLUS = "surplus: another host asked for the last trial at the same time"
_COUNTED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING)


@dataclass(frozen=True)
class ClaimedTrial:
    """A trial for this process, with the values to fit.

    Attributes:
        trial: The Optuna trial.
        drawn: Values of the config by key.
        seeds: The seeds of its fits.
        name: Of its run folders and logs.
    """

    trial: optuna.Trial
    drawn: dict[str, Any]
    seeds: TrialSeeds
    name: str


class TrialSource(Protocol):
    """Source of the trials of a coordinator."""

    study: optuna.Study
    leases: Leases

    def next(self) -> ClaimedTrial | None:
        """The next trial for this process; None if there is none now."""
        ...

    def others_run(self, mine: Container[int]) -> bool:
        """Whether other processes run trials, which may still be lost and adopted."""
        ...

    def name_of(self, trial: FrozenTrial) -> str:
        """Name of a trial's latest run folder and log."""
        ...


def others_run(study: optuna.Study, mine: Container[int]) -> bool:
    """Whether other processes run trials, which may still be lost and adopted."""
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    return any(trial.number not in mine for trial in running)


def adopt(study: optuna.Study, leases: Leases) -> optuna.Trial | None:
    """Adopts a trial whose coordinator is gone.

    Args:
        study: The study.
        leases: Leases of this process.
    """
    while (number := leases.adopt()) is not None:
        trial = optuna.Trial(study, study.get_trials(deepcopy=False)[number]._trial_id)
        if leases.losses(number) < _MAX_LOSSES:
            return trial
        refuse(trial, f"lost {_MAX_LOSSES} times before its next validation")
    return None


def refuse(trial: optuna.Trial, why: str) -> None:
    """Fails a trial that will not be run, or not any further.

    Args:
        trial: A running trial.
        why: The reason.
    """
    trial.set_user_attr(WHY, why)
    trial.study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)


class TrialQueue:
    """Queue of the trials of a study; each trial goes to one process.

    Args:
        study: The study.
        space: The search space.
        leases: Leases of this process.
        num_trials: Trials of the whole study, including those of other hosts and earlier runs.
        stop: Early stopping rule.
        seeds: The seeds of each trial's fits.

    Attributes:
        ended_by: Why the study ended before `num_trials`; None if it did not.
    """

    def __init__(
        self,
        *,
        study: optuna.Study,
        space: SearchSpace,
        leases: Leases,
        num_trials: int,
        stop: EarlyStop | None = None,
        seeds: TrialSeeds | None = None,
    ) -> None:
        self.study = study
        self.leases = leases
        self.num_trials = num_trials
        self.stop = stop
        self.seeds = seeds or TrialSeeds({})
        self.ended_by: str | None = None
        self._draws = TrialSampler(study, space)

    def next(self) -> ClaimedTrial | None:
        """The next trial for this process; None if there is none now."""
        while (trial := adopt(self.study, self.leases) or self._ask()) is not None:
            try:
                drawn = self._draws.draw(trial)
            except TrialRefused as error:
                refuse(trial, f"refused: {error}")
                print(f"warning: trial {trial.number} was refused: {error}", file=sys.stderr)  # noqa: T201
                continue
            if drawn is not None:
                return ClaimedTrial(trial, drawn, self.seeds, trial_name(trial.number))
            refuse(trial, "no point left: all that have these values were tried, or another host was faster")
        return None

    def others_run(self, mine: Container[int]) -> bool:
        """Whether other processes run trials, which may still be lost and adopted."""
        return others_run(self.study, mine)

    def name_of(self, trial: FrozenTrial) -> str:
        """Name of a trial's latest run folder and log."""
        return latest_fit_name(trial)

    def _ask(self) -> optuna.Trial | None:
        counted = self.study.get_trials(deepcopy=False, states=_COUNTED)
        num_surplus = sum(trial.user_attrs.get(WHY) == _SURPLUS for trial in counted)
        if len(counted) - num_surplus >= self.num_trials:
            return None
        self.ended_by = None
        if self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            pass  # enqueued by a user: run before an exhausted space or early stopping ends the study
        elif self._draws.is_exhausted():
            self.ended_by = "every point of the space was tried"
        elif self.stop is not None and self.stop.is_exhausted(self.study):
            self.ended_by = f"no new best in {self.stop.patience} trials"
        if self.ended_by:
            return None
        trial = self.study.ask()
        if not self.leases.take(trial.number):
            return None  # this process was paused for so long that another one adopted the trial
        if trial.number - num_surplus >= self.num_trials:
            trial.set_user_attr(WHY, _SURPLUS)
            self.study.tell(trial, state=TrialState.FAIL)
            return None
        return trial
