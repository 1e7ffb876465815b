"""Payloads of webhooks: this program's own JSON, Slack's text, and the alerts of Alertmanager."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from lightning_app.monitoring.alerts.message import Message, SentAlert, title

_MOST_LINES = 30
_NEVER_REPEATED = 30 * 86_400.0
"""Alertmanager drops an alert that is not sent again; one that never is, it keeps for so long."""


def own_payload(message: Message) -> bytes:
    """The message as JSON.

    Args:
        message: The message.
    """
    return msgspec.json.encode(message)


def slack_payload(message: Message) -> bytes:
    """A text that Slack, Mattermost and others take, with their signs for links and mentions escaped.

    Args:
        message: The message.
    """
    lines = [f"*{_escaped(title(message))}*"]
    for alert in message.alerts[:_MOST_LINES]:
        state = "resolved" if alert.status == "resolved" else alert.severity
        lines.append(f"• {_escaped(state)}: {_escaped(alert.text)}")
        if alert.status == "firing":
            lines += [f"    {_escaped(name)}: {_escaped(text)}" for name, text in alert.annotations.items()]
    if (more := len(message.alerts) - _MOST_LINES) > 0:
        lines.append(f"and {more} more")
    return msgspec.json.encode({"text": "\n".join(lines)})


def alertmanager_payload(message: Message) -> bytes:
    """A list of alerts, as `POST /api/v2/alerts` takes it.

    Args:
        message: The message.
    """
    return msgspec.json.encode([_alertmanager_alert(alert, message.time) for alert in message.alerts])


def _alertmanager_alert(alert: SentAlert, sent: float) -> dict[str, Any]:
    labels = {name: value for name, value in alert.labels.items() if name != "alert" and value}
    lasts = _NEVER_REPEATED if alert.repeat_seconds is None else 2 * alert.repeat_seconds
    return {
        "labels": {"alertname": alert.rule, **labels},
        "annotations": {"summary": alert.text, **alert.annotations},
        "startsAt": _time(alert.fired),
        "endsAt": _time(sent + lasts if alert.resolved is None else alert.resolved),
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
