"""Message: what one sink is told after one evaluation, about alerts that belong together."""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct


class SentAlert(Struct, frozen=True, kw_only=True):
    """An alert in a message.

    Attributes:
        rule: Name of its rule.
        status: Whether it fires or was resolved.
        severity: As the rule says.
        labels: What it is about, with `alert`, the name of the rule, and `severity`.
        text: One line.
        value: Last value of the metric; None if it is absent.
        threshold: Bound of the rule; None if it is for absence.
        annotations: Further texts.
        fired: When it began to fire, Unix seconds.
        resolved: When it was resolved; None while it fires.
        number: 1 for the first message about it, 2 for its first repetition, and so on.
        repeat_seconds: After which time it is sent again if it still fires; None never.
    """

    rule: str
    status: Literal["firing", "resolved"]
    severity: str
    labels: dict[str, str]
    text: str
    value: float | None
    threshold: float | None
    annotations: dict[str, str]
    fired: float
    resolved: float | None = None
    number: int = 1
    repeat_seconds: float | None = None


class Message(Struct, frozen=True, kw_only=True):
    """A message; the form of the webhook's JSON.

    Attributes:
        id: Its id, the same in every attempt to send it.
        time: When it was written, Unix seconds.
        status: `firing` if any of its alerts fires.
        group: Labels that its alerts have in common.
        alerts: The alerts, those that fire first.
        monitor: Name of the monitor.
    """

    id: str
    time: float
    status: Literal["firing", "resolved"]
    group: dict[str, str]
    alerts: tuple[SentAlert, ...]
    monitor: str


def title(message: Message) -> str:
    """One line about a message.

    Args:
        message: The message.
    """
    firing = sum(alert.status == "firing" for alert in message.alerts)
    counts = [f"{firing} firing"] if firing else []
    counts += [f"{number} resolved"] if (number := len(message.alerts) - firing) else []
    group = " ".join(value for value in message.group.values() if value)
    return f"[{', '.join(counts)}] {group or message.monitor}: {_names(message.alerts)}"


def _names(alerts: Sequence[SentAlert]) -> str:
    names = list(dict.fromkeys(alert.rule for alert in alerts))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
