"""Answering: events to answers, the rows of many events in one call of the model."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from lightning_app.packaging.format.errors import RequestError, RunError
from lightning_app.packaging.runtime.rows import StreamState
from lightning_app.serving.config.serve_config import ModelConfig
from lightning_app.serving.http.errors import http_error
from lightning_app.serving.http.prediction_record import take_entity
from lightning_app.serving.inference.calibration import BatchPlan
from lightning_app.serving.inference.loaded_model import Answer, LoadedModel, Prepared
from lightning_app.serving.inference.model_request import ModelRequest
from lightning_app.serving.inference.stream_state import check_streams, read_state_bytes, state_bytes
from lightning_app.serving.stream.answering.reading import read_event
from lightning_app.serving.stream.errors import ModelFailedError
from lightning_app.serving.stream.event import DeadLetter, Event
from lightning_app.serving.stream.stream_config import StreamConfig
from lightning_app.serving.stream.tables.session_states import SessionState

_STARTED_ANEW = "state: that of the key is of another version, so the stream of the key was started anew"


class Answered(msgspec.Struct, gc=False):
    """An event with its answer.

    Attributes:
        event: The event.
        request: What it asked.
        answer: The answer.
        entity: Key of the entity.
        seconds: From when the event was read until the answer was there.
    """

    event: Event
    request: ModelRequest
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


class Answering:
    """Answers batches with one version of a model.

    Args:
        model: The version.
        plan: How many rows a call has.
        config: Configuration of the stream.
        observe: Told about each call: its rows and seconds.
    """

    def __init__(
        self, model: LoadedModel, plan: BatchPlan, config: StreamConfig, *, observe: Callable[[int, float], object]
    ) -> None:
        self.model = model
        self._plan = plan
        self._config = config
        self._of_model: ModelConfig = config.model
        self._observe = observe

    def answer(self, events: Sequence[Event], states: Mapping[str, SessionState]) -> Answers:
        """Answers events.

        Args:
            events: In their order.
            states: State of the keys, with `sessions`; keys without one begin.

        Raises:
            ModelFailedError: The model fails on an event, and the policy is to stop.
            HttpError: The online store cannot be read; the same call may work later.
        """
        answers = Answers([], [], {})
        read = [pair for event in events if (pair := self._read(event, answers)) is not None]
        if not self._config.sessions:
            self._wave([(event, request, entity, None) for event, request, entity in read], answers)
            return answers
        sessions: dict[str, _Session] = {}
        for wave in _waves(read):
            asked = []
            for event, request, entity in wave:
                assert event.key is not None
                if event.key not in sessions:
                    sessions[event.key] = _Session(states.get(event.key), self.model)
                    answers.num_started_anew += sessions[event.key].is_of_another_version
                asked.append((event, request, entity, sessions[event.key]))
            self._wave(asked, answers)
        order = {event.request_id: place for place, event in enumerate(events)}
        answers.answered.sort(key=lambda one: order[one.event.request_id])
        answers.states = {
            key: (session.first, session.number, state_bytes(session.state, digest=self.model.digest))
            for key, session in sessions.items()
            if session.state is not None and session.number > session.first
        }
        return answers

    def _read(self, event: Event, answers: Answers) -> tuple[Event, ModelRequest, str | None] | None:
        problem = event.problem
        if problem is None and self._config.sessions and event.key is None:
            problem = "no_key", "key: none given, it names the stream whose state is carried on"
        if problem is not None:
            code, reason = problem
            answers.letters.append(DeadLetter(event=event, code=code, reason=reason))
            return None
        try:
            request = read_event(event, max_rows=self._config.rows, max_bytes=self._config.event_bytes)
            column = self._of_model.entity
            entity = None if column is None else take_entity(request, column, self.model)
        except Exception as error:
            self._refuse(event, error, answers)
            return None
        return event, request, entity

    def _wave(self, asked: Sequence[tuple[Event, ModelRequest, str | None, _Session | None]], answers: Answers) -> None:
        """Answers events of which no two share a session."""
        ready: list[tuple[Event, ModelRequest, str | None, _Session | None, Prepared]] = []
        for event, request, entity, session in asked:
            try:
                if session is not None and session.state is not None:
                    check_streams(session.state, request.num_rows, what="session")
                    request.state = session.state
                if session is not None and session.is_of_another_version and session.number == session.first:
                    request.notes = [*request.notes, _STARTED_ANEW]
                ready.append((event, request, entity, session, self.model.prepare(request)))
            except Exception as error:
                self._refuse(event, error, answers)
        for part in _parts(ready, self._plan.max_rows):
            started = time.perf_counter()
            results = self.model.answer([prepared for *_, prepared in part])
            ended = time.perf_counter()
            self._observe(sum(request.num_rows for _, request, *_ in part), ended - started)
            for (event, request, entity, session, _), result in zip(part, results, strict=True):
                if isinstance(result, Exception):
                    self._refuse(event, result, answers)
                    continue
                if session is not None:
                    session.state = result.state
                    session.number += 1
                answers.answered.append(Answered(event, request, result, entity, ended - event.arrived))

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
        kind = "" if isinstance(error, RequestError) else f"{type(error).__name__}: "
        reason = f"the model fails on it: {kind}{error}"[:1000]
        answers.letters.append(DeadLetter(event=event, code="model_failed", reason=reason))


def _waves(
    read: Sequence[tuple[Event, ModelRequest, str | None]],
) -> Iterator[list[tuple[Event, ModelRequest, str | None]]]:
    """The first event of each key, then the second of each key, and so on."""
    waves: list[list[tuple[Event, ModelRequest, str | None]]] = []
    seen: dict[str | None, int] = {}
    for one in read:
        place = seen.get(one[0].key, 0)
        seen[one[0].key] = place + 1
        if place == len(waves):
            waves.append([])
        waves[place].append(one)
    yield from waves


def _parts(
    ready: Sequence[tuple[Event, ModelRequest, str | None, _Session | None, Prepared]], most: int
) -> Iterator[list[tuple[Event, ModelRequest, str | None, _Session | None, Prepared]]]:
    """Parts of about as many rows as a call should have."""
    part: list[tuple[Event, ModelRequest, str | None, _Session | None, Prepared]] = []
    rows = 0
    for one in ready:
        if part and rows + one[4].num_rows > most:
            yield part
            part, rows = [], 0
        part.append(one)
        rows += one[4].num_rows
    if part:
        yield part
