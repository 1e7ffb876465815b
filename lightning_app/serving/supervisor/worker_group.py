"""Worker group: keeps the workers of one configuration alive."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from lightning_app.errors import UsageError
from lightning_app.serving.config.control_channel import Command, Failed, ResolvedModel, Slot
from lightning_app.serving.supervisor.worker_process import WorkerProcess, describe_end

_log = logging.getLogger("lightning_app.serving.supervisor")
_MOST_TRIES = 3
"""Deaths of a worker before any was ready, after which the start has failed."""
_LONG_SECONDS = 10.0
"""A worker that lived so long did not die of its start."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 15.0

Launch = Callable[[int], Awaitable[WorkerProcess]]
"""Starts the worker of a number."""


class WorkerGroup:
    """Workers of one configuration, restarted when they die.

    Args:
        numbers: Numbers of the workers.
        launch: Starts a worker with the present models.
        on_ready: Called for each worker that is ready, also after a restart.

    Attributes:
        numbers: Numbers of the workers.
    """

    def __init__(
        self, *, numbers: Sequence[int], launch: Launch, on_ready: Callable[[WorkerProcess], Awaitable[None]]
    ) -> None:
        self.numbers = numbers
        self._launch = launch
        self._on_ready = on_ready
        self._workers: dict[int, WorkerProcess] = {}
        self._settled: dict[int, str | None] = {}  # number to why it is not ready
        self._keepers: list[asyncio.Task[None]] = []
        loop = asyncio.get_running_loop()
        self._first: asyncio.Future[None] = loop.create_future()
        self._started: asyncio.Future[None] = loop.create_future()
        self._is_stopping = False

    @property
    def workers(self) -> list[WorkerProcess]:
        """Workers that answer requests."""
        return [worker for worker in self._workers.values() if worker.is_ready]

    async def start(self) -> None:
        """Starts the workers, and waits until each is ready or cannot be.

        The first starts alone: it answers sooner where cores are scarce, measures its batches undisturbed, and a model
        that cannot be served is said once.

        Raises:
            UsageError: A model cannot be served.
            RuntimeError: No worker became ready.
        """
        self._keepers = [asyncio.create_task(self._keep(self.numbers[0]))]
        await asyncio.wait((self._started, self._first), return_when=asyncio.FIRST_COMPLETED)
        if not self._started.done():
            self._keepers += [asyncio.create_task(self._keep(number)) for number in self.numbers[1:]]
        await self._started

    def broadcast(self, command: Command) -> None:
        """Sends a command to all workers that answer requests.

        Args:
            command: The command.
        """
        for worker in self.workers:
            worker.send(command)

    async def load(self, models: Sequence[ResolvedModel], changed: Sequence[ResolvedModel]) -> dict[Slot, str]:
        """Makes all workers serve these models.

        Args:
            models: All models.
            changed: Those that are not served yet.

        Returns:
            Errors by name and arm of the model, of any worker.
        """
        errors: dict[Slot, str] = {}
        for found in await asyncio.gather(*(worker.load(models, changed) for worker in self.workers)):
            errors |= found
        return errors

    async def stop(self, seconds: float) -> bool:
        """Makes all workers answer what they are answering, and ends them.

        Args:
            seconds: How long they may take, before they are killed.

        Returns:
            Whether all ended by themselves.
        """
        self._is_stopping = True
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        workers = list(self._workers.values())
        for worker in workers:
            worker.terminate()
        ends = [asyncio.create_task(worker.ended()) for worker in workers]
        if not ends:
            return True
        _, late = await asyncio.wait(ends, timeout=seconds)
        if late:
            self.kill()
            await asyncio.wait(late)
        return not late

    def kill(self) -> None:
        """Ends all workers at once."""
        self._is_stopping = True
        for worker in self._workers.values():
            worker.kill()

    async def _keep(self, number: int) -> None:
        """Starts the worker of a number again and again."""
        try:
            await self._restart(number)
        except Exception as error:
            _log.exception("worker %d cannot be started", number)
            self._settle(number, f"worker {number} cannot be started: {error}")

    async def _restart(self, number: int) -> None:
        deaths = 0
        while not self._is_stopping:
            begin = time.monotonic()
            worker = self._workers[number] = await self._launch(number)
            if self._is_stopping:  # a group that was stopped while this one started does not know it
                worker.terminate()
            was_ready = await worker.ready()
            if was_ready:
                await self._on_ready(worker)
                self._settle(number, None)
            elif worker.problem is not None:
                worker.kill()
            code = await worker.ended()
            if self._is_stopping:
                return
            deaths = 1 if was_ready and time.monotonic() - begin > _LONG_SECONDS else deaths + 1
            pause = 0.0 if deaths == 1 else min(_FIRST_PAUSE * 2 ** (deaths - 2), _LONGEST_PAUSE)
            self._judge_start(worker, code, deaths)
            if self._started.done() and self._started.exception() is not None:
                return
            self._tell(worker, code, pause)
            await asyncio.sleep(pause)

    def _tell(self, worker: WorkerProcess, code: int, pause: float) -> None:
        problem = worker.problem
        what = describe_end(code) if problem is None else f"could not start: {problem.error}"
        when = "at once" if pause == 0 else f"in {pause:g} s"
        facts = {"worker": worker.number, "pid": worker.pid, "exit_code": code}
        _log.error("worker %d %s; restarted %s", worker.number, what, when, extra={"facts": facts})

    def _judge_start(self, worker: WorkerProcess, code: int, deaths: int) -> None:
        if self._started.done():
            return
        problem = worker.problem
        if isinstance(problem, Failed):
            self._started.set_exception(UsageError(f"model: {problem.name} cannot be served: {problem.error}"))
        elif problem is not None:
            error = UsageError(problem.error) if problem.code == 2 else RuntimeError(problem.error)
            self._started.set_exception(error)
        elif deaths >= _MOST_TRIES:
            self._settle(worker.number, f"worker {worker.number} {describe_end(code)}, {deaths} times")

    def _settle(self, number: int, problem: str | None) -> None:
        """Notes whether the first start of a worker worked; the group has started when all are noted."""
        self._settled.setdefault(number, problem)
        if not self._first.done():
            self._first.set_result(None)
        if self._started.done() or len(self._settled) < len(self.numbers):
            return
        problems = [problem for problem in self._settled.values() if problem is not None]
        if len(problems) < len(self.numbers):
            self._started.set_result(None)
        else:
            self._started.set_exception(RuntimeError(f"no worker became ready: {problems[0]}; it says why above"))
