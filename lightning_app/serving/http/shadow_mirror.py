"""ShadowMirror: asks the shadows of models what they would have answered, once the clients have their answers."""

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from lightning_app.errors import describe
from lightning_app.serving.config.arm_references import SHADOW
from lightning_app.serving.http.exchange import LARGE_BODY, Encode, encoded, prepared
from lightning_app.serving.http.request_head import RequestHead
from lightning_app.serving.http.serving_state import ServingState
from lightning_app.serving.inference.loaded_model import Answer, LoadedModel, Prepared
from lightning_app.serving.inference.model_request import ModelRequest
from lightning_app.serving.inference.prediction_record import take_entity
from lightning_app.serving.journal.record import Shadow
from lightning_app.serving.routing.agreement import agreement
from lightning_app.serving.routing.served_model import Arm, ServedModel

_log = logging.getLogger("lightning_app.serving")
_AT_ONCE = 16
"""Requests that a shadow is asked together."""
_MOST_BYTES = 2**26
"""Size of the bodies that wait for a shadow."""


@dataclass(slots=True)
class Mirrored:
    """A request that a shadow is asked too.

    Attributes:
        served: The model that was asked.
        head: Headers and query.
        again: Reads the request for another model.
        encode: Writes an answer.
        num_bytes: Size of the body.
        answer: What the client got; None until it is known.
    """

    served: ServedModel
    head: RequestHead
    again: Callable[[LoadedModel], ModelRequest]
    encode: Encode
    num_bytes: int
    answer: Answer | None = None

    def encoded(self, answer: Answer, request: ModelRequest, arm: Arm) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        """Writes the answer for the client, and remembers it."""
        self.answer = answer
        return self.encode(answer, request, arm)


class ShadowMirror:
    """Shadows of all models of a worker. They answer between the requests of clients, a few at a time.

    Requests of streams are not mirrored: a shadow does not have the state before them.

    Args:
        state: State of the worker.
    """

    def __init__(self, state: ServingState) -> None:
        self._state = state
        self._waiting: dict[str, deque[Mirrored]] = {}
        self._num_bytes = 0
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._failed: set[str] = set()

    def sample(
        self,
        served: ServedModel,
        head: RequestHead,
        request: ModelRequest,
        again: Callable[[LoadedModel], ModelRequest],
        encode: Encode,
        num_bytes: int,
    ) -> Mirrored | None:
        """Decides whether the shadow is asked, before the request is answered.

        Args:
            served: The model that is asked.
            head: Headers and query.
            request: The request for the model.
            again: Reads the request for another model.
            encode: Writes an answer.
            num_bytes: Size of the body.
        """
        config = served.config.shadow
        if config is None or SHADOW not in served.arms or random.random() >= config.sample:
            return None
        if request.turn is not None or request.state is not None:
            self._state.metrics.shadow(served.name).asked("stateful")
            return None
        return Mirrored(served, head, again, encode, num_bytes)

    def take(self, mirrored: Mirrored) -> None:
        """Takes a request whose answer is about to be sent.

        Args:
            mirrored: The request.
        """
        served = mirrored.served
        assert served.config.shadow is not None
        waiting = self._waiting.setdefault(served.name, deque())
        if len(waiting) >= served.config.shadow.queue or self._num_bytes + mirrored.num_bytes > _MOST_BYTES:
            self._state.metrics.shadow(served.name).asked("left_out")
            return
        waiting.append(mirrored)
        self._num_bytes += mirrored.num_bytes
        if served.name not in self._tasks:
            task = self._tasks[served.name] = asyncio.create_task(self._work(served, waiting))
            task.add_done_callback(lambda done: self._ended(served.name, done))

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        del self._tasks[name]
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("the shadow of %s failed", name, exc_info=error)

    async def _work(self, served: ServedModel, waiting: deque[Mirrored]) -> None:
        while waiting:
            await asyncio.sleep(0.001)  # first what clients wait for
            batch = [waiting.popleft() for _ in range(min(_AT_ONCE, len(waiting)))]
            self._num_bytes -= sum(mirrored.num_bytes for mirrored in batch)
            arm = served.arms.get(SHADOW)
            if arm is None:  # its alias has gone
                for _ in batch:
                    self._state.metrics.shadow(served.name).asked("left_out")
                continue
            asked = []
            for mirrored in batch:
                asked.append(await self._prepared(arm, mirrored))
                await asyncio.sleep(0)
            assert served.config.shadow is not None
            seconds = served.config.shadow.deadline_ms / 1000
            # All of them in one turn of the loop, so that they share calls of the model.
            calls = (one.call(arm, seconds) for one in asked)
            for one, answer in zip(asked, await asyncio.gather(*calls), strict=True):
                await self._finish(arm, one, answer)
                await asyncio.sleep(0)

    async def _prepared(self, arm: Arm, mirrored: Mirrored) -> "_Asked":
        asked = _Asked(mirrored, time.perf_counter(), time.time())
        try:
            asked.request = mirrored.again(arm.model)
            if mirrored.served.config.entity is not None:
                take_entity(asked.request, mirrored.served.config.entity, arm.model)
            is_large = mirrored.num_bytes >= LARGE_BODY
            asked.prepared = await prepared(self._state, is_large, arm.model.prepare, asked.request)
        except Exception as error:  # whatever a shadow does, nobody waits for it
            asked.error = error
        return asked

    async def _finish(self, arm: Arm, asked: "_Asked", answer: Answer | None) -> None:
        mirrored, model = asked.mirrored, arm.model
        name = mirrored.served.name
        answer_type, body, problem = "", None, None
        try:
            if asked.error is not None or answer is None:
                raise asked.error or RuntimeError("no answer")  # noqa: TRY301
            assert asked.request is not None
            body, headers = await encoded(self._state, mirrored.encode, answer, asked.request, arm)
            answer_type = headers[0][1].decode()
            if mirrored.answer is not None:
                found = agreement(mirrored.answer.predictions, answer.predictions)
                self._state.metrics.shadow(name).compared(rows=found.num_rows, agreeing=found.num_agreeing)
        except Exception as error:  # see above
            problem = describe(error)
            if problem not in self._failed and len(self._failed) < 100:
                self._failed.add(problem)
                _log.warning("the shadow of %s does not answer: %s", name, problem)
        seconds = time.perf_counter() - asked.started
        self._state.metrics.shadow(name).asked("answered" if problem is None else "failed", seconds)
        if self._state.journal is not None:
            shadow = Shadow(
                request_id=mirrored.head.request_id,
                time=asked.time,
                model=model.name,
                version=model.version,
                digest=model.digest,
                latency_ms=1000 * seconds,
                answer_type=answer_type,
                answer=body,
                error=problem,
            )
            self._state.journal.shadow(shadow)


@dataclass(slots=True)
class _Asked:
    """A request on its way through a shadow."""

    mirrored: Mirrored
    started: float
    time: float
    request: ModelRequest | None = None
    prepared: Prepared | None = None
    error: Exception | None = None

    async def call(self, arm: Arm, seconds: float) -> Answer | None:
        """The answer; None if there is none, then `error` says why."""
        if self.prepared is None:
            return None
        try:
            return await arm.batcher.answer(self.prepared, seconds=seconds)
        except Exception as error:
            self.error = error
            return None
