"""A Kafka broker for tests: librdkafka's mock in this process, whose ports other processes reach, or a real one."""

import os
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import pytest

needs_kafka = pytest.mark.skipif(find_spec("confluent_kafka") is None, reason="needs the package confluent-kafka")
REAL = os.environ.get("LIGHTNING_APP_KAFKA", "")
"""Address of a real broker that makes topics when they are first used."""
FAST = ("--kafka", "session.timeout.ms=6000", "--kafka", "heartbeat.interval.ms=500")
"""A worker that was killed is put out of its group after 6 s, the least that brokers allow by default."""


class Broker:
    """A broker.

    Attributes:
        address: `HOST:PORT`.
    """

    def __init__(self, address: str) -> None:
        from confluent_kafka import Producer

        self.address = address
        self._producer = Producer({"bootstrap.servers": address, "linger.ms": 2, "log_level": 0})

    def topic(self) -> str:
        """A new topic."""
        name = f"t{uuid.uuid4().hex[:8]}"
        for _ in range(100):
            if self._producer.list_topics(name, timeout=10).topics[name].error is None:
                break
            time.sleep(0.1)
        return name

    def source(self, topic: str) -> str:
        """Address of a topic with a new group: the mock lets nobody into a group that its last member has left."""
        return f"kafka://{self.address}/{topic}?group={uuid.uuid4().hex[:8]}"

    def produce(
        self, topic: str, bodies: Sequence[bytes | None], *, keys: Sequence[str] | None = None, partition: int = -1
    ) -> None:
        """Writes events, and waits until they are there."""
        for place, body in enumerate(bodies):
            key = None if keys is None else keys[place]
            self._producer.produce(topic, value=body, key=key, partition=partition)
            if place % 1000 == 0:
                self._producer.poll(0)
        assert self._producer.flush(30) == 0

    def consume(self, topic: str, number: int) -> list[tuple[dict[str, str], str | None, bytes]]:
        """Headers, key and body of the messages in a topic, at least so many, in no particular order of partitions."""
        from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

        consumer = Consumer({"bootstrap.servers": self.address, "group.id": uuid.uuid4().hex, "log_level": 0})
        places = self._producer.list_topics(topic, timeout=10).topics[topic].partitions
        consumer.assign([TopicPartition(topic, place, OFFSET_BEGINNING) for place in places])
        found: list[tuple[dict[str, str], str | None, bytes]] = []
        end = time.monotonic() + 20 + number / 1000
        while time.monotonic() < end:
            messages = consumer.consume(1000, 0.5)
            if not messages and len(found) >= number:
                break
            for one in messages:
                assert one.error() is None
                pairs: Any = one.headers() or []
                key, value = one.key(), one.value()
                headers = {name: text.decode() for name, text in pairs}
                found.append((headers, None if key is None else key.decode(), value or b""))
        consumer.close()
        return found


@contextmanager
def mock_broker() -> Iterator[Broker]:
    """A broker of librdkafka's own, as long as its producer lives; a topic has 4 partitions."""
    from confluent_kafka import Producer

    owner = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "mock", "log_level": 0})
    (one,) = owner.list_topics(timeout=10).brokers.values()
    yield Broker(f"{one.host}:{one.port}")
    del owner
