"""Running trial: its worker, its reported values, and whether it makes progress."""

import math
import statistics
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError

from sweeps.reporting.outcome import SEEDS, Fits
from sweeps.sampling.constraints import DIVERGED
from sweeps.sampling.trial_seeds import TrialSeeds

REPORTED = "reported"
"""User attribute: step and values of the last validation, where there are several metrics."""
SECONDS = "seconds"
"""User attribute: run time of a trial in seconds, without the time between owners."""


@dataclass
class RunningTrial:
    """A trial that runs on this host, and its progress.

    Attributes:
        trial: The Optuna trial.
        directions: `minimize` or `maximize` for each metric.
        device: Index of its worker among the devices.
        drawn: Sampled values by key.
        seeds: The seeds of its fits, which run one after the other.
        name: Of its run folder and log, without the suffix of a seed.
        done: Values of the fits that have ended.
        best: The best value so far, where there is one metric; this and what follows is of the present fit.
        measured: Parameters, latency and memory, see `Measurements`; of several fits the most.
        last: The values of the last validation.
        step: The step of the last validation, -1 before the first.
        pruned_by: Why it was pruned; empty if it was not.
        kills: How often it was killed without progress.
        furthest: The last step that an earlier start reached.
        asked_to_stop: Whether it was asked to save and stop.
        was_killed: Whether it was killed because it did not stop.
    """

    trial: optuna.Trial
    directions: tuple[str, ...]
    device: int
    drawn: dict[str, Any]
    seeds: TrialSeeds = field(default_factory=lambda: TrialSeeds({}))
    name: str = ""
    done: list[list[float]] = field(default_factory=list)
    best: float | None = None
    measured: dict[str, float] = field(default_factory=dict)
    last: list[float] = field(default_factory=list)
    step: int = -1
    pruned_by: str = ""
    kills: int = 0
    furthest: int = -1
    asked_to_stop: bool = False
    was_killed: bool = False
    _measured_before: dict[str, float] = field(default_factory=dict)
    _steps: set[int] = field(default_factory=set)
    _begun: float = field(default_factory=time.monotonic)

    @property
    def fit_name(self) -> str:
        """Name of the present fit's run folder and log."""
        return self.name + self.seeds.suffix(self.position - 1)

    @property
    def position(self) -> int:
        """Which of its fits is the present one, from 1."""
        return min(len(self.done) + 1, self.seeds.count)

    @property
    def is_complete(self) -> bool:
        """Whether all its fits have ended with values."""
        return len(self.done) == self.seeds.count

    def remember(self) -> None:
        """Takes up what it had reported to another coordinator: it may be at its end, and validate no more."""
        fits = Fits.of(self.trial._cached_frozen_trial)
        if fits is not None:
            # One that has all its fits was lost before it was told so: its last one starts at its end, and ends.
            self.done, present = fits.values[: self.seeds.count - 1], fits.values[self.seeds.count - 1 :]
            self.measured = self._measured_before = dict(fits.measured)
            if reported := next(iter(present), fits.present):
                self._take(reported, max(0, fits.step))
        elif len(self.directions) > 1:
            if last := self.trial.user_attrs.get(REPORTED):
                self.last, self.step = last["values"], last["step"]
        else:
            known = self.trial._cached_frozen_trial.intermediate_values
            for step in sorted(known):
                self._take([known[step]], step)
        self.furthest = self.step

    def measure(self, found: dict[str, float]) -> None:
        """Records the cost of a fit.

        Args:
            found: Parameters, latency and memory of the present fit.
        """
        self.measured = _most(self._measured_before, found)

    def report(self, values: list[float], step: int, *, last: bool) -> None:
        """Passes a validation on to the study, and finds out whether the trial has no prospects, or has diverged.

        The study gets the validations of the first fit alone, so that trials are pruned by equal seeds; one that
        survives it runs its others to their ends.

        Args:
            values: Of the metrics.
            step: Number of the validation from 0.
            last: The fit ends with it, whatever the answer.
        """
        again = step in self._steps  # a fit that was taken up where its last checkpoint was
        self._take(values, step)
        if self.done or not self.seeds.has_own_seed:
            self._note_fits()
        elif len(self.directions) > 1:
            self.trial.set_user_attr(REPORTED, {"values": values, "step": step})
        elif not again:
            with suppress(UpdateFinishedTrialError):  # another coordinator has ended the trial meanwhile
                self.trial.report(values[0], step)
            # A fit that is at its end is complete.
            if not last and self.trial.should_prune():
                self.pruned_by = "pruner"
        if any(math.isnan(value) for value in values):
            self.pruned_by = DIVERGED

    def next_fit(self) -> bool:
        """Ends the present fit, which has values; False if it was the last one."""
        self.done.append(self.values())
        self.best, self.last, self.step, self.furthest, self.kills = None, [], -1, -1, 0
        self._steps.clear()
        self._measured_before = self.measured
        if not self.seeds.is_single:
            self._note_fits()
        return len(self.done) < self.seeds.count

    def result(self) -> list[float]:
        """Values of the trial when all its fits have ended: their means."""
        return [statistics.fmean(column) for column in zip(*self.done, strict=True)]

    def values(self) -> list[float]:
        """Of the present fit: the best value of one metric, the last values of several; empty before there are any."""
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

    def _note_fits(self) -> None:
        fits = Fits(self.seeds.numbers, self.done, self.values(), self.step, self._measured_before)
        with suppress(UpdateFinishedTrialError):
            self.trial.set_user_attr(SEEDS, fits.words())

    def _take(self, values: list[float], step: int) -> None:
        self.last, self.step = values, step
        self._steps.add(step)
        if len(self.directions) == 1 and not math.isnan(values[0]):
            better = max if self.directions[0] == "maximize" else min
            self.best = values[0] if self.best is None else better(self.best, values[0])


def _most(known: dict[str, float], found: dict[str, float]) -> dict[str, float]:
    return {**known, **{name: max(value, known.get(name, value)) for name, value in found.items()}}
