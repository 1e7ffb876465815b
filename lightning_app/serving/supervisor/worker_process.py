"""Worker process as the supervisor sees it: started, told what to load, listened to, ended."""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from lightning_app.serving.config.control_channel import (
    Alive,
    Command,
    Failed,
    Load,
    Loaded,
    Ready,
    ResolvedModel,
    Slot,
    Unable,
    decode_event,
    encode_line,
)
from lightning_app.serving.observability.gauge_files import forget_gauges
from lightning_app.serving.supervisor.child import command_of, environment
from lightning_app.serving.supervisor.listening import Listeners

_log = logging.getLogger("lightning_app.serving.supervisor")
_LINE_BYTES = 2**20
_LOAD_SECONDS = 600.0
_LOOK_SECONDS = 1.0

_Version = tuple[str, str, int | None, str]
"""Name, number and digest."""


class WorkerProcess:
    """A running worker; use `start`.

    Attributes:
        number: Number of the worker.
        models: What it was told to serve last.
        problem: Why it could not start; None if it did not say.
    """

    def __init__(
        self,
        *,
        number: int,
        metrics: Path,
        models: Sequence[ResolvedModel],
        process: asyncio.subprocess.Process,
        commands: asyncio.WriteTransport,
        events: asyncio.StreamReader,
        unresponsive_seconds: float,
    ) -> None:
        self.number = number
        self.models = models
        self.problem: Unable | Failed | None = None
        self._metrics = metrics
        self._process = process
        self._commands = commands
        self._unresponsive_seconds = unresponsive_seconds
        self._heard = time.monotonic()
        self._outcomes: dict[_Version, asyncio.Future[str | None]] = {}
        self._ready = asyncio.Event()
        reading = asyncio.create_task(self._read(events))
        self._exit = asyncio.create_task(self._wait(reading))
        self._watching = asyncio.create_task(self._watch())

    @classmethod
    async def start(
        cls,
        *,
        number: int,
        folder: Path,
        models: Sequence[ResolvedModel],
        listeners: Listeners,
        lock: int,
        unresponsive_seconds: float,
    ) -> "WorkerProcess":
        """Starts a worker.

        Args:
            number: Number of the worker, unique among those that are alive.
            folder: Runtime folder.
            models: Content of its `models.json`.
            listeners: Sockets that are listened on.
            lock: File descriptor that the worker has to keep open.
            unresponsive_seconds: It is killed if it gives no sign of life for so long.
        """
        loop = asyncio.get_running_loop()
        command_read, command_write = os.pipe()
        event_read, event_write = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *command_of("lightning_app.serving.worker"),
                *("--folder", str(folder), "--fd", str(listeners.http.fileno()), "--number", str(number)),
                *(() if listeners.grpc is None else ("--grpc-fd", str(listeners.grpc.fileno()))),
                *("--control-in", str(command_read), "--control-out", str(event_write)),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(*(listener.fileno() for listener in listeners.all), lock, command_read, event_write),
                env=environment({"PROMETHEUS_MULTIPROC_DIR": str(folder / "metrics")}),
                start_new_session=True,  # Ctrl-C is for the supervisor, which ends workers in order
            )
        except BaseException:
            os.close(command_write)
            os.close(event_read)
            raise
        finally:
            os.close(command_read)
            os.close(event_write)
        try:
            commands, _ = await loop.connect_write_pipe(asyncio.Protocol, os.fdopen(command_write, "wb", 0))
            events = asyncio.StreamReader(limit=_LINE_BYTES)
            await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(events), os.fdopen(event_read, "rb", 0))
        except BaseException:  # the server was stopped meanwhile; nobody else knows this process
            process.kill()
            await process.wait()
            raise
        return cls(
            number=number,
            metrics=folder / "metrics",
            models=models,
            process=process,
            commands=commands,
            events=events,
            unresponsive_seconds=unresponsive_seconds,
        )

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._process.pid

    @property
    def is_ready(self) -> bool:
        """Whether it answers requests."""
        return self._ready.is_set() and not self._exit.done()

    async def ready(self) -> bool:
        """Waits until it answers requests.

        Returns:
            Whether it does; False if it ended instead.
        """
        waiting = asyncio.create_task(self._ready.wait())
        await asyncio.wait((waiting, self._exit), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        return self.is_ready

    async def ended(self) -> int:
        """Waits until it ends.

        Returns:
            Exit code; negative for the signal that killed it.
        """
        return await asyncio.shield(self._exit)

    def send(self, command: Command) -> None:
        """Sends a command; one that has ended gets none.

        Args:
            command: The command.
        """
        if not self._exit.done() and not self._commands.is_closing():
            self._commands.write(encode_line(command))

    async def load(self, models: Sequence[ResolvedModel], changed: Sequence[ResolvedModel]) -> dict[Slot, str]:
        """Makes it serve these models.

        Args:
            models: All models.
            changed: Those that it does not serve yet.

        Returns:
            Errors by name and arm of the model; a worker that ends meanwhile has none.
        """
        loop = asyncio.get_running_loop()
        outcomes = {model.slot: loop.create_future() for model in changed}
        self._outcomes = {(*model.slot, model.version, model.digest): outcomes[model.slot] for model in changed}
        self.models = models
        if self._exit.done():
            return {}
        self.send(Load(models=list(models)))
        if outcomes:
            await asyncio.wait(outcomes.values(), timeout=_LOAD_SECONDS)  # its end settles them too
        late = f"worker {self.number} has not loaded it within {_LOAD_SECONDS:g} s"
        errors = {slot: outcome.result() if outcome.done() else late for slot, outcome in outcomes.items()}
        return {slot: error for slot, error in errors.items() if error is not None}

    def terminate(self) -> None:
        """Makes it answer what it is answering, and end."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it at once."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            if not self._exit.done():
                self._process.send_signal(number)

    async def _read(self, events: asyncio.StreamReader) -> None:
        while line := await events.readline():
            try:
                event = decode_event(line)
            except msgspec.DecodeError as error:
                _log.error("an event of worker %d could not be read: %s", self.number, error)
                continue
            self._heard = time.monotonic()
            if isinstance(event, Alive):
                continue
            if isinstance(event, Ready):
                self._ready.set()
            elif isinstance(event, Unable):
                self.problem = event
            elif isinstance(event, Failed) and not self._ready.is_set():
                self.problem = self.problem or event
            else:
                self._settle(event)

    async def _watch(self) -> None:
        """Kills it if it gives no sign of life once it is ready: its event loop hangs, and answers nobody."""
        await self._ready.wait()
        looked = time.monotonic()
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            before, looked = looked, time.monotonic()
            if looked - before > 2 * _LOOK_SECONDS:  # this process, or the machine, was stopped meanwhile
                self._heard = looked
            if looked - self._heard > self._unresponsive_seconds:
                _log.error(
                    "worker %d gave no sign of life for %.1f s, and is replaced", self.number, looked - self._heard
                )
                self.kill()
                return

    def _settle(self, event: Loaded | Failed) -> None:
        outcome = self._outcomes.pop((event.name, event.arm, event.version, event.digest), None)
        if outcome is not None and not outcome.done():
            outcome.set_result(event.error if isinstance(event, Failed) else None)

    async def _wait(self, reading: asyncio.Task[None]) -> int:
        code = await self._process.wait()
        self._watching.cancel()
        forget_gauges(self._metrics, str(self.number))
        await asyncio.wait((reading,), timeout=1.0)  # its last words
        reading.cancel()
        self._commands.close()
        for outcome in self._outcomes.values():
            if not outcome.done():
                outcome.set_result(None)
        return code


def describe_end(code: int) -> str:
    """How a process ended, for people.

    Args:
        code: Exit code; negative for the signal that killed it.
    """
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
