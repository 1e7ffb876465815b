"""Grouping: the messages of one evaluation for one sink."""

import uuid
from collections.abc import Mapping

from features.definitions.duration import seconds
from lightning_app.monitoring.alerts.held_alert import HeldAlert
from lightning_app.monitoring.alerts.message import Message, SentAlert
from lightning_app.monitoring.alerts.rules.selectors import matches
from lightning_app.monitoring.alerts.store.states import AlertKey
from lightning_app.monitoring.config.alert_rules import AlertRule
from lightning_app.monitoring.config.alert_sinks import SinkConfig


def messages_for(
    sink: SinkConfig,
    due: Mapping[AlertKey, HeldAlert],
    rules: Mapping[str, AlertRule],
    *,
    monitor: str,
    now: float,
) -> tuple[set[AlertKey], list[Message]]:
    """Messages for a sink.

    Args:
        sink: Its configuration.
        due: Alerts that somebody has to be told of.
        rules: The rules by name; that of an alert may be gone.
        monitor: Name of the monitor.
        now: Unix seconds.

    Returns:
        keys: The alerts that the sink takes.
        messages: One for each group.
    """
    groups: dict[tuple[str, ...], list[tuple[AlertKey, HeldAlert]]] = {}
    for key, alert in due.items():
        rule = rules.get(key[0])
        is_for_it = rule is None or rule.sinks is None or sink.name in rule.sinks
        if is_for_it and matches(sink.match, alert.labels):
            groups.setdefault(tuple(alert.labels.get(name, "") for name in sink.group_by), []).append((key, alert))
    messages = []
    for values, members in groups.items():
        alerts = [_sent_alert(key, alert, rules.get(key[0])) for key, alert in members]
        alerts.sort(key=lambda one: (one.status != "firing", one.rule))
        messages.append(
            Message(
                id=uuid.uuid4().hex,
                time=now,
                status=alerts[0].status,
                group=dict(zip(sink.group_by, values, strict=True)),
                alerts=tuple(alerts),
                monitor=monitor,
            )
        )
    return {key for members in groups.values() for key, _ in members}, messages


def _sent_alert(key: AlertKey, alert: HeldAlert, rule: AlertRule | None) -> SentAlert:
    is_resolved = alert.status == "resolved"
    return SentAlert(
        rule=key[0],
        status="resolved" if is_resolved else "firing",
        severity=alert.labels["severity"],
        labels=alert.labels,
        text=alert.text,
        value=alert.value,
        threshold=alert.threshold,
        annotations=alert.annotations,
        fired=alert.since if alert.fired is None else alert.fired,
        resolved=alert.since if is_resolved else None,
        number=alert.num_sent,
        repeat_seconds=None if rule is None or rule.repeat_every is None else seconds(rule.repeat_every),
    )
