"""Opening of sinks by address; each imports its own client library."""

from lightning_app.serving.stream.address import Address
from lightning_app.serving.stream.sinks.protocol import Sink
from lightning_app.serving.stream.stream_config import StreamConfig


def open_sink(address: Address, config: StreamConfig) -> Sink:
    """Connects to a sink; a queue is none, since its messages are written with the answers.

    Args:
        address: Its address.
        config: Configuration.

    Raises:
        UsageError: It does not exist, or cannot be written.
        StreamError: It cannot be reached.
    """
    sink: Sink
    if address.kind == "kafka":
        from lightning_app.serving.stream.sinks.kafka_sink import KafkaSink

        sink = KafkaSink(brokers=address.server, topic=address.name, settings=config.kafka)
    else:
        assert address.kind == "redis"
        from lightning_app.serving.stream.sinks.redis_sink import RedisSink

        sink = RedisSink(server=address.server, key=address.name)
    sink.open()
    return sink
