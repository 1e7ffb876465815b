"""Control of a worker: commands of the supervisor in, events out."""

import asyncio
import logging
import os

import msgspec
import uvicorn
from msgspec.structs import replace

from lightning_app.serving.config.control_channel import (
    Alive,
    Command,
    Event,
    Load,
    Loaded,
    ReadKeys,
    Ready,
    RegistryState,
    Routing,
    decode_command,
    encode_line,
)
from lightning_app.serving.http.serving_state import ServingState
from lightning_app.serving.security.without_paths import without_paths
from lightning_app.serving.worker.loading import Loading

_log = logging.getLogger("lightning_app.serving")
_ALIVE_SECONDS = 1.0


class Control:
    """The worker's end of the control channel.

    Args:
        state: State of the worker.
        loading: Loads versions.
        read: Pipe of commands.
        write: Pipe of events.
    """

    def __init__(self, state: ServingState, loading: Loading, *, read: int, write: int) -> None:
        self._state = state
        self._loading = loading
        self._read = read
        self._write = write

    def say(self, event: Event) -> None:
        """Tells the supervisor.

        Args:
            event: What happened.
        """
        try:
            os.write(self._write, encode_line(event))
        except OSError:  # the supervisor is dead; the end of the other pipe says so too
            _log.warning("the supervisor does not listen any more")

    async def beat(self) -> None:
        """Gives a sign of life every second, also while a version is loaded, until it is cancelled."""
        while True:
            self.say(Alive())
            await asyncio.sleep(_ALIVE_SECONDS)

    async def obey(self, server: uvicorn.Server) -> None:
        """Obeys commands until the channel ends, then drains.

        Args:
            server: The server; draining begins with its `should_exit`.
        """
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=2**24)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(self._read, "rb", 0))
        while not server.started:
            await asyncio.sleep(0.001)
        self._state.metrics.ready()
        self.say(Ready())
        while line := await reader.readline():
            try:
                command = decode_command(line)
            except msgspec.DecodeError as error:
                _log.error("a command of the supervisor could not be read: %s", error)
                continue
            try:
                await self._follow(command)
            except Exception:  # the next command may work
                _log.exception("a command of the supervisor could not be followed")
        _log.warning("the supervisor has gone; draining")
        self._state.is_draining = True
        server.should_exit = True

    async def _follow(self, command: Command) -> None:
        if isinstance(command, Load):
            await self._load(command)
        elif isinstance(command, RegistryState):
            refused = [replace(each, error=without_paths(each.error)) for each in command.refused]
            self._state.registry = replace(command, refused=refused)  # clients are told
            self._state.metrics.registry_reachable.set(float(command.reachable))
            names = {each.name for each in refused}
            for name in self._state.models:
                self._state.metrics.version_refused(name=name, is_refused=name in names)
        elif isinstance(command, Routing):
            self._route(command)
        else:
            assert isinstance(command, ReadKeys)
            self._state.access.reload_if_changed()

    async def _load(self, command: Load) -> None:
        """Loads the versions that are new, one after the other, beside the event loop."""
        loop = asyncio.get_running_loop()
        for resolved in command.models:
            if not self._loading.is_served(resolved):
                failed = await loop.run_in_executor(None, self._loading.load, resolved)
                if failed is not None:
                    self.say(failed)
                    continue
            self.say(Loaded(name=resolved.name, arm=resolved.arm, version=resolved.version, digest=resolved.digest))
        self._loading.keep(command.models)

    def _route(self, command: Routing) -> None:
        """Takes over who answers which share."""
        routings = {routing.name: routing for routing in command.models}
        for name, served in self._state.models.items():
            if served.config.canary is not None:
                served.route(routings.get(name))  # without a canary the champion answers everything
            elif served.config.experiment is not None and name in routings:
                served.route(routings[name])
