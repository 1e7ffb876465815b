"""MonitorConfig: which models are monitored, and how; one YAML file."""

from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from features.definitions.duration import Duration, seconds
from lightning_app.drift.result import DriftSettings
from lightning_app.errors import UsageError
from lightning_app.monitoring.config.alert_rules import AlertRule, RuleName
from lightning_app.monitoring.config.alert_sinks import AnySink, EmailSink, LogSink, Secret, WebhookSink
from lightning_app.serving.config.journal_password import with_password
from lightning_app.serving.config.serve_config import JournalConfig
from lightning_app.serving.config.yaml_file import read_yaml_file


class ChangeSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a rise of the error is found, row by row.

    Attributes:
        run_length: Rows with an outcome between false alarms, on average.
    """

    run_length: Annotated[int, Meta(ge=1000)] = 100_000


class QualitySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How quality is judged.

    Attributes:
        metrics: Names of metrics; None takes those of the task. The first is the main one.
        outcome_within: When a row without an outcome is overdue.
        minimum_rows: Rows with an outcome below which a metric is not given.
        alpha: Probability that a confidence sequence ever misses the metric.
        change: How a rise of the error is found, row by row; None does not look for one.
    """

    metrics: tuple[str, ...] | None = None
    outcome_within: Duration = "7d"
    minimum_rows: Annotated[int, Meta(ge=1)] = 30
    alpha: Annotated[float, Meta(gt=0, lt=1)] = 0.05
    change: ChangeSettings | None = ChangeSettings()


class MonitoredModel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One monitored model.

    Attributes:
        model: Name in the journal.
        registered: Name in the registry, if it is another one.
        window: What is judged: the time up to now.
        every: Length of the windows of the history.
        history: How far the history goes back.
        slices: Columns whose values are judged one by one.
        reference: Drift reference in place of that of the package; a folder that `monitor reference` wrote.
        contract: Data contract in place of that of the package.
        drift: How drift is judged.
        quality: How quality is judged.
    """

    model: str
    registered: str | None = None
    window: Duration = "7d"
    every: Duration = "1d"
    history: Duration = "28d"
    slices: tuple[str, ...] = ()
    reference: str | None = None
    contract: str | None = None
    drift: DriftSettings = DriftSettings()
    quality: QualitySettings = QualitySettings()


class MonitorConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that monitoring is told.

    Attributes:
        journal: `sqlite:///FILE` or `postgresql://...`; None takes that of the server, or `sqlite:///journal.db`.
        journal_password_file: File with the password of a PostgreSQL; its address in `journal` then has none.
        registry: Where versions are registered; None takes `$MLFLOW_TRACKING_URI`, or that of the server.
        models: Monitored models; empty takes all that the journal has, with the defaults.
        packages: Folders of packages that are served without a registry.
        refresh: How often the report is made.
        most_rows: Rows of a window and version that are read; of more, an evenly spread sample.
        name: Name of this monitor among those that share a journal; it keeps the states of its own alerts.
        alerts: What is worth a message.
        sinks: Where messages go.
        title: Title of the page.
    """

    journal: str | None = None
    journal_password_file: str | None = None
    registry: str | None = None
    models: tuple[MonitoredModel, ...] = ()
    packages: tuple[str, ...] = ()
    refresh: Duration = "5m"
    most_rows: Annotated[int, Meta(ge=1000)] = 500_000
    name: RuleName = "monitor"
    alerts: tuple[AlertRule, ...] = ()
    sinks: tuple[AnySink, ...] = ()
    title: str = "Model monitoring"


_PARTS = (
    MonitorConfig, MonitoredModel, QualitySettings, ChangeSettings, DriftSettings, AlertRule, LogSink, WebhookSink,
    EmailSink, Secret,
)  # fmt: skip


def read_monitor_config(path: str | Path, *, password: bool = True) -> MonitorConfig:
    """Reads a YAML file.

    Args:
        path: The file.
        password: Whether to put the password of `journal_password_file` into `journal`.

    Raises:
        UsageError: The file is missing or invalid; names the key, the value and what is allowed.
    """
    config = read_yaml_file(path, MonitorConfig, option="config", parts=_PARTS)
    _seconds(config.refresh, "refresh")
    for model in config.models:
        check_model(model)
    names = [model.model for model in config.models]
    if twins := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"config: {path}: models: {twins[0]} is there twice")
    return _with_password(config) if password else config


def _with_password(config: MonitorConfig) -> MonitorConfig:
    journal = JournalConfig(url=config.journal, password_file=config.journal_password_file)
    try:
        url = with_password(journal).url
    except UsageError as error:
        text = str(error).replace("journal.password_file", "journal_password_file").replace("journal.url", "journal")
        raise UsageError(f"config: {text}") from error
    return replace(config, journal=url, journal_password_file=None)


def check_model(model: MonitoredModel) -> None:
    """Raises unless the durations of a model fit together.

    Args:
        model: The model.

    Raises:
        UsageError: They do not; names the key.
    """
    lengths = {}
    for key in ("window", "every", "history"):
        lengths[key] = _seconds(getattr(model, key), f"{model.model}: {key}")
    _seconds(model.quality.outcome_within, f"{model.model}: quality.outcome_within")
    if lengths["every"] > lengths["window"] or lengths["window"] > lengths["history"]:
        raise UsageError(
            f"config: {model.model}: every {model.every}, window {model.window}, history {model.history} given; "
            "needed: every <= window <= history"
        )
    if lengths["history"] / lengths["every"] > 1000:
        raise UsageError(
            f"config: {model.model}: history {model.history} has more than 1,000 windows of {model.every}; "
            "shorten the history, or lengthen every"
        )


def _seconds(duration: str, key: str) -> float:
    try:
        return seconds(duration)
    except ValueError as error:
        raise UsageError(f"config: {key}: {error}") from error
