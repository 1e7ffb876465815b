"""Experiment process: decides who answers which share, beside the workers; the supervisor passes on what it says."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from lightning_app.serving.config.control_channel import Routing
from lightning_app.serving.config.serve_config import ServeConfig
from lightning_app.serving.supervisor.child import command_of, environment
from lightning_app.serving.supervisor.worker_process import describe_end

_log = logging.getLogger("lightning_app.serving.supervisor")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 15.0
"""Seconds before a process that died is started again."""
_LONG_SECONDS = 30.0
"""A process that lived so long did not die of its start."""
_END_SECONDS = 5.0
_LINE_BYTES = 2**26


class ExperimentProcess:
    """The process of a server that runs its experiments and canaries; started again if it dies.

    Args:
        folder: Runtime folder of the server.
        on_routing: Called with each of its decisions.
    """

    def __init__(self, folder: Path, on_routing: Callable[[Routing], None]) -> None:
        self._folder = folder
        self._on_routing = on_routing
        self._keeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts it, and keeps it alive."""
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Ends it; what it has decided stays in the journal's database."""
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None

    async def _keep(self) -> None:
        deaths = 0
        while True:
            begin = time.monotonic()
            code = await self._run()
            deaths = 1 if time.monotonic() - begin > _LONG_SECONDS else deaths + 1
            pause = min(_FIRST_PAUSE * 2 ** (deaths - 1), _LONGEST_PAUSE)
            _log.error(
                "the experiment process %s; shares stay as they are, it is restarted in %g s",
                describe_end(code), pause, extra={"facts": {"exit_code": code}},
            )  # fmt: skip
            await asyncio.sleep(pause)

    async def _run(self) -> int:
        """Runs it until it ends; ends it if this is cancelled."""
        process = await asyncio.create_subprocess_exec(
            *command_of("lightning_app.serving.experiments.process"),
            str(self._folder),
            stdin=asyncio.subprocess.PIPE,  # its end tells it that the supervisor is dead
            stdout=asyncio.subprocess.PIPE,
            env=environment({}),
            start_new_session=True,  # Ctrl-C is for the supervisor
            limit=_LINE_BYTES,
        )
        try:
            assert process.stdout is not None
            while line := await process.stdout.readline():
                try:
                    self._on_routing(msgspec.json.decode(line, type=Routing))
                except msgspec.DecodeError as error:
                    _log.error("a decision of the experiment process could not be read: %s", error)
            return await process.wait()
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.terminate()
                try:
                    await asyncio.wait_for(process.wait(), _END_SECONDS)
                except TimeoutError:
                    process.kill()
                    await process.wait()


def has_experiments(config: ServeConfig) -> bool:
    """Whether a configuration needs the process.

    Without a journal only fixed shares are left, which the workers know from the configuration.

    Args:
        config: The configuration.
    """
    return config.journal.url is not None and any(
        model.experiment is not None or model.canary is not None for model in config.models
    )
