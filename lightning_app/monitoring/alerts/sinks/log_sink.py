"""Log sink: one line per alert in the log of the process, with its facts beside the text."""

import logging

from lightning_app.monitoring.alerts.message import Message

_log = logging.getLogger("lightning_app.monitoring.alerts")


class LogSender:
    """Writes alerts to the log: those that fire as warnings, resolved ones as information."""

    def send(self, message: Message) -> str | None:
        """Writes the alerts of a message.

        Args:
            message: The message.
        """
        for alert in message.alerts:
            level = logging.WARNING if alert.status == "firing" else logging.INFO
            facts = {
                "alert": alert.rule, "status": alert.status, "severity": alert.severity, "labels": alert.labels,
                "value": alert.value, "threshold": alert.threshold, "number": alert.number, "message_id": message.id,
            }  # fmt: skip
            _log.log(level, "alert %s %s: %s", alert.rule, alert.status, alert.text, extra={"facts": facts})
        return None
