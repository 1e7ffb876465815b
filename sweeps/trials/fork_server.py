"""Fork server: imports everything and builds the parser once, then forks one process per trial.

The coordinator writes a line of JSON for each trial to start or to signal, and reads a line for each one that has
started or ended. The output of trials is written to logs of bounded size.
"""

import fcntl
import io
import json
import os
import selectors
import shutil
import signal
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

from lightning_app.errors import UsageError
from sweeps.trials.process_tree import (
    adopt_orphans,
    children,
    die_with_parent,
    forks_die_with_this_process,
    kill_children,
)
from sweeps.trials.trial_log import TrialLog

_KILL_SECONDS = 5.0
"""How long processes that were killed may take to go; those that wait for a dead disk or server never do."""
_LAST_READS = 16
"""Of 64 KiB: what the pipe of a trial may hold when it has ended."""


@dataclass(frozen=True)
class _Running:
    """A trial's process.

    Attributes:
        trial: Number of the trial.
        output: Read end of the pipe that carries its output.
        log: Log that the output is written to.
    """

    trial: int
    output: int
    log: TrialLog


class ForkServer:
    """Starts and signals trials, and reports how they end.

    Args:
        answers: Stream for the reports.
        stop_seconds: Time for trials to save and stop after the coordinator has ended.
    """

    def __init__(self, answers: Any, *, stop_seconds: float) -> None:
        self.answers = answers
        self.stop_seconds = stop_seconds
        self._imported = Path(tempfile.mkdtemp(prefix="sweep-"))
        self._running: dict[int, _Running] = {}
        self._helpers = set(children())  # such as W&B's, which has to write to its end
        self._pending = b""
        self._selector = selectors.DefaultSelector()
        self._wakeup, wakeup_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wakeup_write)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal goes to all; the coordinator decides
        for source in (0, self._wakeup):
            self._selector.register(source, selectors.EVENT_READ)

    def serve(self) -> None:
        """Serves until standard input is closed; running trials are then asked to save and stop."""
        while self._step(None):
            pass
        self._selector.unregister(0)
        for process in self._running:
            _signal(process, signal.SIGTERM)
        self._wait(self.stop_seconds)
        for process in self._running:
            _signal(process, signal.SIGKILL)
        self._wait(_KILL_SECONDS)
        kill_children(spared=self._helpers)  # what a trial started in a session of its own
        shutil.rmtree(self._imported, ignore_errors=True)

    def _wait(self, seconds: float) -> None:
        """Waits until all trials have ended, or for the given seconds."""
        until = time.monotonic() + seconds
        while self._running and (left := until - time.monotonic()) > 0:
            self._step(left)

    def _step(self, timeout: float | None) -> bool:
        """Handles pending orders and output; False once standard input is closed."""
        ready = {int(key.fd) for key, _ in self._selector.select(timeout)}
        outputs = {running.output: running for running in self._running.values()}
        for output in ready & set(outputs):
            self._pass_on(outputs[output])
        if self._wakeup in ready:
            os.read(self._wakeup, 4096)
            self._reap()
        if 0 in ready:
            read = os.read(0, 1 << 16)
            if not read:
                return False
            *lines, self._pending = (self._pending + read).split(b"\n")
            for line in lines:
                self._obey(json.loads(line))
        return True

    def _obey(self, order: dict[str, Any]) -> None:
        if "signal" in order:
            for process, running in self._running.items():
                if running.trial == order["trial"]:
                    _signal(process, order["signal"])
            return
        log = Path(order["log"])
        opened: tuple[int, ...] = ()
        server = os.getpid()
        try:
            log.touch()  # it is the lock of the trial's folder too
            opened = output, printed = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(output, False)
            process = os.fork()
        except OSError as error:  # this trial fails, and not the process that all are forked from
            for descriptor in opened:
                os.close(descriptor)
            line = f"error: trial {order['trial']} cannot be started: {error}"
            print(line, file=sys.stderr, flush=True)  # noqa: T201
            trial_log = TrialLog(log)
            trial_log.write(f"{line}\n".encode())
            trial_log.close()
            self.say(trial=order["trial"], code=1)
            return
        if process == 0:
            self.answers.close()
            for held in (output, *(running.output for running in self._running.values())):
                os.close(held)
            _become_trial(order, self._imported, printed=printed, server=server)
        os.close(printed)
        self._running[process] = _Running(order["trial"], output, TrialLog(log))
        self._selector.register(output, selectors.EVENT_READ)
        self.say(trial=order["trial"], process=process)

    def _pass_on(self, running: _Running) -> None:
        """Copies output of a trial to its log."""
        with suppress(BlockingIOError):
            read = os.read(running.output, 1 << 16)
            if read:
                running.log.write(read)
            elif running.output in self._selector.get_map():  # it has closed its output, and may run on
                self._selector.unregister(running.output)

    def _reap(self) -> None:
        while True:
            try:
                process, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if process == 0:
                return
            _import_too(self._imported / str(process))
            running = self._running.pop(process, None)
            if running is not None:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(process, signal.SIGKILL)  # ranks and workers that outlived it
                self._close(running)
                self.say(trial=running.trial, code=os.waitstatus_to_exitcode(status))

    def _close(self, running: _Running) -> None:
        """Copies the remaining output of a trial to its log, without waiting for other holders of the pipe."""
        with suppress(BlockingIOError):
            for _ in range(_LAST_READS):  # others may write for ever
                if not (read := os.read(running.output, 1 << 16)):
                    break
                running.log.write(read)
        if running.output in self._selector.get_map():
            self._selector.unregister(running.output)
        os.close(running.output)
        running.log.close()

    def say(self, **message: Any) -> None:
        """Sends a message to the coordinator."""
        with suppress(BrokenPipeError):  # the coordinator has gone, which is heard of in its turn
            self.answers.write(json.dumps(message) + "\n")


