"""KafkaSource: events of a Kafka topic; the journal, not Kafka, says how far they are answered."""

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from typing_extensions import override

from lightning_app.errors import UsageError
from lightning_app.serving.journal.errors import JournalError
from lightning_app.serving.journal.stores.database import JournalDatabase
from lightning_app.serving.stream.errors import GivenUpError, LostError, StreamError
from lightning_app.serving.stream.event import Event, key_text
from lightning_app.serving.stream.sources.protocol import Source
from lightning_app.serving.stream.tables import offsets

_log = logging.getLogger("lightning_app.serving.stream")
_SECONDS = 10.0
"""How long a broker is waited for."""
_COMMIT_SECONDS = 5.0
"""How often Kafka is told the offsets, for those who watch the lag there."""
_KEEP_SECONDS = 5.0
"""So long after the last poll, the group is told that the consumer is still there; it waits for minutes."""
_SUSPECT = 3
"""After so many deaths in a row at one place, events come alone."""
_CAREFUL = 1024
"""Events that come alone then."""


class _Partition:
    """A partition that belongs to this worker."""

    def __init__(self, claim: offsets.Claim, next_offset: int) -> None:
        self.fence = claim.fence
        self.crashes = claim.crashes
        self.next_offset = next_offset  # the first one that was not read yet
        self.first = next_offset
        self.answered: int | None = None


