"""Batcher: requests of one loaded model that wait together are answered by one call of its graph."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from lightning_app.serving.inference.calibration import BatchPlan
from lightning_app.serving.inference.errors import BusyError, DeadlineError
from lightning_app.serving.inference.loaded_model import Answer, LoadedModel, Prepared

_TURN_SECONDS = 0.01
"""How long calls may hold the event loop in one go; then answers are sent and other requests read."""

Observe = Callable[[int, float, float, int], None]
"""Told about each call: its rows, seconds that its first request waited, seconds it took, requests that still wait."""


@dataclass(slots=True, eq=False)
class _Waiting:
    prepared: Prepared
    since: float
    deadline: float
    answer: "asyncio.Future[Answer]"


class Batcher:
    """A bounded queue before one loaded model.

    Requests that arrive in one turn of the event loop, or while the model is busy, share a call; with a window the
    first of them waits for more. Short calls run on the event loop; long ones in a thread, so that the server goes on.

    Args:
        model: The model.
        plan: Size and window of batches.
        queue: Most requests that wait.
        executor: Thread for long calls.
        observe: Told about each call.
    """

    def __init__(
        self, model: LoadedModel, *, plan: BatchPlan, queue: int, executor: Executor, observe: Observe | None = None
    ) -> None:
        self.model = model
        self.plan = plan
        self._queue = queue
        self._executor = executor
        self._observe = observe
        self._waiting: deque[_Waiting] = deque()
        self._open: set[_Waiting] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._is_busy = False
        self._flush_at: asyncio.Handle | None = None

    async def answer(self, prepared: Prepared, *, seconds: float) -> Answer:
        """Answers a request.

        Args:
            prepared: Request that the model has prepared.
            seconds: Time until its deadline.

        Raises:
            BusyError: The queue is full.
            DeadlineError: The deadline passed.
            RequestError: The model fails on the request.
        """
        if len(self._open) >= self._queue:
            raise BusyError
        loop = asyncio.get_running_loop()
        one = _Waiting(prepared, time.perf_counter(), loop.time() + seconds, loop.create_future())
        self._waiting.append(one)
        self._open.add(one)
        if self._timer is None or one.deadline < self._timer.when():
            self._watch(loop, one.deadline)
        self._schedule(loop)
        try:
            return await one.answer
        finally:
            self._open.discard(one)

    def _watch(self, loop: asyncio.AbstractEventLoop, deadline: float) -> None:
        """Sets the only timer: one per request would cost more than most models."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(deadline, self._expire, loop)

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        for one in list(self._open):
            if one.deadline <= now and not one.answer.done():
                one.answer.set_exception(DeadlineError())
        if pending := [one.deadline for one in self._open if not one.answer.done()]:
            self._watch(loop, min(pending))

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._is_busy or self._flush_at is not None or not self._waiting:
            return
        window = self.plan.window_ms / 1000
        if window and len(self._waiting) < self.plan.max_rows:
            self._flush_at = loop.call_later(window, self._flush)
        else:  # after all requests that have arrived by now
            self._flush_at = loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_at = None
        loop = asyncio.get_running_loop()
        end = time.perf_counter() + _TURN_SECONDS
        while self._waiting:
            if time.perf_counter() > end:
                self._flush_at = loop.call_soon(self._flush)
                return
            batch = self._take()
            if not batch:
                continue
            if self.plan.in_thread:
                self._is_busy = True
                task = loop.run_in_executor(self._executor, self._run, batch)
                task.add_done_callback(lambda done, batch=batch: self._done(batch, done))  # type: ignore[misc]
                return
            _deliver(batch, self._run(batch))

    def _take(self) -> list[_Waiting]:
        """The next batch: at least one request, and no more rows than one call should have."""
        batch: list[_Waiting] = []
        rows = 0
        while self._waiting:
            rows += self._waiting[0].prepared.num_rows
            if batch and (rows > self.plan.max_rows):
                break
            one = self._waiting.popleft()
            if one.answer.done():  # too late, or the client has gone
                rows -= one.prepared.num_rows
            else:
                batch.append(one)
        return batch

    def _run(self, batch: list[_Waiting]) -> list[Answer | Exception]:
        started = time.perf_counter()
        answers = self.model.answer([one.prepared for one in batch])
        ended = time.perf_counter()
        for answer in answers:
            if isinstance(answer, Answer):
                answer.started, answer.ended = started, ended
        if self._observe is not None:
            rows = sum(one.prepared.num_rows for one in batch)
            self._observe(rows, started - batch[0].since, ended - started, len(self._waiting))
        return answers

    def _done(self, batch: list[_Waiting], done: "asyncio.Future[list[Answer | Exception]]") -> None:
        self._is_busy = False
        error = done.exception()
        _deliver(batch, [error] * len(batch) if isinstance(error, Exception) else done.result())
        self._schedule(asyncio.get_running_loop())


def _deliver(batch: list[_Waiting], answers: list[Answer | Exception]) -> None:
    for one, answer in zip(batch, answers, strict=True):
        if one.answer.done():
            continue
        if isinstance(answer, Exception):
            one.answer.set_exception(answer)
        else:
            one.answer.set_result(answer)
