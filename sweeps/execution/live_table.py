"""Live table of a running sweep; where the output is no terminal, one line per finished trial."""

import math
import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

import optuna
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lightning_app.terminal import plain_console
from sweeps.execution.running_trial import RunningTrial
from sweeps.reporting.duration import format_duration
from sweeps.reporting.outcome import causes, seconds_of, shown_values, why
from sweeps.reporting.ranking import FINISHED, ranked
from sweeps.reporting.selection import best_of
from sweeps.reporting.study_report import Search
from sweeps.space.names import short_names, value_name

_SECONDS_BETWEEN = 0.35  # beside one refresh a second, so that it is at most four
_SHOWN_AT_END = 5


class LiveTable:
    """Running trials, counts, the best trial, and an estimate of the remaining time.

    Args:
        study: The study.
        metrics: Name and direction of each metric.
        num_trials: Trials of the study in all.
        workers: Trials at a time on this host.
        counted: Which trials of the study to show; all by default.
        label: Label of a trial, from its number.
        console: Console to print on.
    """

    def __init__(
        self,
        *,
        study: optuna.Study,
        metrics: Mapping[str, str],
        num_trials: int,
        workers: int,
        counted: Callable[[FrozenTrial], bool] = lambda _: True,
        label: Callable[[int], str] = "trial {}".format,
        console: Console | None = None,
    ) -> None:
        self.study = study
        self.metrics = metrics
        self.num_trials = num_trials
        self.workers = workers
        self.counted = counted
        self.label = label
        self.console = console or plain_console()
        self._running: dict[int, RunningTrial] = {}
        self._since: dict[int, float] = {}
        self._finished: list[FrozenTrial] = []
        self._best: list[FrozenTrial] = []
        self._next = 0.0
        self._live = Live(
            console=self.console, get_renderable=self._render, refresh_per_second=1, transient=True, screen=False
        )

    def __enter__(self) -> "LiveTable":
        self._look()
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def update(self, running: Mapping[int, RunningTrial]) -> bool:
        """Refreshes the display, at most four times a second.

        Args:
            running: Trials of this host by their numbers.

        Returns:
            Whether a trial has ended since the last call.
        """
        ended = set(self._running) - set(running)
        now = time.monotonic()
        self._since = {number: self._since.get(number, now - _ran_before(trial)) for number, trial in running.items()}
        self._running = dict(running)
        if ended:
            self._look()
        if not self.console.is_terminal:
            for number in sorted(ended):
                self._print(number)
        elif self._live.is_started and now >= self._next:
            self._next = now + _SECONDS_BETWEEN
            self._live.refresh()
        return bool(ended)

    def seconds_left(self) -> float | None:
        """Estimated remaining seconds on this host, from the median run time; None before the first trial has ended."""
        durations = [seconds for trial in self._finished if (seconds := seconds_of(trial))]
        if not durations:
            return None
        usual, now = statistics.median(durations), time.monotonic()
        waiting = max(0, self.num_trials - len(self._finished) - len(self._running))
        rest = sum(max(0.0, usual - (now - since)) for since in self._since.values())
        return (rest + waiting * usual) / self.workers

    def _look(self) -> None:
        finished = self.study.get_trials(deepcopy=False, states=FINISHED)
        self._finished = [trial for trial in finished if self.counted(trial)]
        self._best = [trial for trial in ranked(self.study, self.metrics) if self.counted(trial)]

    def _counts(self) -> str:
        states = Counter(trial.state for trial in self._finished)
        words = [
            f"{len(self._finished)} of {self.num_trials} done",
            f"{states[TrialState.PRUNED]} pruned",
            f"{states[TrialState.FAIL]} failed",
        ]
        if self._best and len(self.metrics) == 1:
            words.append(f"best {shown_values(self._best[0])[0]} ({self.label(self._best[0].number)})")
        elif self._best:
            words.append(f"{len(self._best)} on the Pareto front")
        left = self.seconds_left()
        if left is not None:
            words.append(f"about {format_duration(left)} left")
        return ", ".join(words)

    def _render(self) -> Group:
        several = any(running.seeds.count > 1 for running in self._running.values())
        table = Table(
            "trial",
            *(["seed"] if several else []),
            "validation",
            *self.metrics,
            "best",
            "elapsed",
            box=None,
            padding=(0, 2, 0, 0),
        )
        now = time.monotonic()
        for number, running in self._running.items():
            values = running.last or [math.nan] * len(self.metrics)
            table.add_row(
                self.label(number).removeprefix("trial "),
                *([f"{running.position} of {running.seeds.count}"] if several else []),
                "starts" if running.step < 0 else str(running.step),
                *("" if math.isnan(value) else f"{value:.6g}" for value in values),
                "" if running.best is None else f"{running.best:.6g}",
                format_duration(now - self._since.get(number, now)),
            )
        return Group(Text(f"{len(self._running)} running, {self._counts()}"), table)

    def _print(self, number: int) -> None:
        trial = next((trial for trial in self._finished if trial.number == number), None)
        if trial is None:
            return  # it waits for another coordinator
        words = [why(trial)] if why(trial) else []
        words += [f"{name} {value}" for name, value in zip(self.metrics, shown_values(trial), strict=False)]
        if trial.state == TrialState.PRUNED and trial.last_step is not None:
            words.append(f"last {next(iter(self.metrics))} {trial.intermediate_values[trial.last_step]:.6g}")
        seconds = seconds_of(trial)
        what = f"{self.label(number)} {trial.state.name.lower()}{': ' if words else ''}{', '.join(words)}"
        took = "" if seconds is None else f" in {format_duration(seconds)}"
        self.console.print(f"{what}{took}; {self._counts()}", soft_wrap=True, highlight=False)


