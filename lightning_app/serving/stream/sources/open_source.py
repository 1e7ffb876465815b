"""Opening of sources by address; each imports its own client library."""

from importlib.util import find_spec

from lightning_app.errors import UsageError
from lightning_app.serving.journal.stores.database import JournalDatabase
from lightning_app.serving.stream.address import Address
from lightning_app.serving.stream.sources.protocol import Source
from lightning_app.serving.stream.stream_config import StreamConfig

_MODULES = {"kafka": ("confluent_kafka", "kafka"), "redis": ("redis", "redis")}
_READ_AHEAD = 4
"""Batches of the largest size that Kafka may read ahead."""


def check_installed(address: Address) -> None:
    """Raises unless the client library of an address is installed.

    Args:
        address: The address.

    Raises:
        UsageError: It is not; names the extra.
    """
    if address.kind in _MODULES and find_spec(_MODULES[address.kind][0]) is None:
        module, extra = _MODULES[address.kind]
        raise UsageError(f"{address.text} needs {module}: pip install 'lightning-r2p[{extra}]'")


def open_source(
    address: Address, config: StreamConfig, *, database: JournalDatabase, stream: str, group: str, holder: str
) -> Source:
    """Connects to a source.

    Args:
        address: Its address.
        config: Configuration.
        database: The database of the journal.
        stream: Name of the stream.
        group: Consumer group.
        holder: The worker.

    Raises:
        UsageError: It does not exist, or cannot be read.
        StreamError: It cannot be reached.
    """
    source: Source
    if address.kind == "kafka":
        from lightning_app.serving.stream.sources.kafka_source import KafkaSource

        source = KafkaSource(
            database,
            brokers=address.server,
            topic=address.name,
            group=group,
            stream=stream,
            holder=holder,
            start=config.start,
            content_type=config.content_type,
            poison=config.attempts,
            queued_bytes=_READ_AHEAD * config.batch_bytes,
            claim_seconds=config.retry_seconds,
            settings=config.kafka,
        )
    elif address.kind == "redis":
        from lightning_app.serving.stream.sources.redis_source import RedisSource

        source = RedisSource(
            server=address.server,
            key=address.name,
            group=group,
            stream=stream,
            holder=holder,
            start=config.start,
            content_type=config.content_type,
            lease_seconds=config.lease_seconds,
            poison=config.attempts,
        )
    else:
        source = queue_source(config, database=database, queue=address.name, holder=holder)
    source.open()
    return source


def queue_source(config: StreamConfig, *, database: JournalDatabase, queue: str, holder: str) -> Source:
    """A queue in the database of the journal.

    Args:
        config: Configuration.
        database: The database.
        queue: Name of the queue.
        holder: The worker.
    """
    from lightning_app.serving.stream.sources.queue_source import QueueSource

    return QueueSource(
        database, stream=queue, holder=holder, lease_seconds=config.lease_seconds, poison=config.attempts
    )
