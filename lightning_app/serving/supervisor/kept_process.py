"""Kept process: a process beside the workers that is started again when it dies, and that speaks line by line."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from lightning_app.serving.supervisor.child import command_of, environment
from lightning_app.serving.supervisor.worker_process import describe_end

_log = logging.getLogger("lightning_app.serving.supervisor")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 15.0
"""Seconds before a process that died is started again."""
_LONG_SECONDS = 30.0
"""A process that lived so long did not die of its start."""
_END_SECONDS = 5.0
_LINE_BYTES = 2**26


class KeptProcess:
    """A process of a server that answers no requests; started again if it dies.

    Args:
        module: Its module, called with the runtime folder of the server.
        folder: Runtime folder of the server.
        name: What logs call it.
        meanwhile: What holds until it is there again, for the log.
        on_line: Called with each line that it writes to stdout.
    """

    def __init__(
        self, module: str, folder: Path, *, name: str, meanwhile: str, on_line: Callable[[bytes], None]
    ) -> None:
        self._module, self._folder, self._name, self._meanwhile = module, folder, name, meanwhile
        self._on_line = on_line
        self._keeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts it, and keeps it alive."""
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Ends it."""
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
                "the %s process %s; %s, it is restarted in %g s",
                self._name, describe_end(code), self._meanwhile, pause, extra={"facts": {"exit_code": code}},
            )  # fmt: skip
            await asyncio.sleep(pause)

    async def _run(self) -> int:
        """Runs it until it ends; ends it if this is cancelled."""
        process = await asyncio.create_subprocess_exec(
            *command_of(self._module),
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
                self._on_line(line)
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
