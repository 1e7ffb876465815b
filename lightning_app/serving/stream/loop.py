"""Loop: polls events, answers a batch, commits it, sends its messages; until a signal, or until nothing is left."""

import logging
import time
from collections.abc import Callable, Iterator
from functools import partial

from lightning_app.serving.http.errors import HttpError
from lightning_app.serving.inference.calibration import BatchPlan
from lightning_app.serving.inference.hangs import LoopWatch
from lightning_app.serving.inference.loaded_model import LoadedModel
from lightning_app.serving.journal.errors import JournalError, JournalRecordError
from lightning_app.serving.journal.stores.database import JournalDatabase
from lightning_app.serving.stream.answering.answering import Answering
from lightning_app.serving.stream.answering.commit import Commit
from lightning_app.serving.stream.backoff import Backoff
from lightning_app.serving.stream.errors import (
    LostError,
    ModelFailedError,
    RepeatedError,
    SessionChangedError,
    StreamError,
)
from lightning_app.serving.stream.event import DeadLetter, Event
from lightning_app.serving.stream.progress import Progress
from lightning_app.serving.stream.sinks.delivery import Delivery
from lightning_app.serving.stream.sources.protocol import Source
from lightning_app.serving.stream.stream_config import StreamConfig
from lightning_app.serving.stream.tables import session_states

_log = logging.getLogger("lightning_app.serving.stream")
_POLL_SECONDS = 0.25
_TEND_SECONDS = 0.5
_RETRY_LOOK_SECONDS = 1.0


