"""Batcher: requests of one loaded model that wait together are answered by one call of its graph."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from weakref import finalize

from lightning_app.packaging.format.errors import StoppedError
from lightning_app.packaging.runtime.stopping import Stop, call_under
from lightning_app.serving.inference.calibration import BatchPlan
from lightning_app.serving.inference.call_thread import MOST_STUCK, Call, CallThread
from lightning_app.serving.inference.errors import BusyError, DeadlineError, HangError
from lightning_app.serving.inference.hangs import HangLimit
from lightning_app.serving.inference.loaded_model import Answer, LoadedModel, Prepared

_TURN_SECONDS = 0.01
"""How long calls may hold the event loop in one go; then answers are sent and other requests read."""

Observe = Callable[[int, float, float, int], None]
"""Told about each call: its rows, seconds that its first request waited, seconds it took, requests that still wait."""
AnswerAll = Callable[[Sequence[Prepared]], list[Answer | Exception]]
"""Answers requests in as few calls of the graph as possible."""


@dataclass(slots=True, eq=False)
class _Waiting:
    prepared: Prepared
    since: float
    deadline: float
    answer: "asyncio.Future[Answer]"


class Batcher:
    """A bounded queue before one loaded model.

    Requests that arrive in one turn of the event loop, or while the model is busy, share a call; with a window the
    first of them waits for more. Short calls run on the event loop; long ones in a thread of this model's own, so that
    the server and its other models go on. A call that hangs is given up, where there is a limit: its requests fail, and
    from then on all calls run in the thread, which is replaced when one hangs again.

    Args:
        model: The model.
        plan: Size and window of batches.
        queue: Most requests that wait.
        observe: Told about each call.
        limit: When a call hangs; None waits for every call.
        answer: Calls the model; None takes its own `answer`.
    """

    def __init__(
        self,
        model: LoadedModel,
        *,
        plan: BatchPlan,
        queue: int,
        observe: Observe | None = None,
        limit: HangLimit | None = None,
        answer: AnswerAll | None = None,
    ) -> None:
        self.model = model
        self.plan = plan
        self._queue = queue
        self._observe = observe
        self._limit = limit
        self._answer_all = model.answer if answer is None else answer
        self._in_thread = plan.in_thread
        self._thread = CallThread(f"calls of {model.name}")
        finalize(self, self._thread.close)
        self._waiting: deque[_Waiting] = deque()
        self._open: set[_Waiting] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._is_busy = False
        self._flush_at: asyncio.Handle | None = None

    @property
    def num_stuck(self) -> int:
        """Number of calls that were given up and have not ended yet."""
        return self._thread.num_stuck

    def distrust(self) -> None:
        """Runs all further calls in the thread: one on the event loop has hung, here or in another worker."""
        self._in_thread = True

    def give_up(self, error: Exception) -> None:
        """Ends all requests that wait, or that a call is made for: another answers them sooner.

        Args:
            error: What they are told.
        """
        self._waiting.clear()
        for one in list(self._open):
            if not one.answer.done():
                one.answer.set_exception(error)

    async def answer(self, prepared: Prepared, *, seconds: float) -> Answer:
        """Answers a request.

        Args:
            prepared: Request that the model has prepared.
            seconds: Time until its deadline.

        Raises:
            BusyError: The queue is full.
            DeadlineError: The deadline passed.
            HangError: The call of the model was given up, or too many hang.
            RequestError: The model fails on the request.
        """
        if self._in_thread and self._thread.num_stuck >= MOST_STUCK:
            raise HangError
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
            if self._in_thread:
                self._call_in_thread(batch)
                return
            self._call_here(batch)

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

    def _call_here(self, batch: list[_Waiting]) -> None:
        """Calls the model on the event loop."""
        limit = self._limit
        if limit is None:
            _deliver(batch, self._run(batch))
            return
        stop = Stop()
        seconds = limit.of(_num_rows(batch))
        limit.watch.begin(seconds, stop, limit.note)
        try:
            answers = call_under(stop, self._run, batch)
        finally:
            limit.watch.end()
        _deliver(batch, answers)
        if stop.is_set:
            self._in_thread = True
            limit.on_hang(seconds, is_on_loop=True)

    def _call_in_thread(self, batch: list[_Waiting]) -> None:
        self._is_busy = True
        limit = self._limit
        if limit is None:
            self._thread.call(self._run, batch, lambda answers: self._done(batch, answers))
            return
        stop = Stop()
        seconds = limit.of(_num_rows(batch))

        def done(answers: "list[Answer | Exception] | BaseException") -> None:
            timer.cancel()
            self._done(batch, answers)

        call = self._thread.call(lambda one: call_under(stop, self._run, one), batch, done)
        timer = asyncio.get_running_loop().call_later(seconds, self._hangs, call, batch, stop, seconds)

    def _hangs(
        self,
        call: "Call[list[_Waiting], list[Answer | Exception]]",
        batch: list[_Waiting],
        stop: Stop,
        seconds: float,
    ) -> None:
        assert self._limit is not None
        stop.set()
        self._limit.note()
        self._thread.leave(call)
        self._done(batch, HangError())
        self._limit.on_hang(seconds, is_on_loop=False)

    def _run(self, batch: list[_Waiting]) -> list[Answer | Exception]:
        started = time.perf_counter()
        answers = self._answer_all([one.prepared for one in batch])
        ended = time.perf_counter()
        for answer in answers:
            if isinstance(answer, Answer):
                answer.started, answer.ended = started, ended
        if self._observe is not None:
            self._observe(_num_rows(batch), started - batch[0].since, ended - started, len(self._waiting))
        return answers

    def _done(self, batch: list[_Waiting], answers: "list[Answer | Exception] | BaseException") -> None:
        self._is_busy = False
        _deliver(batch, answers if isinstance(answers, list) else [_as_exception(answers)] * len(batch))
        if self._in_thread and self._thread.num_stuck >= MOST_STUCK:
            waiting, self._waiting = list(self._waiting), deque()
            _deliver(waiting, [HangError()] * len(waiting))
            return
        self._schedule(asyncio.get_running_loop())


def _num_rows(batch: list[_Waiting]) -> int:
    return sum(one.prepared.num_rows for one in batch)


def _as_exception(error: BaseException) -> Exception:
    return error if isinstance(error, Exception) else RuntimeError(repr(error))


def _deliver(batch: list[_Waiting], answers: list[Answer | Exception]) -> None:
    for one, answer in zip(batch, answers, strict=True):
        if one.answer.done():
            continue
        if isinstance(answer, StoppedError):
            one.answer.set_exception(HangError())
        elif isinstance(answer, Exception):
            one.answer.set_exception(answer)
        else:
            one.answer.set_result(answer)
