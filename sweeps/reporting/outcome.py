"""Outcome of a trial for display: its values, why it ended, how long it ran, what it needed."""

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

SEEDS = "seeds"
"""User attribute: `Fits` of a trial that has several, or whose seed is not the config's own."""
_BOUND = "bound: "
_SHOWN_CAUSES = 5
_CAUSES = {"pruner": "by the pruner"}


@dataclass(frozen=True)
class Fits:
    """Fits of a trial, one per seed.

    Attributes:
        seeds: `seed_everything` of each, also of those that have not run yet.
        values: Values of the metrics of each that has ended.
        present: Values so far of the one that runs.
        step: Its last validation, -1 before the first.
        measured: Parameters, latency and memory, of each the most that a fit needed.
    """

    seeds: list[int]
    values: list[list[float]]
    present: list[float] = field(default_factory=list)
    step: int = -1
    measured: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, trial: FrozenTrial) -> "Fits | None":
        """Those of a trial; None where it has one fit, of the config's own seed."""
        found = trial.user_attrs.get(SEEDS)
        return cls(**found) if isinstance(found, Mapping) else None

    def words(self) -> dict[str, Any]:
        """What a storage keeps, as JSON takes it."""
        return asdict(self)

    def of_seeds(self, seeds: list[int]) -> "Fits":
        """The same fits as part of a trial with other seeds: those of its first seeds, up to one that has not ended.

        Args:
            seeds: `seed_everything` of each fit of that trial.
        """
        ended = dict(zip(self.seeds, self.values, strict=False))
        values = [ended[seed] for seed in takewhile(ended.__contains__, seeds)]
        begun = self.seeds[len(self.values) : len(self.values) + 1]
        if self.present and begun and begun == seeds[len(values) : len(values) + 1]:
            return Fits(seeds, values, self.present, self.step, self.measured)
        return Fits(seeds, values, measured=self.measured)

    def spread(self, metric: int = 0) -> float | None:
        """Sample standard deviation over the fits that have ended; None of fewer than two.

        Args:
            metric: Position of the metric.
        """
        return spread([values[metric] for values in self.values])


def spread(values: list[float]) -> float | None:
    """Sample standard deviation; None of fewer than two values."""
    return statistics.stdev(values) if len(values) > 1 else None


def with_spread(value: float, deviation: float | None, count: int) -> str:
    """A mean as it is printed, with its standard deviation and the number of seeds where there are several.

    Args:
        value: The mean.
        deviation: Sample standard deviation; None for one seed.
        count: How many seeds.
    """
    return f"{value:.6g}" if deviation is None else f"{value:.6g} ± {deviation:.2g} ({count} seeds)"


def shown_values(trial: FrozenTrial) -> list[str]:
    """Values of a complete trial as they are printed; none of others.

    Args:
        trial: Of any state.
    """
    fits = Fits.of(trial)
    count = len(fits.values) if fits else 1
    return [
        with_spread(value, fits.spread(position) if fits else None, count)
        for position, value in enumerate(values_of(trial))
    ]


def trial_name(number: int) -> str:
    """Name of a trial's run folder and log."""
    return f"trial-{number:05d}"


def latest_fit_name(trial: FrozenTrial) -> str:
    """Name of the run folder and log of a trial's latest fit.

    Args:
        trial: Of a search.
    """
    fits = Fits.of(trial)
    index = min(len(fits.values), len(fits.seeds) - 1) if fits else 0
    return trial_name(trial.number) + (f"-seed-{fits.seeds[index]}" if fits and index else "")


def values_of(trial: FrozenTrial) -> list[float]:
    """Values of a complete trial; none of others: what Optuna holds as those of a pruned one is its last report.

    Args:
        trial: Of any state.
    """
    return list(trial.values or ()) if trial.state == TrialState.COMPLETE else []


def seconds_of(trial: FrozenTrial) -> float | None:
    """How long a trial ran, all its starts together, without what it waited in between; None before it has ended.

    Args:
        trial: Of any state.
    """
    ran = trial.user_attrs.get("seconds")
    if isinstance(ran, int | float):
        return float(ran)
    return trial.duration.total_seconds() if trial.duration else None


def why(trial: FrozenTrial) -> str:
    """Why a trial was pruned or has failed, in words; empty where that was not noted.

    Args:
        trial: Of any state.
    """
    cause = str(trial.user_attrs.get("why", ""))
    if cause.startswith(_BOUND):
        return f"broke the bound on {cause.removeprefix(_BOUND)}"
    return _CAUSES.get(cause, cause)


def causes(trials: Iterable[FrozenTrial], state: TrialState) -> str:
    """How many trials ended so for which cause, the commonest first; empty if no cause was noted.

    Args:
        trials: Of the study.
        state: `PRUNED` or `FAIL`.
    """
    found = Counter(why(trial) for trial in trials if trial.state == state)
    if not any(found):
        return ""
    words = [
        f"{count} {cause or 'for a cause that was not noted'}" for cause, count in found.most_common(_SHOWN_CAUSES)
    ]
    if others := found.total() - sum(count for _, count in found.most_common(_SHOWN_CAUSES)):
        words.append(f"{others} for others")
    return f"{found.total()} {state.name.lower()}: {', '.join(words)}"


def last_error(log: Path) -> str:
    """The reason that a trial's log ends with, without its `error:`; empty if there is none.

    Args:
        log: The file; it may be another host's, and not be here.
    """
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    errors = [line.strip().removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return errors[-1][:300] if errors else ""


def measured(trial: FrozenTrial) -> dict[str, float]:
    """Parameters, latency and memory of a trial, as `Measurements` found them; what was not measured is left out.

    Args:
        trial: Of any state.
    """
    found = trial.user_attrs.get("measured")
    return dict(found) if isinstance(found, dict) else {}
