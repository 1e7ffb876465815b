"""A trial that has a slot: what it has reported, and what that makes of it."""

import math
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError

from sweeps.sampling.constraints import DIVERGED

REPORTED = "reported"
"""User attribute: step and values of the last validation, where there are several metrics."""
SECONDS = "seconds"
"""User attribute: how long a trial has run, the time that it waited for somebody left out."""


@dataclass
class RunningTrial:
    """A trial and how far it has come.

    Attributes:
        trial: What Optuna knows of it.
        directions: `minimize` or `maximize` for each metric.
        slot: Its slot.
        drawn: Values by key.
        best: The best value so far, where there is one metric.
        measured: Parameters, latency and memory, see `Measurements`.
        last: The values of the last validation.
        step: The step of the last validation, -1 before the first.
        pruned_by: Why it was told to stop; nothing if it was not.
        kills: How often it was killed without having got further than before.
        furthest: The last step that an earlier start came to.
        asked_to_stop: It was asked to save and stop.
        was_killed: It did not, and was killed.
    """

    trial: optuna.Trial
    directions: tuple[str, ...]
    slot: int
    drawn: dict[str, Any]
    best: float | None = None
    measured: dict[str, float] = field(default_factory=dict)
    last: list[float] = field(default_factory=list)
    step: int = -1
    pruned_by: str = ""
    kills: int = 0
    furthest: int = -1
    asked_to_stop: bool = False
    was_killed: bool = False
    _steps: set[int] = field(default_factory=set)
    _begun: float = field(default_factory=time.monotonic)

    def remember(self) -> None:
        """Takes up what it had reported to another coordinator: it may be at its end, and validate no more."""
        if len(self.directions) > 1:
            reported = self.trial.user_attrs.get(REPORTED)
            if reported:
                self.last, self.step = reported["values"], reported["step"]
        else:
            known = self.trial._cached_frozen_trial.intermediate_values
            for step in sorted(known):
                self._take([known[step]], step)
        self.furthest = self.step

    def report(self, values: list[float], step: int, *, last: bool) -> None:
        """Passes a validation on to the study, and finds out whether the trial has no prospects, or has diverged.

        Args:
            values: Of the metrics.
            step: Number of the validation from 0.
            last: The fit ends with it, whatever the answer.
        """
        again = step in self._steps  # a fit that was taken up where its last checkpoint was
        self._take(values, step)
        if len(self.directions) > 1:
            self.trial.set_user_attr(REPORTED, {"values": values, "step": step})
        elif not again:
            with suppress(UpdateFinishedTrialError):  # another coordinator has ended the trial meanwhile
                self.trial.report(values[0], step)
            # A fit that is at its end is complete.
            if not last and self.trial.should_prune():
                self.pruned_by = "pruner"
        if any(math.isnan(value) for value in values):
            self.pruned_by = DIVERGED

    def values(self) -> list[float]:
        """What it has come to: the best value of one metric, the last values of several; empty before there are any."""
        return self.last if self.best is None else [self.best]

    def count_kill(self) -> int:
        """Notes that it was killed; a start that got further than the one before counts afresh."""
        self.kills = 1 if self.step > self.furthest else self.kills + 1
        self.furthest = max(self.furthest, self.step)
        return self.kills

    def note_seconds(self) -> None:
        """Adds the time since it was begun here to what the study knows of it."""
        before = self.trial.user_attrs.get(SECONDS, 0.0)
        self.trial.set_user_attr(SECONDS, before + time.monotonic() - self._begun)

    def _take(self, values: list[float], step: int) -> None:
        self.last, self.step = values, step
        self._steps.add(step)
        if len(self.directions) == 1 and not math.isnan(values[0]):
            better = max if self.directions[0] == "maximize" else min
            self.best = values[0] if self.best is None else better(self.best, values[0])