def _ran_before(running: RunningTrial) -> float:
    """Seconds that a trial ran before this host took it up."""
    ran = running.trial._cached_frozen_trial.user_attrs.get("seconds", 0.0)  # `user_attrs` would ask the storage
    return float(ran)


def print_result(study: optuna.Study, search: Search, folder: Path, console: Console | None = None) -> None:
    """Prints the result of a sweep and the paths of its files.

    Args:
        study: The study.
        search: Settings of the search.
        folder: Its folder.
        console: Console to print on.
    """
    console = console or plain_console()
    trials = study.get_trials(deepcopy=False)
    states = Counter(trial.state.name.lower() for trial in trials)
    lines = [", ".join(f"{count} {state}" for state, count in sorted(states.items()))]
    lines += filter(None, (causes(trials, state) for state in (TrialState.PRUNED, TrialState.FAIL)))
    console.print("\n".join(lines), soft_wrap=True, highlight=False)
    best = ranked(study, search.metrics)
    if best:
        parameters = {parameter.key: parameter for parameter in search.space.parameters}
        names = short_names(parameters)
        table = Table("trial", *search.metrics, "parameters")
        for trial in best if len(search.metrics) > 1 else best[:_SHOWN_AT_END]:
            words = [
                f"{names.get(key, key)} {value_name(value, parameters.get(key))}" for key, value in trial.params.items()
            ]
            table.add_row(str(trial.number), *shown_values(trial), ", ".join(words))
        console.print(table)
    lines = [f"report: {folder / 'report.md'}"]
    chosen = best_of(study, search.metrics) if len(search.metrics) == 1 else None
    if chosen is not None and chosen.how:
        lines.insert(0, f"chosen: {chosen.name}, {next(iter(search.metrics))} {chosen.value}, by {chosen.how}")
    if (folder / "best.yaml").exists():
        lines.append(f"best: lightning-app fit -c {folder / 'best.yaml'}")
    console.print("\n".join(lines), soft_wrap=True, highlight=False)
