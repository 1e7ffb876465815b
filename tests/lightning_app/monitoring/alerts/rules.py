"""Rules, samples and engines for tests."""

from collections.abc import Sequence
from typing import Any

import msgspec

from lightning_app.monitoring.alerts import AlertEngine
from lightning_app.monitoring.alerts.message import Message
from lightning_app.monitoring.config.alert_rules import AlertRule
from lightning_app.monitoring.config.alert_sinks import AnySink, LogSink
from lightning_app.monitoring.report.structs import MetricSample
from lightning_app.serving.journal.stores import open_database
from lightning_app.serving.journal.stores.database import JournalDatabase

MAE = "monitor_quality"
LOG = LogSink(name="log")
START = 1_760_000_000.0
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0


def rule(**fields: Any) -> AlertRule:
    """A rule as YAML has it."""
    return msgspec.convert({"name": "errors", "metric": MAE, "above": 10.0, **fields}, AlertRule)


def mae(value: float, *, version: str = "3", metric: str = MAE, model: str = "bikes", **labels: str) -> MetricSample:
    """A sample of a metric with an interval."""
    full = {"model": model, "version": version, "metric": "mae", "arm": "", "slice": "", **labels}
    return MetricSample(name=metric, labels=full, value=value, time=START)


def report(model: str = "bikes") -> MetricSample:
    """The sample that every report has."""
    return MetricSample(name="monitor_report_seconds", labels={"model": model}, value=1.0, time=START)


def engine(
    url: str | JournalDatabase, *rules: AlertRule, sinks: Sequence[AnySink] = (LOG,), holder: str = "one", **more: Any
) -> AlertEngine:
    """An engine with a connection of its own."""
    database = open_database(url) if isinstance(url, str) else url
    return AlertEngine(database, rules, sinks, holder=holder, **more)


def written(url: str, sink: str = "log") -> list[Message]:
    """Messages that were ever written for a sink."""
    database = open_database(url)
    rows = database.execute(
        f"SELECT message FROM {database.table('alert_messages')} WHERE sink = ? ORDER BY number", (sink,)
    )
    database.close()
    return [msgspec.json.decode(row[0], type=Message) for row in rows]


def said(url: str, sink: str = "log") -> list[tuple[str, ...]]:
    """Per message, its alerts as `name status`."""
    return [tuple(f"{one.rule} {one.status}" for one in message.alerts) for message in written(url, sink)]