class KafkaSource(Source):
    """A member of a consumer group.

    A partition that comes is claimed in the journal before its first event is read, and read from where the journal
    says: what the worker before has not committed until then, it never will.

    Args:
        database: The database of the journal.
        brokers: `HOST:PORT`, several separated by commas.
        topic: The topic.
        group: Consumer group.
        stream: Name of the stream.
        holder: The worker.
        start: Where a partition begins that the journal does not know.
        content_type: Media type of events without the header `content-type`.
        poison: Deaths after which an event is a dead letter.
        queued_bytes: Bytes that are read ahead.
        claim_seconds: How long the journal is waited for when a partition comes.
        settings: Further settings of librdkafka.
    """

    def __init__(
        self,
        database: JournalDatabase,
        *,
        brokers: str,
        topic: str,
        group: str,
        stream: str,
        holder: str,
        start: Literal["earliest", "latest"],
        content_type: str,
        poison: int,
        queued_bytes: int,
        claim_seconds: float,
        settings: Mapping[str, str],
    ) -> None:
        self._claim_seconds = claim_seconds
        self._database, self._topic, self._stream, self._holder = database, topic, stream, holder
        self._brokers, self._start, self._content_type, self._poison = brokers, start, content_type, poison
        self._settings: dict[str, Any] = {
            "group.id": group,
            "partition.assignment.strategy": "cooperative-sticky",
            "queued.max.messages.kbytes": max(1, queued_bytes // 1024),
            "fetch.message.max.bytes": max(queued_bytes, 1024),
            **settings,
            "bootstrap.servers": brokers,
            "auto.offset.reset": start,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": False,
        }
        self._consumer: Consumer | None = None
        self._partitions: dict[int, _Partition] = {}
        self._ahead: list[Message] = []
        self._read_under: dict[str, int] = {}  # fence of each partition of the batch that is being answered
        self._came: list[str] = []
        self._is_paused = False
        self._polled = 0.0
        self._next_commit = 0.0

    @override
    def open(self) -> None:
        try:
            consumer = Consumer(self._settings, logger=_log)
        except (KafkaException, ValueError, TypeError) as error:
            raise UsageError(f"kafka: {error}") from error
        try:
            found = consumer.list_topics(self._topic, timeout=_SECONDS).topics[self._topic]
        except KafkaException as error:
            consumer.close()
            raise StreamError(f"kafka: {self._brokers} cannot be reached: {_reason(error)}") from error
        if found.error is not None:
            consumer.close()
            raise UsageError(f"kafka: {self._topic} cannot be read at {self._brokers}: {found.error.str()}")
        consumer.subscribe([self._topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._was_lost)
        self._consumer = consumer

    @override
    def poll(self, most: int, seconds: float) -> list[Event]:
        consumer = self._opened()
        self._polled = time.monotonic()
        if self._is_paused:
            consumer.resume(consumer.assignment())
            self._is_paused = False
        most = 1 if any(one.crashes >= _SUSPECT for one in self._partitions.values()) else most
        messages, self._ahead = self._ahead[:most], self._ahead[most:]
        try:
            if not messages:
                messages = consumer.consume(1, seconds)
            if messages and len(messages) < most:
                messages += consumer.consume(most - len(messages), 0.0)
            self._tell(consumer)
        except KafkaException as error:
            raise StreamError(f"kafka: {_reason(error)}") from error
        arrived = time.perf_counter()
        events = [event for message in messages if (event := self._event(message, arrived)) is not None]
        self._read_under = {event.partition: self._partitions[int(event.partition)].fence for event in events}
        return events

    @override
    def settle(self, sql: JournalDatabase, events: Sequence[Event]) -> None:
        last = {event.partition: int(event.position) + 1 for event in events}
        lost = offsets.advance(
            sql,
            self._stream,
            {partition: (offset, self._read_under[partition]) for partition, offset in last.items()},
        )
        if lost:
            _log.warning("%s: another worker has taken partitions %s", self._topic, ", ".join(lost))
            raise LostError([event.request_id for event in events if event.partition in lost])

    @override
    def committed(self, events: Sequence[Event]) -> None:
        for event in events:
            if (partition := self._partitions.get(int(event.partition))) is not None:
                partition.answered = int(event.position) + 1
                if partition.answered > partition.first + _CAREFUL:
                    partition.crashes = 0

    @override
    def keep(self) -> None:
        """Stays in the group: a consumer that does not poll for minutes is put out of it."""
        if time.monotonic() - self._polled < _KEEP_SECONDS:
            return  # a pause throws away what was fetched ahead, and costs half a second
        self._polled = time.monotonic()
        consumer = self._opened()
        if not self._is_paused:
            consumer.pause(consumer.assignment())
            self._is_paused = True
        try:
            self._ahead += consumer.consume(100, 0.0)
        except KafkaException as error:
            raise StreamError(f"kafka: {_reason(error)}") from error

    @override
    def came(self) -> list[str]:
        came, self._came = self._came, []
        return came

    @override
    def lag(self) -> dict[str, int] | None:
        consumer = self._opened()
        lags = {}
        try:
            for number, partition in self._partitions.items():
                _, high = consumer.get_watermark_offsets(TopicPartition(self._topic, number), cached=True)
                if high < 0:
                    return None
                answered = partition.first if partition.answered is None else partition.answered
                lags[str(number)] = max(0, high - answered)
        except KafkaException:
            return None
        return lags

    @override
    def is_done(self) -> bool:
        if self._partitions:
            return super().is_done()
        # None is this worker's: whether the others have answered all, the journal says.
        consumer, listed = self._opened(), offsets.listed(self._database)
        answered = {one.partition: one.next_offset for one in listed if one.stream == self._stream}
        try:
            for number in consumer.list_topics(self._topic, timeout=_SECONDS).topics[self._topic].partitions:
                low, high = consumer.get_watermark_offsets(TopicPartition(self._topic, number), timeout=_SECONDS)
                if high != max(low, answered.get(str(number), -1)):  # beyond it: its next owner refuses it
                    return False
        except KafkaException:
            return False
        return True

    @override
    def close(self) -> None:
        if self._consumer is None:
            return
        self._tell(self._consumer, is_last=True)
        consumer, self._consumer = self._consumer, None
        consumer.close()  # which revokes the partitions
        if self._partitions:
            self._release(list(self._partitions))

    def _opened(self) -> Consumer:
        assert self._consumer is not None
        return self._consumer

    def _event(self, message: Message, arrived: float) -> Event | None:
        error = message.error()
        if error is not None:
            if error.retriable() or error.code() in (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN):
                return None  # librdkafka tries again
            raise StreamError(f"kafka: {error.str()}")
        number, offset = message.partition(), message.offset()
        assert number is not None
        assert offset is not None
        partition = self._partitions.get(number)
        if partition is None or offset < partition.next_offset:
            return None  # read ahead before the partition went, or was sought
        partition.next_offset = offset + 1
        pairs: Any = message.headers() or ()
        content_type = next((value for name, value in pairs if name == "content-type" and value), b"")
        kind, written = message.timestamp()
        problem = None
        body = message.value()
        if body is None:
            problem = "empty", "body: none, the event is a tombstone"
        elif partition.crashes >= self._poison and offset == partition.first:
            problem = "poison", f"it was read {partition.crashes} times by a worker that then died"
        if offset == partition.first and partition.crashes:
            _log.warning("%s: %d workers have died at %d/%d", self._topic, partition.crashes, number, offset)
        return Event(
            request_id=f"{self._stream}:{number}:{offset}",
            partition=str(number),
            position=str(offset),
            key=key_text(message.key()),
            content_type=_text(content_type) or self._content_type,
            body=body or b"",
            time=written / 1000 if kind else 0.0,
            arrived=arrived,
            attempts=partition.crashes + 1,
            problem=problem,
        )

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Claims partitions; without the journal there is nothing to do but to wait for it, or to leave the group."""
        self.rebalances += 1
        numbers = [one.partition for one in partitions]
        self._forget_ahead(numbers)
        end, pause = time.monotonic() + self._claim_seconds, 0.1
        while True:
            try:
                begins = {number: self._claim(consumer, number) for number in numbers}
                break
            except (JournalError, KafkaException) as error:
                if time.monotonic() > end:
                    raise GivenUpError(
                        f"partitions could not be claimed for {self._claim_seconds:g} s: {error}"
                    ) from error
                _log.warning("%s: partitions cannot be claimed yet: %s", self._topic, error)
                time.sleep(pause)
                pause = min(2 * pause, 2.0)
        consumer.incremental_assign([TopicPartition(self._topic, *one) for one in begins.items()])
        if numbers:
            self._came += map(str, numbers)
            _log.info("%s: partitions %s came", self._topic, ", ".join(map(str, numbers)))

    def _claim(self, consumer: Consumer, number: int) -> int:
        """Takes a partition; its first offset that is not answered."""
        low, high = consumer.get_watermark_offsets(TopicPartition(self._topic, number), timeout=_SECONDS)
        with self._database.transaction():
            claim = offsets.claim(self._database, self._stream, str(number), self._holder)
        begin = self._begin(number, claim.next_offset, low, high)
        self._partitions[number] = _Partition(claim, begin)
        return begin

    def _forget_ahead(self, numbers: Collection[int]) -> None:
        self._ahead = [message for message in self._ahead if message.partition() not in numbers]

    def _begin(self, number: int, known: int | None, low: int, high: int) -> int:
        if known is None:
            return high if self._start == "latest" else low
        if known > high:
            raise UsageError(
                f"kafka: {self._topic}/{number} ends at {high}, but {self._stream} is answered up to {known}: the "
                "topic was made anew; give the stream another --name"
            )
        if known < low:
            self.lost += low - known
            _log.error(
                "%s/%d: %d events were deleted by the broker before they were answered", self._topic, number,
                low - known,
            )  # fmt: skip
        return max(known, low)

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.rebalances += 1
        self._tell(consumer, is_last=True)
        self._release([one.partition for one in partitions if one.partition in self._partitions])
        consumer.incremental_unassign(partitions)

    def _was_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.rebalances += 1
        for one in partitions:
            self._partitions.pop(one.partition, None)
        self._forget_ahead([one.partition for one in partitions])
        consumer.incremental_unassign(partitions)
        _log.warning("%s: partitions %s were lost", self._topic, ", ".join(str(one.partition) for one in partitions))

    def _release(self, numbers: list[int]) -> None:
        self._forget_ahead(numbers)
        fences = {str(number): self._partitions.pop(number).fence for number in numbers}
        if not fences:
            return
        _log.info("%s: partitions %s went", self._topic, ", ".join(fences))
        try:
            with self._database.transaction():
                offsets.release(self._database, self._stream, fences)
        except JournalError as error:
            _log.warning("partitions could not be given back in order: %s", error)

    def _tell(self, consumer: Consumer, *, is_last: bool = False) -> None:
        now = time.monotonic()
        if now < self._next_commit and not is_last:
            return
        self._next_commit = now + _COMMIT_SECONDS
        told = [
            TopicPartition(self._topic, number, one.answered)
            for number, one in self._partitions.items()
            if one.answered is not None
        ]
        if not told:
            return
        try:
            if is_last:
                consumer.commit(offsets=told, asynchronous=False)
            else:
                consumer.commit(offsets=told, asynchronous=True)
        except KafkaException as error:
            _log.warning("kafka could not be told the offsets, which the journal has: %s", _reason(error))


def _text(content: bytes | str) -> str:
    return content.decode("latin-1") if isinstance(content, bytes) else content


def _reason(error: KafkaException) -> str:
    (inner, *_) = error.args
    return inner.str() if isinstance(inner, KafkaError) else str(inner)
