"""KafkaSink: messages to a Kafka topic, by an idempotent producer."""

import logging
from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from typing_extensions import override

from lightning_app.errors import UsageError
from lightning_app.serving.stream.errors import StreamError
from lightning_app.serving.stream.event import Output
from lightning_app.serving.stream.sinks.protocol import Done, Sink

_log = logging.getLogger("lightning_app.serving.stream")
_SECONDS = 10.0
_CONSUMER_SETTINGS = ("group.instance.id", "session.timeout.ms", "heartbeat.interval.ms", "max.poll.interval.ms")
_FINAL = {
    KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE, KafkaError.INVALID_MSG,
    KafkaError.INVALID_RECORD, KafkaError.INVALID_MSG_SIZE,
}  # fmt: skip
"""What will be wrong with the message the next time too."""


class KafkaSink(Sink):
    """A producer.

    Args:
        brokers: `HOST:PORT`, several separated by commas.
        topic: The topic.
        settings: Further settings of librdkafka.
    """

    def __init__(self, *, brokers: str, topic: str, settings: Mapping[str, str]) -> None:
        self._brokers, self._topic = brokers, topic
        self._settings: dict[str, Any] = {
            "linger.ms": 5,
            "partitioner": "murmur2_random",
            **{name: value for name, value in settings.items() if name not in _CONSUMER_SETTINGS},
            "bootstrap.servers": brokers,
            "enable.idempotence": True,
            "acks": "all",
        }
        self._producer: Producer | None = None

    @override
    def open(self) -> None:
        try:
            producer = Producer(self._settings, logger=_log)
        except (KafkaException, ValueError, TypeError) as error:
            raise UsageError(f"kafka: {error}") from error
        try:
            found = producer.list_topics(self._topic, timeout=_SECONDS).topics[self._topic]
        except KafkaException as error:
            raise StreamError(f"kafka: {self._brokers} cannot be reached: {error.args[0].str()}") from error
        if found.error is not None:
            raise UsageError(f"kafka: {self._topic} cannot be written at {self._brokers}: {found.error.str()}")
        self._producer = producer

    @override
    def send(self, message: Output, done: Done) -> None:
        assert self._producer is not None
        headers: dict[str, str | bytes | None] = {
            "request-id": message.request_id, "content-type": message.content_type, **message.headers,
        }  # fmt: skip

        def delivered(error: KafkaError | None, _: Message) -> None:
            done(None if error is None else error.str(), error is not None and error.code() in _FINAL)

        while True:
            try:
                self._producer.produce(
                    self._topic, value=message.body, key=message.key, headers=headers, on_delivery=delivered
                )
            except BufferError:  # librdkafka's own queue is full
                self._producer.poll(0.1)
            except KafkaException as error:
                reason: KafkaError = error.args[0]
                done(reason.str(), reason.code() in _FINAL)
                return
            else:
                return

    @override
    def poll(self, seconds: float) -> None:
        assert self._producer is not None
        self._producer.poll(seconds)

    @override
    def close(self) -> None:
        if self._producer is not None:
            self._producer.purge()
            self._producer.poll(0)
            self._producer = None
