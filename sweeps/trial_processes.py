"""The coordinator's end of the fork server: starts trials, hears what they report and how they end."""

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from sweeps.trial import ADDRESS

_STOP_SECONDS = 60.0


@dataclass(frozen=True)
class Report:
    """A validation of a trial, which waits for the answer.

    Attributes:
        trial: Number of the trial.
        step: Its epoch.
        last: The fit ends with it, whatever the answer.
        values: Of the metrics, in the order of the sweep's file.
        connection: Where the answer goes.
    """

    trial: int
    step: int
    last: bool
    values: list[float]
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

    Args:
        modules: What that process imports.
        metrics: Names of the metrics that trials report.
        log: File of what the fork server prints.
        patience: Seconds that a trial waits for the answer to a report, before it ends itself.
    """

    def __init__(self, *, modules: list[str], metrics: list[str], log: Path, patience: float = 60.0) -> None:
        self.metrics = metrics
        self.patience = patience
        self._folder = tempfile.TemporaryDirectory(prefix="sweep-")
        self._address = str(Path(self._folder.name) / "socket")  # in a short path: 108 bytes are the limit
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self._address)
        self._listener.listen()
        with log.open("ab") as file:
            self._server = subprocess.Popen(
                [sys.executable, "-m", "sweeps.fork_server", *modules],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path[1:])},
                start_new_session=True,  # Ctrl-C is for the coordinator, which ends trials in order
            )
        self._selector = selectors.DefaultSelector()
        self._pending: dict[Any, bytes] = {}
        for source in (self._listener, self._server.stdout):
            assert source is not None
            self._selector.register(source, selectors.EVENT_READ)

    def start(self, trial: int, args: list[str], *, environment: dict[str, str], log: Path) -> None:
        """Starts a fit.

        Args:
            trial: Number of the trial.
            args: Its command line, `fit` first.
            environment: Variables of its process.
            log: File of what it prints.
        """
        address = {"address": self._address, "trial": trial, "metrics": self.metrics, "patience": self.patience}
        variables = {**environment, ADDRESS: json.dumps(address)}
        self._order({"trial": trial, "args": args, "environment": variables, "log": str(log)})

    def signal(self, trial: int, number: int) -> None:
        """Sends a signal to a trial's processes."""
        self._order({"trial": trial, "signal": number})

    def events(self, timeout: float) -> Iterator[Report | Ended]:
        """What happened, after waiting for at most `timeout` seconds."""
        for key, _ in self._selector.select(timeout):
            if key.fileobj is self._listener:
                connection, _ = self._listener.accept()
                self._selector.register(connection, selectors.EVENT_READ)
                continue
            for message in self._lines(key.fileobj):
                if "code" in message:
                    yield Ended(message["trial"], message["code"])
                elif "values" in message:
                    assert isinstance(key.fileobj, socket.socket)
                    yield Report(message["trial"], message["step"], message["last"], message["values"], key.fileobj)

    def _order(self, message: dict[str, Any]) -> None:
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps(message).encode() + b"\n")
        self._server.stdin.flush()

    def _lines(self, source: Any) -> list[dict[str, Any]]:
        try:
            read = source.recv(1 << 16) if isinstance(source, socket.socket) else os.read(source.fileno(), 1 << 16)
        except ConnectionResetError:
            read = b""
        if not read:
            self._selector.unregister(source)
            self._pending.pop(source, None)
            if source is self._server.stdout:
                raise RuntimeError("the process that starts trials has died; its log is beside the study")
            source.close()
            return []
        *lines, self._pending[source] = (self._pending.get(source, b"") + read).split(b"\n")
        return [json.loads(line) for line in lines]

    def __enter__(self) -> "TrialProcesses":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the fork server, which asks trials that still run to save and stop; none waits for an answer."""
        assert self._server.stdin is not None
        self._server.stdin.close()
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        try:
            self._server.wait(timeout=_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._server.pid, signal.SIGKILL)
            self._server.wait()
        self._folder.cleanup()