class Loop:
    """One worker of a stream.

    Args:
        config: Configuration.
        database: The database of the journal.
        stream: Name of the stream.
        source: Where events come from.
        retries: Dead letters that were put back; None if the source is that queue.
        commit: Writes batches.
        delivery: Sends messages.
        progress: Counts.
        watch: Stops calls of the model that hang.
        following: Gives the version that is to answer from now on.
        on_model: Told about this version.
        max_events: The loop ends after so many events; None goes on.
        idle_seconds: The loop ends when there was nothing to do for so long; None goes on.
    """

    def __init__(
        self,
        config: StreamConfig,
        *,
        database: JournalDatabase,
        stream: str,
        source: Source,
        retries: Source | None,
        commit: Commit,
        delivery: Delivery,
        progress: Progress,
        watch: LoopWatch,
        following: Callable[[], tuple[LoadedModel, BatchPlan] | None],
        on_model: Callable[[LoadedModel], object],
        max_events: int | None,
        idle_seconds: float | None,
    ) -> None:
        self._config, self._database, self._stream = config, database, stream
        self._source, self._retries = source, retries
        self._commit, self._delivery, self._progress = commit, delivery, progress
        self._watch = watch
        self._following, self._on_model = following, on_model
        self._max_events, self._idle_seconds = max_events, idle_seconds
        self._backoff = Backoff(seconds=config.retry_seconds)
        self._answering: Answering | None = None
        self._is_stopping = False
        self._idle_since = time.monotonic()
        self._next_retry_look = self._next_tend = 0.0

    def use(self, model: LoadedModel, plan: BatchPlan) -> None:
        """Answers with a version from the next batch on.

        Args:
            model: The version.
            plan: How many rows a call has.
        """
        observe = partial(self._progress.called, model)
        self._answering = Answering(model, plan, self._config, observe=observe, watch=self._watch)

    def stop(self) -> None:
        """Ends the loop after the batch that is being answered."""
        self._is_stopping = True

    def run(self) -> None:
        """Answers events.

        Raises:
            GivenUpError: Something has failed for too long.
            UsageError: The source turns out to be another one.
        """
        while not self._is_stopping and not self._has_done_all():
            source, events = self._poll()
            if (following := self._following()) is not None:
                self._on_model(following[0])
                self.use(*following)
            if events:
                self._idle_since = time.monotonic()
                for part in _parts(events, self._config.batch_bytes):
                    if not self._is_stopping:
                        self._answer(source, part)
                if len(events) < self._config.batch and self._config.linger_ms:
                    time.sleep(self._config.linger_ms / 1000)
            elif self._is_idle():
                return
            self._tend()

    def drain(self) -> bool:
        """Waits until messages are acknowledged; whether all were in time."""
        end = time.monotonic() + self._config.drain_seconds
        while self._delivery.in_flight and time.monotonic() < end:
            self._delivery.poll(0.1)
        try:
            self._delivery.tend()
        except JournalError as error:
            _log.warning("acknowledged messages stay in the outbox, and are produced again: %s", error)
        return not self._delivery.in_flight

    def _has_done_all(self) -> bool:
        return self._max_events is not None and self._progress.totals.events >= self._max_events

    def _poll(self) -> tuple[Source, list[Event]]:
        """The next batch, once the sink has taken enough of those before."""
        most = self._config.batch
        if self._max_events is not None:
            most = min(most, self._max_events - self._progress.totals.events)
        try:
            if not self._has_room():
                return self._source, []
            now = time.monotonic()
            if self._retries is not None and now >= self._next_retry_look:
                if events := self._retries.poll(most, 0.0):
                    return self._retries, events
                self._next_retry_look = now + _RETRY_LOOK_SECONDS
            events = self._source.poll(most, _POLL_SECONDS)
            self._worked()
        except (StreamError, JournalError) as error:
            self._wait(error)
            return self._source, []
        return self._source, events

    def _has_room(self) -> bool:
        """Back-pressure: waits for a moment while too many messages are under way."""
        if self._delivery.in_flight < self._config.in_flight:
            return True
        self._source.keep()
        self._delivery.poll(_POLL_SECONDS)
        return self._delivery.in_flight < self._config.in_flight

    def _answer(self, source: Source, events: list[Event]) -> None:
        """Answers a batch; returns once it is committed, or belongs to others, or the loop is to end."""
        assert self._answering is not None
        repeated: set[str] = set()
        letters: list[DeadLetter] = []
        while events:
            settled = repeated | {letter.event.request_id for letter in letters}
            open_ = [event for event in events if event.request_id not in settled]
            try:
                answers = self._answering.answer(open_, self._states(open_), between=partial(self._keep, source))
                self._commit.write(source, events, answers, letters, self._answering.model)
            except LostError as lost:
                self._progress.lost(len(lost.request_ids))
                events = [event for event in events if event.request_id not in lost.request_ids]
                letters = [one for one in letters if one.event.request_id not in lost.request_ids]
            except RepeatedError as again:
                repeated |= again.same
                letters += [_of_another_content(event) for event in events if event.request_id in again.other]
            except SessionChangedError:
                _log.info("another worker has answered an event of the same key; the batch is answered again")
            except JournalRecordError as error:
                if len(events) == 1:
                    letters = [DeadLetter(event=events[0], code="not_journalled", reason=str(error)[:1000])]
                    continue
                for event in events:  # the others are not to suffer for one
                    self._answer(source, [event])
                return
            except (JournalError, StreamError, HttpError, ModelFailedError) as error:
                self._wait(error, source)
                if self._is_stopping:
                    return  # they were not answered, and are given back
            else:
                self._worked()
                self._progress.done(
                    events, answers, num_letters=len(answers.letters) + len(letters), model=self._answering.model
                )
                return

    def _states(self, events: list[Event]) -> dict[str, session_states.SessionState]:
        if not self._config.sessions:
            return {}
        keys = list({event.key: None for event in events if event.key is not None})
        return session_states.read(self._database, self._stream, keys)

    def _wait(self, error: Exception, source: Source | None = None) -> None:
        """Waits before another attempt, while what is claimed is kept."""
        self._progress.paused(True)
        end = time.monotonic() + self._backoff.failed(error)
        while not self._is_stopping and (left := end - time.monotonic()) > 0:
            self._keep(source)
            self._delivery.poll(min(left, 0.1))
            time.sleep(min(left, 0.1))

    def _keep(self, source: Source | None) -> None:
        """Keeps what is claimed; if that fails, the commit or the next poll says so."""
        for one in {id(each): each for each in (self._source, source) if each is not None}.values():
            try:
                one.keep()
            except (StreamError, JournalError) as error:
                _log.debug("%s", error)

    def _worked(self) -> None:
        if self._backoff.is_failing:
            self._backoff.worked()
            self._progress.paused(False)

    def _tend(self) -> None:
        """What is due every now and then."""
        self._delivery.poll(0.0)
        now = time.monotonic()
        came = self._source.came()
        if now < self._next_tend and not came:
            return
        self._next_tend = now + _TEND_SECONDS
        try:
            self._delivery.tend(came)
            self._progress.update()
        except (JournalError, StreamError) as error:
            _log.warning("%s", error)

    def _is_idle(self) -> bool:
        if self._idle_seconds is None or self._delivery.in_flight:
            return False
        if time.monotonic() - self._idle_since < self._idle_seconds:
            return False
        try:
            return self._source.is_done() and (self._retries is None or self._retries.is_done())
        except (JournalError, StreamError):
            return False  # the next poll says so


def _of_another_content(event: Event) -> DeadLetter:
    reason = (
        f"{event.request_id}: the journal holds an answer to another event of this id: the source was made anew; give "
        "the stream another --name"
    )
    return DeadLetter(event=event, code="request_id_used", reason=reason)


def _parts(events: list[Event], most: int) -> Iterator[list[Event]]:
    """Parts of a batch of at most so many bytes, or of a single event."""
    part: list[Event] = []
    size = 0
    for event in events:
        if part and size + len(event.body) > most:
            yield part
            part, size = [], 0
        part.append(event)
        size += len(event.body)
    if part:
        yield part
