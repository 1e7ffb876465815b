"""Asks for trials, runs them in processes of their own, prunes, retries, and tells the study what came of them."""

import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.trial import TrialState

from lightning_app.errors import UsageError
from lightning_app.run import write_whole
from sweeps.constraints import best_trials
from sweeps.draws import Draws
from sweeps.early_stop import EarlyStop
from sweeps.space import SearchSpace
from sweeps.trial_config import as_word
from sweeps.trial_processes import Ended, Report, TrialProcesses

_LEASE = "lease"
_FOLDER = "folder"
_VALUES = "values"
_BAD_CONFIG = 2
_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


@dataclass
class Running:
    """A trial that has a slot.

    Attributes:
        trial: What Optuna knows of it.
        slot: Its slot.
        drawn: Values by key.
        best: The best values so far, of the first metric.
        last: The values of the last validation.
        pruned: It was told to stop.
        attempts: How often it was started.
    """

    trial: optuna.Trial
    slot: int
    drawn: dict[str, Any]
    best: float | None = None
    last: list[float] = field(default_factory=list)
    pruned: bool = False
    attempts: int = 1


class Coordinator:
    """Runs a share of a study: any number of coordinators, on any hosts, may work on one storage.

    Args:
        study: The study.
        space: What varies.
        metrics: Name and direction of each metric.
        fit: Words of every fit after its verb: config files and options.
        folder: Folder of the study.
        slots: Environment of each slot: its devices or threads.
        num_trials: Trials of the whole study, those of others and of earlier runs among them.
        lease_seconds: How long a trial is nobody else's, from when this coordinator was last heard of.
        max_attempts: How often a trial whose process was killed is started at most.
        stop: When the study ends before it has all its trials.
        on_change: Called when a trial starts, reports or ends.

    Attributes:
        ended_by: Why no further trials are asked for, before the study has its number; None if it has or may have it.
    """

    def __init__(
        self,
        *,
        study: optuna.Study,
        space: SearchSpace,
        metrics: dict[str, str],
        fit: list[str],
        folder: Path,
        slots: list[dict[str, str]],
        num_trials: int,
        lease_seconds: float = 30.0,
        max_attempts: int = 3,
        stop: EarlyStop | None = None,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.study = study
        self.space = space
        self.metrics = metrics
        self.fit = fit
        self.folder = folder
        self.slots = slots
        self.num_trials = num_trials
        self.lease_seconds = lease_seconds
        self.max_attempts = max_attempts
        self.stop = stop
        self.on_change = on_change
        self.running: dict[int, Running] = {}
        self.ended_by: str | None = None
        self._draws = Draws(study, space)
        self._interrupted = False

    def run(self, processes: TrialProcesses) -> None:
        """Runs until the study has its trials, or until Ctrl-C: then trials save, stop, and wait for `--resume`.

        Args:
            processes: Where trials run.
        """
        previous = signal.signal(signal.SIGINT, self._interrupt)
        try:
            while self._fill(processes) or self.running:
                for event in processes.events(timeout=self.lease_seconds / 3):
                    if isinstance(event, Report):
                        self._reported(event)
                    else:
                        self._ended(event, processes)
                self._renew_leases()
        finally:
            signal.signal(signal.SIGINT, previous)

    def _interrupt(self, *_: Any) -> None:
        if self._interrupted:
            raise KeyboardInterrupt
        self._interrupted = True

    def _fill(self, processes: TrialProcesses) -> bool:
        """Gives free slots a trial; False if there is none left to give."""
        if self._interrupted:
            for number in self.running:
                processes.signal(number, signal.SIGTERM)
            return False
        free = set(range(len(self.slots))) - {running.slot for running in self.running.values()}
        for slot in sorted(free):
            found = self._next()
            if found is None:
                return False
            trial, drawn = found
            running = Running(trial, slot, drawn)
            self.running[trial.number] = running
            self._renew_lease(trial)
            self._start(running, processes)
        return True

    def _next(self) -> tuple[optuna.Trial, dict[str, Any]] | None:
        """A trial and its values; None if there is none."""
        while (trial := self._adopt() or self._ask()) is not None:
            drawn = self._draws.draw(trial)
            if drawn is not None:
                return trial, drawn
            self.study.tell(trial, state=TrialState.FAIL)  # another host was faster at the last point
        return None

    def _ask(self) -> optuna.Trial | None:
        states = (*_FINISHED, TrialState.RUNNING)
        if len(self.study.get_trials(deepcopy=False, states=states)) >= self.num_trials:
            return None
        self.ended_by = None
        if self._draws.is_exhausted():
            self.ended_by = "every point of the space was tried"
        elif self.stop is not None and self.stop.is_exhausted(self.study):
            self.ended_by = f"no new best in {self.stop.patience} trials"
        return None if self.ended_by else self.study.ask()

    def _adopt(self) -> optuna.Trial | None:
        """A trial whose coordinator has gone: its lease has run out."""
        for frozen in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            until = frozen.user_attrs.get(_LEASE, 0.0)
            if frozen.number not in self.running and until < time.time():
                return optuna.Trial(self.study, frozen._trial_id)
        return None

    def _start(self, running: Running, processes: TrialProcesses) -> None:
        number = running.trial.number
        name = f"trial-{number:05d}"
        args = ["fit", *self.fit, *(f"--{key}={as_word(value)}" for key, value in running.drawn.items())]
        args += ["--run.root", str(self.folder / "trials"), "--run.name", name]
        if list((self.folder / "trials" / name).glob("*/checkpoints/last.ckpt")):
            args += ["--ckpt_path", "last"]
        (self.folder / "logs").mkdir(exist_ok=True)
        environment = {**self.slots[running.slot], "WANDB_RUN_GROUP": self.study.study_name}
        processes.start(number, args, environment=environment, log=self.folder / "logs" / f"{name}.log")
        self.on_change()

    def _reported(self, report: Report) -> None:
        running = self.running[report.trial]
        running.last = report.values
        stop = False
        if len(self.metrics) == 1:
            (value,) = report.values
            (direction,) = self.metrics.values()
            better = running.best is None or (value > running.best if direction == "maximize" else value < running.best)
            running.best = value if better else running.best
            with suppress(ValueError):  # a step that was reported before the trial was resumed
                running.trial.report(value, report.step)
            # A fit that is at its end is complete; bool, as some pruners answer with numpy's.
            stop = running.pruned = not report.last and bool(running.trial.should_prune())
        with suppress(BrokenPipeError, ConnectionResetError):
            report.answer(stop=stop)
        self.on_change()

    def _ended(self, ended: Ended, processes: TrialProcesses) -> None:
        running = self.running.get(ended.trial)
        if running is None:
            return
        trial, killed = running.trial, ended.code < 0 or ended.code == 128 + signal.SIGTERM
        if self._interrupted and killed:
            trial.set_user_attr(_LEASE, 0.0)  # whoever goes on with the study takes it up
            del self.running[ended.trial]
            return
        if killed and running.attempts < self.max_attempts:
            running.attempts += 1
            self._start(running, processes)
            return
        del self.running[ended.trial]
        if ended.code == 0 and running.last:
            if running.pruned:
                self.study.tell(trial, state=TrialState.PRUNED)
            else:
                self.study.tell(trial, running.last if running.best is None else running.best)
            self._keep_best()
        else:
            trial.set_user_attr("exit_code", ended.code)
            self.study.tell(trial, state=TrialState.FAIL)
            self._stop_if_hopeless()
        self.on_change()

    def _stop_if_hopeless(self) -> None:
        """Trials that all fail have one cause, which is not in what was drawn for them."""
        done = [trial for trial in self.study.get_trials(deepcopy=False) if trial.state in _FINISHED]
        if len(done) >= 3 and all(trial.state == TrialState.FAIL for trial in done):
            log = self.folder / "logs" / f"trial-{done[-1].number:05d}.log"
            lines = [line for line in log.read_text().splitlines() if line.startswith("error: ")]
            raise UsageError(f"the first {len(done)} trials have failed: {(lines or [f'see {log}'])[-1]}")

    def _keep_best(self) -> None:
        """Writes `best.yaml`: fit it, and the best trial comes out again."""
        if len(self.metrics) > 1:
            return
        found = best_trials(self.study)
        if not found:
            return
        (best,) = found
        configs = sorted((self.folder / "trials" / f"trial-{best.number:05d}").glob("*/config.yaml"))
        if configs:
            config = yaml.safe_load(configs[0].read_text())
            config.pop("run", None)
            (metric,) = self.metrics
            head = f"# Trial {best.number} of {self.study.study_name}: {metric} {best.value:.6g}.\n"
            write_whole(self.folder / "best.yaml", head + yaml.safe_dump(config, sort_keys=False))

    def _renew_leases(self) -> None:
        for running in self.running.values():
            self._renew_lease(running.trial)

    def _renew_lease(self, trial: optuna.Trial) -> None:
        now = time.time()
        if trial.user_attrs.get(_LEASE, 0.0) < now + self.lease_seconds / 2:
            trial.set_user_attr(_LEASE, now + self.lease_seconds)
            trial.set_user_attr("owner", f"{socket.gethostname()}:{os.getpid()}")
