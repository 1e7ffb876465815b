"""Selection of the best trial: by its value in the search, or by the mean of a re-evaluation on fresh seeds."""

import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from sweeps.reporting.outcome import shown_values, spread, with_spread
from sweeps.reporting.ranking import FINISHED, ranked

BASE = -1
"""Number of the base config among candidates."""
_OPTIONS = "reevaluate"
_RESULT = "reevaluated"


@dataclass(frozen=True)
class Candidate:
    """What a re-evaluation found of a trial.

    Attributes:
        number: Of the trial; `BASE` for the config that is varied.
        values: The metric of each fit, in the order of the seeds; empty where one has failed.
        why: Why it cannot be chosen; empty where it can.
    """

    number: int
    values: list[float]
    why: str = ""

    @property
    def name(self) -> str:
        """As it is printed."""
        return "base config" if self.number == BASE else f"trial {self.number}"

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return statistics.fmean(self.values)

    @property
    def shown(self) -> str:
        """Its mean with its spread, or why there is none."""
        return self.why or with_spread(self.mean, spread(self.values), len(self.values))


@dataclass(frozen=True)
class Selection:
    """Which candidate a re-evaluation chose.

    Attributes:
        seeds: Fresh seeds, of every candidate.
        candidates: The base config, and the best trials of the search, the best first.
        chosen: Number of the one with the best mean; None where none can be chosen.
        num_finished: Finished trials of the search at that time.
    """

    seeds: list[int]
    candidates: list[Candidate]
    chosen: int | None
    num_finished: int

    @classmethod
    def of(cls, study: optuna.Study) -> "Selection | None":
        """That of a study; None where none was made, or the option was taken out since."""
        found = study.user_attrs.get(_RESULT)
        if not found or not study.user_attrs.get(_OPTIONS):
            return None
        candidates = [Candidate(**words) for words in found["candidates"]]
        return cls(found["seeds"], candidates, found["chosen"], found["num_finished"])

    def write(self, study: optuna.Study) -> None:
        """Writes it to the study; every host that looks at the same results writes the same."""
        if study.user_attrs.get(_RESULT) != (words := asdict(self)):
            study.set_user_attr(_RESULT, words)

    @property
    def shown_seeds(self) -> str:
        """How many seeds, and which."""
        count = len(self.seeds)
        return f"{count} fresh seed{'' if count == 1 else 's'} ({seed_range(self.seeds)})"

    @property
    def best(self) -> Candidate | None:
        """The one that was chosen."""
        return next((candidate for candidate in self.candidates if candidate.number == self.chosen), None)


@dataclass(frozen=True)
class Best:
    """The best of a study of one metric.

    Attributes:
        trial: None where the base config is better than every trial on fresh seeds.
        name: As it is printed.
        value: As it is printed: of the metric, with its spread where there are several seeds.
        how: By what it was chosen, in words; empty where it is the search's value of one seed and that was meant.
    """

    trial: FrozenTrial | None
    name: str
    value: str
    how: str


def best_of(study: optuna.Study, metrics: Mapping[str, str]) -> Best | None:
    """The best of a study, as its re-evaluation chose it or else by the values of the search; None if there is none.

    Args:
        study: A study of one metric.
        metrics: Its name and direction.
    """
    selection, found = Selection.of(study), ranked(study, metrics)
    if selection is not None and selection.best is not None:
        best, trials = selection.best, study.get_trials(deepcopy=False)
        how = f"the mean of {selection.shown_seeds}"
        since = sum(trial.state in FINISHED for trial in trials) - selection.num_finished
        later = f"; {since} trials have ended since, go on with --resume" if since > 0 else ""
        if best.number == BASE:
            return Best(None, best.name, best.shown, f"{how}, where no trial was better{later}")
        trial = trials[best.number]
        return Best(trial, best.name, best.shown, f"{how}; in the search {shown_values(trial)[0]}{later}")
    if not found:
        return None
    how = ""
    if study.user_attrs.get(_OPTIONS):
        done = "none of the candidates could be re-evaluated" if selection else "not re-evaluated yet"
        how = f"its value in the search, {done}"
    return Best(found[0], f"trial {found[0].number}", shown_values(found[0])[0], how)


def note_options(study: optuna.Study, options: Mapping[str, Any] | None) -> None:
    """Notes in a study whether its best is chosen by a re-evaluation; nothing is written where it never was.

    Args:
        study: The study.
        options: As the sweep's file has them; None for the values of the search.
    """
    if study.user_attrs.get(_OPTIONS) != options:
        study.set_user_attr(_OPTIONS, dict(options) if options else None)


def seed_range(seeds: list[int]) -> str:
    """Consecutive seeds as they are printed."""
    return f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else str(seeds[0])
