"""Commit: answers, dead letters, states, messages and the position of the source, in one transaction of the journal."""

from collections.abc import Sequence

import msgspec

from lightning_app.serving.inference.loaded_model import LoadedModel
from lightning_app.serving.journal.errors import JournalIdError
from lightning_app.serving.journal.record import Prediction
from lightning_app.serving.journal.redaction import Redaction
from lightning_app.serving.journal.stores.database import JournalDatabase
from lightning_app.serving.stream.answering.answering import Answers
from lightning_app.serving.stream.answering.recording import Recording
from lightning_app.serving.stream.errors import RepeatedError
from lightning_app.serving.stream.event import DeadLetter, Event, Output
from lightning_app.serving.stream.sinks.delivery import Delivery
from lightning_app.serving.stream.sources.protocol import Source
from lightning_app.serving.stream.tables import dead_letters, queue, session_states
from lightning_app.serving.stream.tables.outbox import Parcel

ANSWERS, DEAD = "answers", "dead"
"""Targets of messages."""


class Commit:
    """Writes what became of a batch: all of it, or nothing.

    Args:
        database: The database of the journal.
        stream: Name of the stream.
        recording: Makes rows and messages.
        delivery: The outbox.
        queues: Name of the queue that messages of a target go to, for targets without a sink.
    """

    def __init__(
        self,
        database: JournalDatabase,
        *,
        stream: str,
        recording: Recording,
        delivery: Delivery,
        queues: dict[str, str],
    ) -> None:
        self._database, self._stream, self._recording = database, stream, recording
        self._delivery, self._queues = delivery, queues
        self.redaction: Redaction | None = None

    def write(
        self,
        source: Source,
        events: Sequence[Event],
        answers: Answers,
        letters: Sequence[DeadLetter],
        model: LoadedModel,
    ) -> None:
        """Writes.

        Args:
            source: Where the events come from.
            events: All events of the batch, also those that were answered before.
            answers: The answers.
            letters: Dead letters beside those of the answers.
            model: The version that answered.

        Raises:
            LostError: Some events belong to another worker.
            RepeatedError: Some events were answered before.
            SessionChangedError: The state of a key was written by another worker.
            JournalRecordError: The journal can hold this at no time.
            JournalError: The journal cannot be written.
        """
        answered = [(one.event, self._recording.prediction(one, model)) for one in answers.answered]
        written = [prediction for _, prediction in answered]
        if self.redaction is not None:
            written = [self.redaction.apply(prediction)[0] for prediction in written]
        refused = [*answers.letters, *letters]
        sql, parcels = self._database, list[Parcel]()
        try:
            with sql.transaction():
                source.settle(sql, events)
                sql.insert(written)
                session_states.write(sql, self._stream, answers.states, digest=model.digest, version=model.version)
                dead_letters.write(sql, self._stream, refused, keeps_bodies=self.redaction is None)
                parcels += self._send(sql, answered, refused)
                settled = self._delivery.settle(sql)
        except JournalIdError as error:
            raise self._repeated(written) from error
        self._delivery.settled(settled)
        source.committed(events)
        self._delivery.send(parcels)

    def _send(
        self,
        sql: JournalDatabase,
        answered: Sequence[tuple[Event, Prediction]],
        refused: Sequence[DeadLetter],
    ) -> list[Parcel]:
        """Writes messages to the outbox, or to a queue, which needs none."""
        messages: list[tuple[str, str, Output]] = []
        if self._is_wanted(ANSWERS):
            messages += [(ANSWERS, event.partition, self._recording.output(event, one)) for event, one in answered]
        if self._is_wanted(DEAD):
            messages += [(DEAD, letter.event.partition, self._recording.letter(letter)) for letter in refused]
        for target, name in self._queues.items():
            queue.put(sql, name, [message for where, _, message in messages if where == target])
        return self._delivery.write(sql, [one for one in messages if one[0] not in self._queues])

    def _is_wanted(self, target: str) -> bool:
        return target in self._queues or target in self._delivery.targets

    def _repeated(self, written: Sequence[Prediction]) -> RepeatedError:
        """Which events were answered before; the transaction is over."""
        earlier = self._database.earlier([prediction.request_id for prediction in written])
        same, other = list[str](), list[str]()
        for prediction in written:
            held = earlier.get(prediction.request_id)
            if held is not None:
                (same if held.body_digest == prediction.body_digest else other).append(prediction.request_id)
        return RepeatedError(same, other)


class Totals(msgspec.Struct):
    """Counts since the process started.

    Attributes:
        events: Events that are done, whatever became of them.
        rows: Rows that were answered.
        answered: Events that were answered.
        dead: Events that became dead letters.
        repeated: Events that had been answered before.
        lost: Events that another worker has taken.
    """

    events: int = 0
    rows: int = 0
    answered: int = 0
    dead: int = 0
    repeated: int = 0
    lost: int = 0
