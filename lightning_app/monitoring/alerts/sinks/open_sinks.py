"""Opening of sinks by their configuration."""

from collections.abc import Mapping, Sequence

from lightning_app.errors import UsageError
from lightning_app.monitoring.alerts.sinks.email_sink import EmailSender
from lightning_app.monitoring.alerts.sinks.log_sink import LogSender
from lightning_app.monitoring.alerts.sinks.secret_text import secret_text
from lightning_app.monitoring.alerts.sinks.sink import Sink, SinkError
from lightning_app.monitoring.alerts.sinks.webhook_sink import WebhookSender
from lightning_app.monitoring.config.alert_sinks import AnySink, EmailSink, Secret, WebhookSink


def open_sinks(configs: Sequence[AnySink]) -> Mapping[str, Sink]:
    """Sinks by name; their receivers are not asked yet.

    Args:
        configs: Configurations of the sinks.
    """
    return {config.name: _open(config) for config in configs}


def check_secrets(configs: Sequence[AnySink]) -> None:
    """Raises unless all secrets can be read now.

    Args:
        configs: Configurations of the sinks.

    Raises:
        UsageError: One cannot be read; names the sink and where it should be.
    """
    for config in configs:
        for key in ("url", "secret", "authorization", "password"):
            if isinstance(secret := getattr(config, key, None), Secret):
                try:
                    secret_text(secret, key)
                except SinkError as error:
                    raise UsageError(f"sinks: {config.name}: {error.text}") from error


def _open(config: AnySink) -> Sink:
    if isinstance(config, WebhookSink):
        return WebhookSender(config)
    if isinstance(config, EmailSink):
        return EmailSender(config)
    return LogSender()
