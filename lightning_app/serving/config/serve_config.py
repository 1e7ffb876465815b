"""ServeConfig: what a server serves and within which limits; one YAML file, or the options of `serve`."""

import os
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from lightning_app.errors import UsageError
from lightning_app.serving.config.experiment_config import (
    ArmConfig,
    CanaryConfig,
    ExperimentConfig,
    Linear,
    Margins,
    RewardConfig,
    ShadowConfig,
    Split,
    Thompson,
    canary_problem,
    experiment_problem,
)
from lightning_app.serving.config.resilience_config import (
    BreakerConfig,
    ChaosConfig,
    FallbackConfig,
    Fault,
    resilience_problem,
)
from lightning_app.serving.config.yaml_file import read_yaml_file

Positive = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]
Share = Annotated[float, Meta(ge=0, le=1)]
RouteName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}$(?!\n)")]


class Batching(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Dynamic batching by hand, instead of what is measured when a model is loaded.

    Attributes:
        max_rows: Rows of one call of the model.
        window_ms: How long a request waits for others, in milliseconds.
    """

    max_rows: Count = 64
    window_ms: Annotated[float, Meta(ge=0, le=1000)] = 0.0


class Sessions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """State of streams, kept between requests by the id of a session.

    Attributes:
        most: Sessions of a model; the one that was used longest ago goes first.
        seconds: How long a session is kept after its last request.
    """

    most: Count = 10_000
    seconds: Positive = 3600.0


class ModelConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One served model.

    Attributes:
        model: `NAME@champion`, `NAME@3`, `NAME`, or the folder of a package.
        name: Name in addresses; None takes that in the registry, or of the package.
        store: Online store that holds the history of entities, so that requests hold keys; see `features.store`.
        namespace: Project in the store.
        tables: Tables of further sources that the features read: file by name of the source.
        entity: Column of requests that is journalled as the key of the entity.
        batching: `auto` measures, `off` answers each request by itself.
        deadline_ms: How long a request may wait for its answer, in milliseconds.
        queue: Requests that may wait; more are refused with 503.
        cache: Answers that are kept for the same content; 0 keeps none.
        digits: Significant digits of numbers in answers; None keeps all.
        sessions: State of streams.
        experiment: Several arms that share the requests.
        shadow: A model that answers for the journal alone.
        canary: How a challenger takes the place of the champion.
        breaker: When the model is not asked any more because it fails; None asks it always, unless it has a fallback.
        fallback: What answers if the model does not, in this order.
        fallback_on_busy: Whether the fallback also answers what the queue of the model has no place for.
        fallback_ms: How much of the deadline is kept for the fallback; None takes what it was measured to need, at
            least a tenth of the deadline.
        store_timeout_ms: How long a read of the online store may take; None takes a quarter of the deadline, at most a
            second.
        store_down: What happens while the online store cannot be read: `refuse` answers 503, `defaults` takes the
            default of each feature, `fallback` asks the fallback.
    """

    model: str
    name: RouteName | None = None
    store: str | None = None
    namespace: str | None = None
    tables: dict[str, str] = {}
    entity: str | None = None
    batching: Literal["auto", "off"] | Batching = "auto"
    deadline_ms: Positive = 10_000.0
    queue: Count = 1024
    cache: Annotated[int, Meta(ge=0)] = 0
    digits: Annotated[int, Meta(ge=1, le=17)] | None = None
    sessions: Sessions = Sessions()
    experiment: ExperimentConfig | None = None
    shadow: ShadowConfig | None = None
    canary: CanaryConfig | None = None
    breaker: BreakerConfig | None = None
    fallback: list[FallbackConfig] = []
    fallback_on_busy: bool = False
    fallback_ms: Positive | None = None
    store_timeout_ms: Positive | None = None
    store_down: Literal["refuse", "defaults", "fallback"] = "refuse"

    @property
    def key(self) -> str:
        """What an arm is chosen for."""
        split = self.experiment or self.canary
        return "request" if split is None else split.key


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds of what a client may send.

    Attributes:
        body_bytes: Size of a body.
        rows: Rows of a request.
        body_seconds: How long a client may take to send headers and body.
        header_bytes: Size of all headers.
        connections: Connections of a worker.
        drain_seconds: How long requests that are being answered may take once the server stops.
        unresponsive_seconds: A worker that gives no sign of life for so long is killed, and another takes its place.
    """

    body_bytes: Count = 16 * 2**20
    rows: Count = 10_000
    body_seconds: Positive = 10.0
    header_bytes: Count = 16 * 2**10
    connections: Count = 1024
    drain_seconds: Positive = 30.0
    unresponsive_seconds: Annotated[float, Meta(ge=2)] = 10.0


class JournalConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where answered predictions are written.

    Attributes:
        url: `sqlite:///FILE` or `postgresql://...`; None writes no journal.
        password_file: File with the password of the PostgreSQL that `url` names.
        on_failure: What happens while the journal cannot be written: `fail` answers 503, `spill` writes to files that
            are replayed later.
        spill: Folder of these files; None takes `journal-spill` in the working folder.
        synchronous: SQLite only: `normal` survives the death of the server, `full` also that of the machine.
        retention_days: Older predictions are deleted; None keeps all.
        sample: Share of requests that are written, chosen by request id.
        drop: Columns of requests that are not written.
        hash: Columns of requests of which a salted hash is written.
    """

    url: str | None = "sqlite:///journal.db"
    password_file: str | None = None
    on_failure: Literal["fail", "spill"] = "fail"
    spill: str | None = None
    synchronous: Literal["normal", "full"] = "normal"
    retention_days: Positive | None = None
    sample: Share = 1.0
    drop: list[str] = []
    hash: list[str] = []


class ServeConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that a server is told.

    Attributes:
        models: Served models; `/predict` asks the first.
        host: Address that is listened on.
        port: Port; 0 takes a free one.
        grpc_port: Port of the Open Inference Protocol over gRPC; 0 takes a free one, None serves none.
        workers: Worker processes; None takes one per core.
        registry: Where names are registered; None takes `$MLFLOW_TRACKING_URI`.
        poll_seconds: How often the registry is asked whether an alias has moved.
        keys: File of API keys; None allows everyone, on loopback only.
        insecure: Allows everyone from everywhere.
        tls_cert: Certificate file.
        tls_key: Key file of the certificate.
        trusted_keys: Public keys; if there are any, every package has to be signed by one of them.
        limits: Bounds of requests.
        journal: Where answered predictions are written.
        log_level: `info` logs errors and changes, `debug` every request too.
        otlp_endpoint: Where OpenTelemetry traces go; None traces nothing.
        otlp_sample: Share of the traces that start here which are exported; clients decide about theirs.
        chaos: Faults that are injected on purpose; on loopback only.
        monitor: File of monitoring (`monitor.yaml`), which then runs beside the workers; None monitors nothing.
    """

    models: Annotated[list[ModelConfig], Meta(min_length=1)]
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8000
    grpc_port: Annotated[int, Meta(ge=0, le=65535)] | None = None
    workers: Count | None = None
    registry: str | None = None
    poll_seconds: Positive = 10.0
    keys: str | None = None
    insecure: bool = False
    tls_cert: str | None = None
    tls_key: str | None = None
    trusted_keys: list[str] = []
    limits: Limits = Limits()
    journal: JournalConfig = JournalConfig()
    log_level: Literal["info", "debug"] = "info"
    otlp_endpoint: str | None = None
    otlp_sample: Share = 1.0
    chaos: ChaosConfig | None = None
    monitor: str | None = None

    @property
    def num_workers(self) -> int:
        """Number of worker processes."""
        return self.workers or len(os.sched_getaffinity(0))


_PARTS = (
    ServeConfig, ModelConfig, Limits, JournalConfig, Batching, Sessions, ExperimentConfig, ArmConfig, Split,
    Thompson, Linear, RewardConfig, ShadowConfig, CanaryConfig, Margins, BreakerConfig,
    FallbackConfig, ChaosConfig, Fault,
)  # fmt: skip


def read_config(path: str | Path) -> ServeConfig:
    """Reads a YAML file.

    Args:
        path: The file.

    Raises:
        UsageError: The file is missing or invalid; names the key, the value and what is allowed.
    """
    return read_yaml_file(
        path, ServeConfig, option="config", parts=_PARTS, models=lambda content: content.get("models")
    )


def check_experiments(config: ServeConfig) -> None:
    """Raises unless the experiments and canaries of a configuration can be.

    Args:
        config: The configuration.

    Raises:
        UsageError: One cannot; names the model, the key and what is allowed.
    """
    names: set[str] = set()
    for model in config.models:
        if (problem := _model_problem(model, config)) is not None:
            raise UsageError(f"config: {model.model}: {problem}")
        if model.experiment is not None:
            if model.experiment.name in names:
                raise UsageError(f"config: {model.model}: experiment.name: {model.experiment.name} is that of another")
            names.add(model.experiment.name)


def _model_problem(model: ModelConfig, config: ServeConfig) -> str | None:
    experiment, canary = model.experiment, model.canary
    if (problem := resilience_problem(model)) is not None:
        return problem
    if experiment is not None and canary is not None:
        return "experiment and canary: both choose who answers; leave one of them out"
    if model.key == "entity" and model.entity is None:
        return "key: entity given, but no entity; set the column that holds it"
    if experiment is not None and (problem := experiment_problem(experiment)) is not None:
        return problem
    if canary is not None and (problem := canary_problem(canary)) is not None:
        return problem
    if canary is not None and "@" not in model.model:
        return f"canary: {model.model} given, needed is an alias that promotion moves, e.g. {model.model}@champion"
    is_learning = experiment is not None and not isinstance(experiment.policy, Split)
    if config.journal.url is None and (is_learning or canary is not None):
        what = "canary" if canary is not None else "experiment.policy"
        return f"{what}: needs a journal, which is where it learns from"
    if config.journal.sample < 1 and (is_learning or canary is not None):
        return "journal.sample: less than 1 given, but a bandit or a canary counts every answer"
    if experiment is not None and isinstance(experiment.policy, Linear):
        unread = [name for name in experiment.policy.columns if name in (*config.journal.drop, *config.journal.hash)]
        if unread:
            return f"experiment.policy.columns: {unread[0]} is not in the journal (drop, hash): nothing can be learned"
    return None
