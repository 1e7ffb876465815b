"""Secrets of sinks: read when they are used, so that a new one is taken without a restart."""

import os
from pathlib import Path

from lightning_app.monitoring.alerts.sinks.sink import SinkError
from lightning_app.monitoring.config.alert_sinks import Secret


def secret_text(secret: Secret, key: str) -> str:
    """A secret, without the end of its line.

    Args:
        secret: Where it stands.
        key: Key of the configuration, for messages.

    Raises:
        SinkError: It cannot be read, or is empty.
    """
    if secret.env is not None:
        where, text = f"environment variable {secret.env}", os.environ.get(secret.env)
        if text is None:
            raise SinkError(f"{key}: {where} is not set")
    else:
        assert secret.file is not None, "checked with the rules"
        where = secret.file
        try:
            text = Path(secret.file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SinkError(f"{key}: {where} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    text = text.rstrip("\r\n")
    if not text or "\n" in text or "\r" in text:
        raise SinkError(f"{key}: {where} holds {'several lines' if text else 'nothing'}; one line is needed")
    return text
