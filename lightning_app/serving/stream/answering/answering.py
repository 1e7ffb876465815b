"""Answering: events to answers, the rows of many events in one call of the model."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from lightning_app.packaging.format.errors import RequestError, RunError, StoppedError
from lightning_app.packaging.runtime.rows import StreamState
from lightning_app.packaging.runtime.stopping import Stop, call_under
from lightning_app.serving.config.serve_config import ModelConfig
from lightning_app.serving.http.errors import http_error
from lightning_app.serving.inference.calibration import BatchPlan
from lightning_app.serving.inference.hangs import LoopWatch, hang_bounds
from lightning_app.serving.inference.loaded_model import Answer, LoadedModel, Prepared
from lightning_app.serving.inference.model_request import ModelRequest
from lightning_app.serving.inference.prediction_record import take_entity
from lightning_app.serving.inference.stream_state import check_streams, read_state_bytes, state_bytes
from lightning_app.serving.stream.answering.reading import read_event
from lightning_app.serving.stream.errors import ModelFailedError
from lightning_app.serving.stream.event import DeadLetter, Event
from lightning_app.serving.stream.stream_config import StreamConfig
from lightning_app.serving.stream.tables.session_states import SessionState

_log = logging.getLogger("lightning_app.serving.stream")
_STARTED_ANEW = "state: that of the key is of another version, so the stream of the key was started anew"


class Answered(msgspec.Struct, gc=False):
    """An event with its answer.

    Attributes:
        event: The event.
        request: What it asked.
        body: Its body as the journal keeps it.
        answer: The answer.
        entity: Key of the entity.
        seconds: From when the event was read until the answer was there.
    """

    event: Event
    request: ModelRequest
    body: bytes
    answer: Answer
    entity: str | None
    seconds: float


class Answers(msgspec.Struct):
    """What became of the events of a batch.

    Attributes:
        answered: Answers, in the order of the events.
        letters: Events that cannot be answered.
        states: By key: number of events when its state was read, number now, state now.
        num_started_anew: Sessions of another version.
    """

    answered: list[Answered]
    letters: list[DeadLetter]
    states: dict[str, tuple[int, int, bytes]]
    num_started_anew: int = 0


class _Session:
    """State of a key while its events are answered one after the other."""

    def __init__(self, before: SessionState | None, model: LoadedModel) -> None:
        self.is_of_another_version = before is not None and before.digest != model.digest
        self.first = self.number = 0 if before is None else before.number
        self.state: StreamState | None = None
        if before is not None and not self.is_of_another_version:
            self.state = read_state_bytes(before.state, model.package.manifest.state, digest=model.digest)


class _Asked(msgspec.Struct, gc=False):
    """An event on its way to its answer."""

    event: Event
    request: ModelRequest
    body: bytes
    entity: str | None
    session: _Session | None = None
    prepared: Prepared | None = None

    @property
    def ready(self) -> Prepared:
        """What the model is called with."""
        assert self.prepared is not None
        return self.prepared


class Answering:
    """Answers batches with one version of a model.

    Args:
        model: The version.
        plan: How many rows a call has.
        config: Configuration of the stream.
        observe: Told about each call: its rows and seconds.
        watch: Stops calls that hang.
    """

    def __init__(
        self,
        model: LoadedModel,
        plan: BatchPlan,
        config: StreamConfig,
        *,
        observe: Callable[[int, float], object],
        watch: LoopWatch,
    ) -> None:
        self.model = model
        self._plan = plan
        self._config = config
        self._of_model: ModelConfig = config.model
        self._observe, self._watch = observe, watch
        seconds, self._row_seconds = hang_bounds(plan, hang_ms=None, deadline_ms=1000 * config.hang_seconds)
        self._call_seconds = max(config.hang_seconds, seconds)

    def answer(
        self, events: Sequence[Event], states: Mapping[str, SessionState], *, between: Callable[[], object]
    ) -> Answers:
        """Answers events.

        Args:
            events: In their order.
            states: State of the keys, with `sessions`; keys without one begin.
            between: Called after each call of the model, to keep what is claimed.

        Raises:
            ModelFailedError: The model fails on an event, and the policy is to stop.
            HttpError: The online store cannot be read; the same call may work later.
        """
        answers = Answers([], [], {})
        read = [asked for event in events if (asked := self._read(event, answers)) is not None]
        if not self._config.sessions:
            self._wave(read, answers, between)
            return answers
        sessions: dict[str, _Session] = {}
        for wave in _waves(read):
            for asked in wave:
                assert asked.event.key is not None
                asked.session = sessions.get(asked.event.key)
                if asked.session is None:
                    asked.session = _Session(states.get(asked.event.key), self.model)
                    sessions[asked.event.key] = asked.session
                    answers.num_started_anew += asked.session.is_of_another_version
            self._wave(wave, answers, between)
        order = {event.request_id: place for place, event in enumerate(events)}
        answers.answered.sort(key=lambda one: order[one.event.request_id])
        answers.states = {
            key: (session.first, session.number, state_bytes(session.state, digest=self.model.digest))
            for key, session in sessions.items()
            if session.state is not None and session.number > session.first
        }
        return answers

    def _read(self, event: Event, answers: Answers) -> _Asked | None:
        problem = event.problem
        if problem is None and self._config.sessions and event.key is None:
            problem = "no_key", "key: none given, it names the stream whose state is carried on"
        if problem is not None:
            code, reason = problem
            answers.letters.append(DeadLetter(event=event, code=code, reason=reason))
            return None
        try:
            request, body = read_event(event, max_rows=self._config.rows, max_bytes=self._config.event_bytes)
            column = self._of_model.entity
            entity = None if column is None else take_entity(request, column, self.model)
        except Exception as error:
            self._refuse(event, error, answers)
            return None
        return _Asked(event, request, body, entity)

    def _wave(self, asked: Sequence[_Asked], answers: Answers, between: Callable[[], object]) -> None:
        """Answers events of which no two share a session."""
        ready: list[_Asked] = []
        for one in asked:
            session, request = one.session, one.request
            try:
                if session is not None and session.state is not None:
                    check_streams(session.state, request.num_rows, what="session")
                    request.state = session.state
                if session is not None and session.is_of_another_version and session.number == session.first:
                    request.notes = [*request.notes, _STARTED_ANEW]
                one.prepared = self.model.prepare(request)
                ready.append(one)
            except Exception as error:
                self._refuse(one.event, error, answers)
        for part in _parts(ready, self._plan.max_rows):
            started = time.perf_counter()
            results = self._call([one.ready for one in part], between)
            ended = time.perf_counter()
            self._observe(sum(one.request.num_rows for one in part), ended - started)
            for one, result in zip(part, results, strict=True):
                if isinstance(result, Exception):
                    self._refuse(one.event, result, answers)
                    continue
                if one.session is not None:
                    one.session.state = result.state
                    one.session.number += 1
                seconds = ended - one.event.arrived
                answers.answered.append(Answered(one.event, one.request, one.body, result, one.entity, seconds))

    def _call(self, part: list[Prepared], between: Callable[[], object]) -> list[Answer | Exception]:
        """Calls the model; where a call of several events hangs, each of them is called alone."""
        stop = Stop()
        seconds = max(self._call_seconds, self._row_seconds * sum(one.num_rows for one in part))
        self._watch.begin(seconds, stop, lambda: None)
        try:
            results = call_under(stop, self.model.answer, part)
        finally:
            self._watch.end()
        between()
        if stop.is_set:
            _log.error("a call of the model with %d events was stopped after %g s", len(part), seconds)
            if len(part) > 1:
                return [result for one in part for result in self._call([one], between)]
        return results

    def _refuse(self, event: Event, error: Exception, answers: Answers) -> None:
        """Makes a dead letter of an event, unless the event is not to blame."""
        refusal = None if isinstance(error, RunError) else http_error(error)
        if refusal is not None and refusal.status < 500:
            answers.letters.append(DeadLetter(event=event, code=refusal.code, reason=refusal.message))
            return
        if refusal is not None:
            raise refusal
        if self._config.on_failure == "stop":
            raise ModelFailedError(event.request_id, error) from error
        kind = "" if isinstance(error, RequestError | StoppedError) else f"{type(error).__name__}: "
        reason = f"the model fails on it: {kind}{error}"[:1000]
        answers.letters.append(DeadLetter(event=event, code="model_failed", reason=reason))


def _waves(read: Sequence[_Asked]) -> Iterator[list[_Asked]]:
    """The first event of each key, then the second of each key, and so on."""
    waves: list[list[_Asked]] = []
    seen: dict[str | None, int] = {}
    for one in read:
        place = seen.get(one.event.key, 0)
        seen[one.event.key] = place + 1
        if place == len(waves):
            waves.append([])
        waves[place].append(one)
    yield from waves


def _parts(ready: Sequence[_Asked], most: int) -> Iterator[list[_Asked]]:
    """Parts of about as many rows as a call should have."""
    part: list[_Asked] = []
    rows = 0
    for one in ready:
        if part and rows + one.ready.num_rows > most:
            yield part
            part, rows = [], 0
        part.append(one)
        rows += one.ready.num_rows
    if part:
        yield part
