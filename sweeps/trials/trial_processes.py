"""Trial processes: the client of the fork server, which starts trials and receives their reports and exit codes."""

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from lightning_app.errors import UsageError
from lightning_app.module_search import ROOT
from sweeps.trials.address import ADDRESS

_SPARE_SECONDS = 10.0
"""What the fork server may take beyond the time in which its trials are to stop."""
_MAX_EARLY_DEATHS = 3


@dataclass(frozen=True)
class Report:
    """A validation of a trial, which waits for the answer.

    Attributes:
        trial: Number of the trial.
        step: Its epoch.
        last: The fit ends with it, whatever the answer.
        values: Of the metrics, in the order of the sweep's file; none where the fit ended before a validation.
        measured: Parameters, latency and memory, see `Measurements`.
        connection: Where the answer goes.
    """

    trial: int
    step: int
    last: bool
    values: list[float]
    measured: dict[str, float]
    connection: socket.socket

    def answer(self, *, stop: bool) -> None:
        """Lets the trial go on, or stop."""
        self.connection.sendall(json.dumps({"stop": stop}).encode() + b"\n")


@dataclass(frozen=True)
class Ended:
    """A trial's process has ended.

    Attributes:
        trial: Number of the trial.
        code: Exit code, negative for a signal.
    """

    trial: int
    code: int


