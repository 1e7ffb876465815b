"""Coordinator: runs trials in separate processes, prunes and retries them, and records their results in the study."""

import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from lightning_app.errors import UsageError
from sweeps.execution.running_trial import RunningTrial
from sweeps.execution.trial_queue import TrialSource
from sweeps.reporting.outcome import last_error, why
from sweeps.sampling.constraints import WHY, violations, write_constraints
from sweeps.trials.cli_value import cli_value
from sweeps.trials.trial_processes import Ended, Report, TrialProcesses

_KILL_SECONDS = 10.0
"""How long trials that were killed may take to go."""


class Coordinator:
    """Runs trials of a study; any number of coordinators, on any hosts, may share one storage.

    Args:
        source: Queue of trials, and the study that records their results.
        metrics: Name and direction of each metric.
        fit: Arguments of every `fit`: config files and options.
        folder: Folder of the study.
        group: The W&B group of the trials.
        devices: Environment of each worker: its GPUs, or its share of the threads.
        constraints: Upper bounds on the cost of a trial.
        max_kills: How often a trial may be killed without progress before it counts as failed.
        on_change: Called when a trial starts, reports or ends.
        on_complete: Called when a trial is complete.
    """

    def __init__(
        self,
        *,
        source: TrialSource,
        metrics: Mapping[str, str],
        fit: list[str],
        folder: Path,
        group: str,
        devices: list[dict[str, str]],
        constraints: Mapping[str, float] | None = None,
        max_kills: int = 5,
        on_change: Callable[[], None] = lambda: None,
        on_complete: Callable[[], None] = lambda: None,
    ) -> None:
        self.source = source
        self.study = source.study
        self.leases = source.leases
        self.metrics = metrics
        self.fit = fit
        self.folder = folder
        self.group = group
        self.devices = devices
        self.constraints = constraints or {}
        self.max_kills = max_kills
        self.on_change = on_change
        self.on_complete = on_complete
        self.running: dict[int, RunningTrial] = {}
        self._interrupted = 0
        self._interrupted_at = 0.0

    def run(self, processes: TrialProcesses) -> int:
        """Runs until the study is complete, or until Ctrl-C or SIGTERM: then trials save a checkpoint and stop.

        Args:
            processes: The fork server that runs the trials.

        Returns:
            The signal that ended the run, or 0.
        """
        signals = (signal.SIGINT, signal.SIGTERM)
        previous = [signal.signal(number, self._interrupt) for number in signals]
        previous_wakeup = signal.set_wakeup_fd(processes.wakeup, warn_on_full_buffer=False)
        try:
            while self._fill(processes) or self.running:
                timeout = min(1.0, self.leases.pause) if self._interrupted else self.leases.pause
                for event in processes.events(timeout=timeout):
                    self._give_up_lost(processes)
                    if isinstance(event, Report):
                        self._reported(event)
                    else:
                        self._ended(event, processes)
                self._give_up_lost(processes)
                if not self._end_hung(processes):
                    break
        finally:
            signal.set_wakeup_fd(previous_wakeup)
            with suppress(Exception):  # the storage may be what failed; then others wait for the lease to end
                self.leases.leave()
            for number, handler in zip(signals, previous, strict=True):
                signal.signal(number, handler)
        if not self._interrupted:
            self._stop_if_hopeless(1)
        return self._interrupted

    def _interrupt(self, number: int, _: Any) -> None:
        if self._interrupted:
            raise KeyboardInterrupt
        self._interrupted, self._interrupted_at = number, time.monotonic()

    def _fill(self, processes: TrialProcesses) -> bool:
        """Starts a trial on every free worker; False if the study needs no more, and no other host can lose one."""
        if self._interrupted:
            self._stop_all(processes)
            return False
        free = set(range(len(self.devices))) - {running.device for running in self.running.values()}
        for device in sorted(free):
            found = self.source.next()
            if found is None:
                return self.source.others_run(self.running)
            directions = tuple(self.metrics.values())
            running = RunningTrial(found.trial, directions, device, found.drawn, found.seeds, found.name)
            running.remember()
            self.running[found.trial.number] = running
            self._start(running, processes)
        return True

    def _stop_all(self, processes: TrialProcesses) -> None:
        """Asks each trial to save and stop, once: a second signal would interrupt the save."""
        for number, running in self.running.items():
            if not running.asked_to_stop:
                processes.signal(number, signal.SIGTERM)
                running.asked_to_stop = True

    def _end_hung(self, processes: TrialProcesses) -> bool:
        """Kills trials that did not stop when asked to; False if a kill did not end them either."""
        if not self._interrupted:
            return True
        waited = time.monotonic() - self._interrupted_at - processes.stop_seconds
        if waited > 0:
            for number, running in self.running.items():
                if not running.was_killed:
                    running.was_killed = True
                    processes.signal(number, signal.SIGKILL)
                    print(  # noqa: T201
                        f"warning: trial {number} did not stop within {processes.stop_seconds:g} s and was killed; it "
                        "goes on from its last checkpoint",
                        file=sys.stderr,
                    )
        return waited < _KILL_SECONDS

    def _give_up_lost(self, processes: TrialProcesses) -> None:
        """Stops trials that another host has adopted because this process did not renew their leases in time."""
        for number in self.leases.renew():
            if number in self.running:
                processes.signal(number, signal.SIGKILL)  # what it would save is no longer its own
                del self.running[number]

    def _start(self, running: RunningTrial, processes: TrialProcesses) -> None:
        number, name = running.trial.number, running.fit_name
        args = ["fit", *self.fit, *(f"--{key}={cli_value(value)}" for key, value in running.drawn.items())]
        args += running.seeds.options(len(running.done))
        args += ["--run.root", str(self.folder / "trials"), "--run.name", name]
        if list((self.folder / "trials" / name).glob("*/checkpoints/last.ckpt")):
            args += ["--ckpt_path", "last"]
        (self.folder / "logs").mkdir(exist_ok=True)
        environment = {**self.devices[running.device], "WANDB_RUN_GROUP": self.group}
        processes.start(number, args, environment=environment, log=self.folder / "logs" / f"{name}.log")
        self.on_change()

    def _reported(self, report: Report) -> None:
        running = self.running.get(report.trial)
        if running is None:
            return
        running.measure(report.measured)
        if report.values:
            running.report(report.values, report.step, last=report.last)
        # What it needs does not shrink; a slow validation may have been chance.
        broken = self._broken(running, but="latency")
        if broken and not (report.last and report.values):
            running.pruned_by = f"bound: {', '.join(broken)}"
        with suppress(BrokenPipeError, ConnectionResetError):
            report.answer(stop=bool(running.pruned_by))
        self.on_change()

    def _ended(self, ended: Ended, processes: TrialProcesses) -> None:
        running = self.running.get(ended.trial)
        if running is None:
            return
        number, killed = running.trial.number, ended.code < 0 or ended.code == 128 + signal.SIGTERM
        if ended.code and running.asked_to_stop:
            self._release(running)
            return
        if not self.leases.holds(number):
            del self.running[ended.trial]
            return
        if killed and running.count_kill() < self.max_kills:
            self._start(running, processes)
            return
        if not ended.code and not running.pruned_by and running.values() and running.next_fit():
            if running.asked_to_stop:
                self._release(running)
            else:
                self._start(running, processes)
            return
        del self.running[ended.trial]
        self._tell(running, ended.code)
        self.on_change()

    def _release(self, running: RunningTrial) -> None:
        """Releases a trial, for any process that continues the study."""
        running.note_seconds()
        self.leases.release(running.trial.number)
        del self.running[running.trial.number]

    def _broken(self, running: RunningTrial, *, but: str = "") -> list[str]:
        found = violations(self.constraints, running.measured)
        return [name for name, violation in found.items() if violation > 0 and name != but]

    def _tell(self, running: RunningTrial, code: int) -> None:
        trial = running.trial
        running.note_seconds()
        trial.set_user_attr("measured", running.measured)
        write_constraints(trial, self.constraints, running.measured)
        if code or not (running.is_complete or running.pruned_by):
            trial.set_user_attr("exit_code", code)
            if error := last_error(self.folder / "logs" / f"{running.fit_name}.log"):
                trial.set_user_attr(WHY, error)
            self.study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
            self._stop_if_hopeless(3)
        elif running.pruned_by:
            trial.set_user_attr(WHY, running.pruned_by)
            self.study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)
        else:
            self.study.tell(trial, running.result(), skip_if_finished=True)
            self.on_complete()

    def _stop_if_hopeless(self, num_trials: int) -> None:
        """Stops the study when all trials fail: the cause is then not in their sampled values."""
        done = [trial for trial in self.study.get_trials(deepcopy=False) if trial.state.is_finished()]
        if len(done) >= num_trials and all(trial.state == TrialState.FAIL for trial in done):
            log = self.folder / "logs" / f"{self.source.name_of(done[-1])}.log"
            said = why(done[-1]) or last_error(log) or f"see {log}"
            raise UsageError(f"all of {len(done)} trials have failed: {said}")