def serve(space: str, fit: list[str], *, stop_seconds: float) -> None:
    """Serves until standard input is closed, or reports why it cannot start.

    Args:
        space: Path of the sweep file, which is checked against the schema of the config.
        fit: Arguments of every `fit`.
        stop_seconds: Time for trials to save and stop after the coordinator has ended.
    """
    die_with_parent()  # until it listens: what it imports may hang
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever prints goes to the log, answers go to the coordinator
    try:
        facts = _prepare(space, fit)
    except UsageError as error:
        answers.write(json.dumps({"refused": str(error)}) + "\n")
        return
    server = ForkServer(answers, stop_seconds=stop_seconds)
    die_with_parent(0)
    adopt_orphans()
    server.say(**facts)
    server.serve()


def _prepare(space: str, fit: list[str]) -> dict[str, Any]:
    """Imports what trials need, builds their parser, and parses the config once to warm its caches.

    Returns:
        Facts for the coordinator: the resolved config (`base`), the metric of its best checkpoint (`kept`), its
        experiment name (`experiment`), and digests of its data files and own code (`inputs`).
    """
    import torch

    import sweeps.trials.trial  # noqa: F401
    from lightning_app.cli import experiment_name
    from lightning_app.runs.tracking import wandb_mode
    from sweeps.storage.study_inputs import inputs_of
    from sweeps.storage.sweep_file import SweepFile
    from sweeps.trials.kept_checkpoint import kept_by
    from sweeps.trials.trial_config import ConfigReader, check_space

    torch.save({}, io.BytesIO())  # imports what the first checkpoint of a process needs
    reader = ConfigReader(fit)
    search_space = SweepFile.read(space).space
    check_space(search_space, reader)
    if wandb_mode(reader.config.fit.run) != "disabled":
        import wandb

        # Runs of all trials share one process of W&B, whose start takes longer than a short trial.
        with tempfile.TemporaryDirectory(prefix="sweep-") as folder:
            os.environ.setdefault("WANDB_CACHE_DIR", folder)
            wandb.setup()
            if os.environ["WANDB_CACHE_DIR"] == folder:
                del os.environ["WANDB_CACHE_DIR"]
    base = reader.resolve({})
    return {
        "base": base,
        "kept": kept_by(base),
        "experiment": experiment_name(reader.config.fit),
        "inputs": inputs_of(base, search_space),
    }


def _become_trial(order: dict[str, Any], imported: Path, *, printed: int, server: int) -> NoReturn:
    """Runs one trial in this (forked) process and exits; reports the modules it had to import."""
    known = set(sys.modules)
    os.setsid()  # signals to the trial reach its ranks and workers too
    die_with_parent()
    if os.getppid() != server:  # it was faster
        os._exit(1)
    forks_die_with_this_process()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (printed, 1), (printed, 2)):
        os.dup2(source, target)
    _wait_for_others(order["log"])
    os.environ.update(order["environment"])
    code = 1
    try:
        import torch

        from sweeps.trials.trial import main

        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
        # Lightning starts the other ranks of a trial by the command of this process.
        sys.modules["__main__"].__spec__ = find_spec("lightning_app.start_trial")
        sys.argv = ["lightning-app", *order["args"]]
        code = main(order["args"])
        (imported / str(os.getpid())).write_text("\n".join(set(sys.modules) - known))
    finally:
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _wait_for_others(log: str) -> None:
    """Waits until no process of this trial from an earlier coordinator is alive: two must not write to one folder.

    The lock is released when the last process that holds it ends; programs that a trial starts do not inherit it.
    """
    own = os.open(log, os.O_RDONLY)
    with suppress(OSError):  # a file system without locks
        fcntl.flock(own, fcntl.LOCK_EX)


def _import_too(names: Path) -> None:
    """Imports the modules that a trial had to import, so that later trials inherit them."""
    if names.exists():
        for name in names.read_text().split():
            if name not in sys.modules:
                with suppress(Exception):  # some modules are made while their package runs
                    import_module(name)
        names.unlink()


def _signal(process: int, number: int) -> None:
    """Kills all processes of a trial, or signals its first process, which ends the others in order.

    Loader workers that receive the signal too would die before the checkpoint is saved, and fail the fit.
    """
    with suppress(ProcessLookupError, PermissionError):
        os.kill(process, number)  # it may have no group of its own yet
    if number == signal.SIGKILL:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process, number)


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    serve(sys.argv[2], sys.argv[3:], stop_seconds=float(sys.argv[1]))