class TrialProcesses:
    """Runs fits in forks of one process that has everything imported.

    If that process is killed, its trials are ended, and another takes its place.

    Args:
        space: The sweep's file.
        fit: Words of every fit after its verb: config files and options.
        metrics: Names of the metrics that trials report.
        max_parameters: A fit with more parameters ends before its first step.
        patience: Seconds that a trial waits for the answer to a report, before it ends itself.
        stop_seconds: Seconds that trials may take to save and stop; then they are killed.

    Attributes:
        kept_by: Metric and mode by which a fit keeps its best checkpoint, once the imports are done.
        experiment: The name under which the config that is varied would run, once the imports are done.
        inputs: Digests of its data files and own code, once the imports are done.
    """

    def __init__(
        self,
        *,
        space: str,
        fit: list[str],
        metrics: list[str],
        max_parameters: float | None = None,
        patience: float = 60.0,
        stop_seconds: float = 30.0,
    ) -> None:
        self.metrics = metrics
        self.max_parameters = max_parameters
        self.patience = patience
        self.stop_seconds = stop_seconds
        self._folder = tempfile.TemporaryDirectory(prefix="sweep-")
        self._address = str(Path(self._folder.name) / "socket")  # in a short path: 108 bytes are the limit
        self._log = Path(self._folder.name) / "fork_server.log"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self._address)
        self._listener.listen()
        start = [sys.executable, "-m", "lightning_app.start", "sweeps.trials.fork_server"]
        self._command = [*start, str(stop_seconds), space, *fit]
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        # A signal ends the wait for events: Python would only note it, and wait on.
        self._wakeup, self._wakeup_write = socket.socketpair()
        self._wakeup_write.setblocking(False)
        self._selector.register(self._wakeup, selectors.EVENT_READ)
        self._pending: dict[Any, bytes] = {}
        self._trials: dict[int, int | None] = {}  # number to process, once it is known
        self._early_deaths = 0
        self._base: dict[str, Any] = {}
        self.experiment = ""
        self.inputs: dict[str, Any] = {}
        self.kept_by: tuple[str, str] | None = None
        self._start_server()

    def _start_server(self) -> None:
        self._ready = False
        with self._log.open("ab") as file:
            self._server = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])},
                start_new_session=True,  # Ctrl-C is for the coordinator, which ends trials in order
            )
        assert self._server.stdout is not None
        self._selector.register(self._server.stdout, selectors.EVENT_READ)

    @property
    def wakeup(self) -> int:
        """File descriptor for `signal.set_wakeup_fd`: `events` returns when a signal has come."""
        return self._wakeup_write.fileno()

    def wait_until_ready(self) -> dict[str, Any]:
        """Waits for the imports, and for the check of the space.

        Returns:
            The resolved config that the space varies.

        Raises:
            UsageError: The space does not fit the config.
        """
        while not self._ready:
            for _ in self.events(timeout=1.0):
                raise AssertionError
        return self._base

    def start(self, trial: int, args: list[str], *, environment: dict[str, str], log: Path) -> None:
        """Starts a fit.

        Args:
            trial: Number of the trial.
            args: Its command line, `fit` first.
            environment: Variables of its process.
            log: File of what it prints.
        """
        address: dict[str, Any] = {
            "address": self._address,
            "trial": trial,
            "metrics": self.metrics,
            "patience": self.patience,
        }
        address["max_parameters"] = self.max_parameters
        variables = {**environment, ADDRESS: json.dumps(address)}
        self._trials[trial] = None
        self._order({"trial": trial, "args": args, "environment": variables, "log": str(log)})

    def signal(self, trial: int, number: int) -> None:
        """Sends a signal to a trial's processes."""
        self._order({"trial": trial, "signal": number})

    def events(self, timeout: float) -> Iterator[Report | Ended]:
        """What happened, after waiting for at most `timeout` seconds."""
        for key, _ in self._selector.select(timeout):
            if key.fileobj is self._wakeup:
                self._wakeup.recv(4096)
                continue
            if key.fileobj is self._listener:
                connection, _ = self._listener.accept()
                self._selector.register(connection, selectors.EVENT_READ)
                continue
            lines = self._lines(key.fileobj)
            if lines is None:
                yield from self._end(key.fileobj)
                continue
            for message in lines:
                if "values" in message:
                    assert isinstance(key.fileobj, socket.socket)
                    yield Report(**message, connection=key.fileobj)
                elif "code" in message:
                    del self._trials[message["trial"]]
                    yield Ended(message["trial"], message["code"])
                elif "process" in message:
                    self._trials[message["trial"]] = message["process"]
                elif "refused" in message:
                    raise UsageError(message["refused"])
                else:
                    self._ready, self._base, kept = True, message["base"], message["kept"]
                    self.experiment, self.inputs = message["experiment"], message["inputs"]
                    self.kept_by = (kept[0], kept[1]) if kept else None

    def _order(self, message: dict[str, Any]) -> None:
        assert self._server.stdin is not None
        with suppress(BrokenPipeError):  # it has died, which is heard of in its turn
            self._server.stdin.write(json.dumps(message).encode() + b"\n")
            self._server.stdin.flush()

    def _lines(self, source: Any) -> list[dict[str, Any]] | None:
        """Whole messages; None at the end of a source."""
        try:
            read = source.recv(1 << 16) if isinstance(source, socket.socket) else os.read(source.fileno(), 1 << 16)
        except ConnectionResetError:
            read = b""
        if not read:
            return None
        *lines, self._pending[source] = (self._pending.get(source, b"") + read).split(b"\n")
        return [json.loads(line) for line in lines]

    def _end(self, source: Any) -> Iterator[Ended]:
        """A trial hangs up when it ends; that the server hangs up ends all trials."""
        self._selector.unregister(source)
        self._pending.pop(source, None)
        source.close()
        if source is not self._server.stdout:
            return
        code = self._server.wait()
        self._early_deaths = 0 if self._ready else self._early_deaths + 1
        if not self._ready and (code >= 0 or self._early_deaths >= _MAX_EARLY_DEATHS):
            raise RuntimeError(f"the process that starts trials has died ({code}):\n{self._log.read_text()[-2000:]}")
        lost, self._trials = self._trials, {}
        for process in lost.values():
            if process is not None:
                with suppress(ProcessLookupError):
                    os.killpg(process, signal.SIGKILL)
        self._start_server()
        for trial in lost:
            yield Ended(trial, -signal.SIGKILL)

    def __enter__(self) -> "TrialProcesses":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the fork server, which asks trials that still run to save and stop; none waits for an answer.

        A second Ctrl-C does not wait for them. Whatever does not stop in time is killed, with its process group.
        """
        if kind is KeyboardInterrupt:
            for trial in self._trials:
                self.signal(trial, signal.SIGKILL)
        assert self._server.stdin is not None
        with suppress(BrokenPipeError):
            self._server.stdin.close()
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._wakeup_write.close()
        try:
            self._server.wait(timeout=self.stop_seconds + _SPARE_SECONDS if self._ready else 0)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            for process in (self._server.pid, *self._trials.values()):
                if process is not None:
                    with suppress(ProcessLookupError):
                        os.killpg(process, signal.SIGKILL)
            self._server.wait()
        self._folder.cleanup()
