"""StreamConfig: what a stream answers, from where to where; one YAML file, or the options of `stream`."""

import re
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from lightning_app.errors import UsageError, nearest
from lightning_app.serving.config.serve_config import Count, JournalConfig, ModelConfig, Positive
from lightning_app.serving.config.yaml_file import read_yaml_file
from lightning_app.serving.http.bodies import JSON, MEDIA_TYPES

StreamName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,90}$(?!\n)")]
_OF_MODEL = ("model", "name", "store", "namespace", "tables", "entity", "batching", "digits")
"""Keys of a model that mean something without requests."""


class StreamConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that a worker of a stream is told.

    Attributes:
        model: The model; of its keys, those about requests, deadlines, arms and fallbacks are refused.
        source: Address of the events: `kafka://HOST:PORT/TOPIC?group=G`, `redis://HOST:PORT/STREAM?group=G`,
            `queue://NAME`.
        sink: Address of the answers; None leaves them in the journal.
        dead_letters: Address of a copy of the dead letters; None leaves them in the journal.
        name: Name of the stream, the beginning of the ids of its answers; None takes topic and group.
        journal: Where answers are written; `on_failure` and `sample` are refused.
        registry: Where names are registered; None takes `$MLFLOW_TRACKING_URI`.
        poll_seconds: How often the registry is asked whether an alias has moved.
        trusted_keys: Public keys; if there are any, the package has to be signed by one of them.
        sessions: Whether the key of an event names the stream whose state a recurrent model carries on.
        content_type: Media type of events that do not say theirs.
        answer_type: Media type of answers; None answers as the event was written.
        start: Where a new group begins.
        batch: Most events of one transaction.
        batch_bytes: Most bytes of one batch.
        linger_ms: How long a batch that is not full is waited for, in milliseconds.
        event_bytes: Most bytes of an event; a larger one is a dead letter.
        rows: Most rows of an event.
        lease_seconds: After this time without a sign of life, another worker takes over events and messages.
        attempts: Deaths of workers over one event after which it is a dead letter.
        on_failure: What happens to an event on which the model fails: `stop` tries again and then ends the process,
            `dead-letter` goes on without it.
        hang_seconds: A call of the model that takes longer is stopped, and its events fail; 20 times what was measured
            for its rows, if that is more.
        retry_seconds: How long what fails is tried again before the process ends.
        drain_seconds: How long messages may take once the process is to end.
        in_flight: Messages that the sink has not acknowledged; at so many, no further events are answered.
        kafka: Further settings of librdkafka, e.g. `security.protocol`.
        metrics: `HOST:PORT` at which Prometheus reads; None listens nowhere.
        log_level: `info` logs changes and totals, `debug` every batch.
    """

    model: ModelConfig
    source: str
    sink: str | None = None
    dead_letters: str | None = None
    name: StreamName | None = None
    journal: JournalConfig = JournalConfig()
    registry: str | None = None
    poll_seconds: Positive = 10.0
    trusted_keys: list[str] = []
    sessions: bool = False
    content_type: str = JSON
    answer_type: str | None = None
    start: Literal["earliest", "latest"] = "earliest"
    batch: Annotated[int, Meta(ge=1, le=10_000)] = 256
    batch_bytes: Count = 16 * 2**20
    linger_ms: Annotated[float, Meta(ge=0, le=10_000)] = 5.0
    event_bytes: Count = 2**20
    rows: Count = 10_000
    lease_seconds: Positive = 30.0
    attempts: Annotated[int, Meta(ge=4)] = 5
    on_failure: Literal["stop", "dead-letter"] = "stop"
    hang_seconds: Positive = 60.0
    retry_seconds: Positive = 300.0
    drain_seconds: Positive = 30.0
    in_flight: Count = 10_000
    kafka: dict[str, str] = {}
    metrics: str | None = None
    log_level: Literal["info", "debug"] = "info"


def read_stream_config(path: str | Path) -> StreamConfig:
    """Reads a YAML file.

    Args:
        path: The file.

    Raises:
        UsageError: The file is missing or invalid; names the key, the value and what is allowed.
    """
    return read_yaml_file(
        path,
        StreamConfig,
        option="config",
        parts=(StreamConfig, ModelConfig, JournalConfig),
        models=lambda content: [content.get("model")],
    )


def check_stream_config(config: StreamConfig) -> None:
    """Raises for what is found out before anything is started.

    Args:
        config: Configuration.

    Raises:
        UsageError: Something given is wrong, or means nothing to a stream.
    """
    for name in ModelConfig.__struct_fields__:
        if name not in _OF_MODEL and getattr(config.model, name) != _default(name):
            raise UsageError(f"model.{name}: given, but a stream has none of it; allowed: {', '.join(_OF_MODEL)}")
    journal = config.journal
    if journal.url is None:
        raise UsageError("journal: none given; a stream keeps its position there, so it needs one")
    if journal.sample < 1:
        raise UsageError(f"journal.sample: {journal.sample:g} given; a stream writes every answer, 1 is needed")
    if journal.on_failure != "fail":
        raise UsageError("journal.on_failure: 'spill' given; a stream waits for its journal, 'fail' is needed")
    for name in ("content_type", "answer_type"):
        given = getattr(config, name)
        if given is not None and given not in MEDIA_TYPES:
            raise UsageError(f"{name}: {given!r} given, allowed: {', '.join(MEDIA_TYPES)}{nearest(given, MEDIA_TYPES)}")
    if config.model.namespace is not None and config.model.store is None:
        raise UsageError(f"namespace: {config.model.namespace!r} given without a store, whose project it names")
    for path in (*config.trusted_keys, *config.model.tables.values()):
        try:
            Path(path).open("rb").close()
        except OSError as error:
            raise UsageError(f"config: {path} cannot be read: {error.strerror}") from error
    if config.metrics is not None and not re.fullmatch(r".+:\d{1,5}", config.metrics):
        raise UsageError(f"metrics: {config.metrics!r} given, HOST:PORT needed, e.g. 127.0.0.1:9100")


def _default(name: str) -> object:
    return getattr(ModelConfig(model=""), name)
