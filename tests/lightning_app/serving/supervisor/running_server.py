"""A whole server in processes of its own: started by its command, asked over HTTP, signalled, ended."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.conftest import CONFIGS
from tests.packages import COLUMNS

ROW = dict.fromkeys(COLUMNS, 0.5)
RECORDS = {"records": [ROW]}
_READY = re.compile(r"serving on (?P<address>https?://\S+); ")
_SECONDS = 30.0


class RunningServer:
    """A server that is ready.

    Attributes:
        process: The supervisor.
        announcement: The line that it printed.
        address: `http://127.0.0.1:PORT`.
    """

    def __init__(self, words: tuple[str, ...], folder: Path, environment: Mapping[str, str]) -> None:
        self._errors = folder / "server-errors.txt"
        with self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "lightning_app", "serve", *words],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, "PYTHONPATH": str(CONFIGS.parent), **environment},
            )
        assert self.process.stdout is not None
        self.announcement = self.process.stdout.readline()
        match = _READY.match(self.announcement)
        assert match, f"{self.announcement}\n{self.errors}"
        self.address = match["address"]

    @property
    def errors(self) -> str:
        """What the server has written to stderr."""
        return self._errors.read_text()

    @property
    def workers(self) -> list[int]:
        """Process ids of the workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [pid for pid in map(int, children.split()) if is_alive(pid)]

    def get(self, path: str) -> Any:
        """JSON of a page."""
        return httpx.get(self.address + path, timeout=_SECONDS).json()

    def predict(self, row: Mapping[str, float], path: str = "/predict") -> Any:
        """Answer to one row."""
        response = httpx.post(self.address + path, json={"records": [row]}, timeout=_SECONDS)
        assert response.status_code == 200, response.text
        return response.json()

    def wait_for(self, what: Callable[[], bool], seconds: float = _SECONDS) -> None:
        """Waits until something is true; a server that does not answer meanwhile is asked again."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if what():
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise TimeoutError(self.errors)

    def wait_for_log(self, words: str) -> None:
        """Waits until the log has a line with these words."""
        self.wait_for(lambda: words in self.errors)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ends it with a signal; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(_SECONDS)


@contextmanager
def running_server(*words: object, **environment: str) -> Iterator[RunningServer]:
    """Starts `lightning-app serve WORDS` on a free port in the working folder, and ends it."""
    server = RunningServer((*map(str, words), "--port", "0"), Path(), environment)
    workers: list[int] = []
    try:
        yield server
    finally:
        if server.process.poll() is None:
            workers = server.workers
            server.process.kill()
            server.process.wait()
        assert server.process.stdout is not None
        server.process.stdout.close()
        for pid in workers:
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)


def is_alive(pid: int) -> bool:
    """Whether a process of this id is a worker that has not ended."""
    try:
        return b"serving.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


class Clients:
    """Threads that ask a server again and again over connections that stay open.

    A request that gets no answer is sent once more under its id.

    Attributes:
        answers: Whatever `keep` returned of each answer.
        errors: Requests without an answer, and answers that are not 200.
    """

    def __init__(self, url: str, body: Mapping[str, Any], *, keep: Callable[[Any], Any], num_clients: int = 4) -> None:
        self._url, self._body, self._keep = url, body, keep
        self._end = threading.Event()
        self.answers: list[Any] = []
        self.errors: list[str] = []
        self._threads = [threading.Thread(target=self._run) for _ in range(num_clients)]

    def __enter__(self) -> "Clients":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        with httpx.Client(timeout=_SECONDS) as client:
            headers: dict[str, str] | None = None
            while not self._end.is_set():
                headers = headers or {"X-Request-Id": str(uuid.uuid4())}
                try:
                    response = client.post(self._url, json=self._body, headers=headers)
                except httpx.TransportError as error:
                    self.errors.append(repr(error))
                    continue
                headers = None
                if response.status_code == 200:
                    self.answers.append(self._keep(response.json()))
                else:
                    self.errors.append(f"{response.status_code} {response.text}")
