"""Asks for trials, runs them in processes of their own, prunes, retries, and tells the study what came of them."""

import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from lightning_app.errors import UsageError
from lightning_app.run import write_whole
from sweeps.leases import Leases
from sweeps.space import SearchSpace
from sweeps.trial_config import as_word
from sweeps.trial_processes import Ended, Report, TrialProcesses

_MAX_LOSSES = 10
_REPORTED = "reported"
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
        on_change: Called when a trial starts, reports or ends.
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
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.study = study
        self.space = space
        self.metrics = metrics
        self.fit = fit
        self.folder = folder
        self.slots = slots
        self.num_trials = num_trials
        self.leases = Leases(study, seconds=lease_seconds)
        self.max_attempts = max_attempts
        self.on_change = on_change
        self.running: dict[int, Running] = {}
        self._interrupted = False

    def run(self, processes: TrialProcesses) -> None:
        """Runs until the study has its trials, or until Ctrl-C: then trials save, stop, and wait for `--resume`.

        Args:
            processes: Where trials run.
        """
        previous = signal.signal(signal.SIGINT, self._interrupt)
        try:
            while self._fill(processes) or self.running:
                for event in processes.events(timeout=self.leases.pause):
                    self._give_up_lost(processes)
                    if isinstance(event, Report):
                        self._reported(event)
                    else:
                        self._ended(event, processes)
                self._give_up_lost(processes)
        finally:
            with suppress(Exception):  # the storage may be what failed; then others wait for the lease to end
                self.leases.leave()
            signal.signal(signal.SIGINT, previous)

    def _interrupt(self, *_: Any) -> None:
        if self._interrupted:
            raise KeyboardInterrupt
        self._interrupted = True

    def _fill(self, processes: TrialProcesses) -> bool:
        """Gives free slots a trial; False if there is none left to give, and none that others may yet lose."""
        if self._interrupted:
            for number in self.running:
                processes.signal(number, signal.SIGTERM)
            return False
        free = set(range(len(self.slots))) - {running.slot for running in self.running.values()}
        for slot in sorted(free):
            trial = self._adopt() or self._ask()
            if trial is None:
                return self._others_run()
            running = Running(trial, slot, self.space.suggest(trial))
            self._remember(running)
            self.running[trial.number] = running
            self._start(running, processes)
        return True

    def _ask(self) -> optuna.Trial | None:
        states = (*_FINISHED, TrialState.RUNNING)
        if len(self.study.get_trials(deepcopy=False, states=states)) >= self.num_trials:
            return None
        trial = self.study.ask()
        if not self.leases.take(trial.number):
            return None  # this process stood still for so long that another one thought it lost
        if trial.number >= self.num_trials:
            trial.set_user_attr("surplus", "another host asked for the last trial at the same time")
            self.study.tell(trial, state=TrialState.FAIL)
            return None
        return trial

    def _adopt(self) -> optuna.Trial | None:
        """A trial whose coordinator has gone."""
        while (number := self.leases.adopt()) is not None:
            trial = optuna.Trial(self.study, self.study.get_trials(deepcopy=False)[number]._trial_id)
            if self.leases.losses(number) < _MAX_LOSSES:
                return trial
            trial.set_user_attr("lost", f"lost {_MAX_LOSSES} times before its next validation")
            self.study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
        return None

    def _remember(self, running: Running) -> None:
        """What a trial that was taken up has reported: it may be at its end, and validate no more."""
        if len(self.metrics) > 1:
            running.last = running.trial.user_attrs.get(_REPORTED, [])
            return
        if values := [value for _, value in sorted(running.trial._cached_frozen_trial.intermediate_values.items())]:
            (direction,) = self.metrics.values()
            running.last = values[-1:]
            running.best = max(values) if direction == "maximize" else min(values)

    def _others_run(self) -> bool:
        running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return any(trial.number not in self.running for trial in running)

    def _give_up_lost(self, processes: TrialProcesses) -> None:
        """Ends trials that others have taken up, as this process was paused or away from the storage for too long."""
        for number in self.leases.renew():
            if number in self.running:
                processes.signal(number, signal.SIGKILL)  # what it would save is no longer its own
                del self.running[number]

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
        running = self.running.get(report.trial)
        if running is None:
            return
        running.last = report.values
        stop = False
        if len(self.metrics) == 1:
            (value,) = report.values
            (direction,) = self.metrics.values()
            better = running.best is None or (value > running.best if direction == "maximize" else value < running.best)
            running.best = value if better else running.best
            # A step that was reported before the trial was resumed; a trial that another one has ended meanwhile.
            with suppress(ValueError, UpdateFinishedTrialError):
                running.trial.report(value, report.step)
            # A fit that is at its end is complete; bool, as some pruners answer with numpy's.
            stop = running.pruned = not report.last and bool(running.trial.should_prune())
        else:
            running.trial.set_user_attr(_REPORTED, report.values)
        with suppress(BrokenPipeError, ConnectionResetError):
            report.answer(stop=stop)
        self.on_change()

    def _ended(self, ended: Ended, processes: TrialProcesses) -> None:
        running = self.running.get(ended.trial)
        if running is None:
            return
        trial, killed = running.trial, ended.code < 0 or ended.code == 128 + signal.SIGTERM
        if self._interrupted and killed:
            self.leases.release(trial.number)  # whoever goes on with the study takes it up
            del self.running[ended.trial]
            return
        if not self.leases.holds(trial.number):
            del self.running[ended.trial]
            return
        if killed and running.attempts < self.max_attempts:
            running.attempts += 1
            self._start(running, processes)
            return
        del self.running[ended.trial]
        if ended.code == 0 and running.last:
            if running.pruned:
                self.study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)
            else:
                values = running.last if running.best is None else running.best
                self.study.tell(trial, values, skip_if_finished=True)
                self._keep_best()
        else:
            trial.set_user_attr("exit_code", ended.code)
            self.study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
            self._stop_if_hopeless()
        self.on_change()

    def _stop_if_hopeless(self) -> None:
        """Trials that all fail have one cause, which is not in what was drawn for them."""
        done = [trial for trial in self.study.get_trials(deepcopy=False) if trial.state in _FINISHED]
        if len(done) >= 3 and all(trial.state == TrialState.FAIL for trial in done):
            log = self.folder / "logs" / f"trial-{done[-1].number:05d}.log"
            text = log.read_text() if log.exists() else ""  # it may be another host's
            lines = [line for line in text.splitlines() if line.startswith("error: ")]
            raise UsageError(f"the first {len(done)} trials have failed: {(lines or [f'see {log}'])[-1]}")

    def _keep_best(self) -> None:
        """Writes `best.yaml`: fit it, and the best trial comes out again."""
        if len(self.metrics) > 1:
            return
        best = self.study.best_trial
        configs = sorted((self.folder / "trials" / f"trial-{best.number:05d}").glob("*/config.yaml"))
        if configs:
            config = yaml.safe_load(configs[0].read_text())
            config.pop("run", None)
            (metric,) = self.metrics
            head = f"# Trial {best.number} of {self.study.study_name}: {metric} {best.value:.6g}.\n"
            write_whole(self.folder / "best.yaml", head + yaml.safe_dump(config, sort_keys=False))
