"""Webhook sink: posts JSON with the headers of Standard Webhooks: an id, a time and a signature."""

import base64
import binascii
import hmac
import http.client
import time
import urllib.error
import urllib.request
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from lightning_app.monitoring.alerts.message import Message
from lightning_app.monitoring.alerts.sinks.payloads import alertmanager_payload, own_payload, slack_payload
from lightning_app.monitoring.alerts.sinks.secret_text import secret_text
from lightning_app.monitoring.alerts.sinks.sink import SinkError
from lightning_app.monitoring.config.alert_sinks import Secret, WebhookSink
from lightning_app.version import __version__

_PAYLOADS = {"json": own_payload, "slack": slack_payload, "alertmanager": alertmanager_payload}
_PREFIX = "whsec_"
_TRIED_AGAIN = {408, 429}
_LONGEST_PAUSE = 3600.0


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """What is signed for one address is not posted to another."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class WebhookSender:
    """Posts messages to an address.

    A receiver knows a message that it has taken before by the header `webhook-id`.

    Args:
        config: Its configuration.
    """

    def __init__(self, config: WebhookSink) -> None:
        self._config = config
        self._opener = urllib.request.build_opener(_NoRedirects())

    def send(self, message: Message) -> str | None:
        """Posts a message.

        Args:
            message: The message.

        Raises:
            SinkError: It was not taken; final for a status from 400 on but 408, 429 and 5xx, and for redirects.
        """
        config = self._config
        url = secret_text(config.url, "url") if isinstance(config.url, Secret) else config.url
        body = _PAYLOADS[config.format](message)
        headers = {"Content-Type": "application/json", "User-Agent": f"lightning-app/{__version__}"}
        if config.format == "json":
            headers |= {"webhook-id": message.id, "webhook-timestamp": str(int(time.time()))}
        if config.secret is not None:
            key = _key(secret_text(config.secret, "secret"))
            headers["webhook-signature"] = signature(key, headers["webhook-id"], headers["webhook-timestamp"], body)
        if config.authorization is not None:
            headers["Authorization"] = secret_text(config.authorization, "authorization")
        self._post(url, body, headers)
        return None

    def _post(self, url: str, body: bytes, headers: dict[str, str]) -> None:
        place = _place(url)
        try:
            request = urllib.request.Request(url, data=body, headers=headers, method="POST")
            with self._opener.open(request, timeout=self._config.timeout_seconds) as answer:
                answer.read(1)  # what it says is of no interest, and may have no end
        except urllib.error.HTTPError as error:
            with error:
                is_final = error.code < 500 and error.code not in _TRIED_AGAIN
                pause = _seconds(error.headers.get("Retry-After")) if error.headers is not None else None
                raise SinkError(f"{place} answered {error.code}", is_final=is_final, pause=pause) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            # Their texts may hold the address, which may be a secret: so no cause either.
            raise SinkError(f"{place}: {_reason(error)}") from None


def signature(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    """Value of the header `webhook-signature`.

    Args:
        key: The secret.
        message_id: Header `webhook-id`.
        timestamp: Header `webhook-timestamp`.
        body: Body of the request.
    """
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, sha256).digest()).decode()


def _key(secret: str) -> bytes:
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error as error:
        raise SinkError(f"secret: begins with {_PREFIX}, but what follows is not base64") from error


def _place(url: str) -> str:
    """Scheme and host: the rest of an address may be a secret."""
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.hostname}"
    except ValueError:
        return "the address"


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError) or isinstance(getattr(error, "reason", None), TimeoutError):
        return "no answer in time"
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    named = getattr(inner, "verify_message", None) or getattr(inner, "strerror", None)
    return str(named) if named else type(inner).__name__


def _seconds(text: str | None) -> float | None:
    """`Retry-After` as a number of seconds; a date is not read."""
    return min(float(text), _LONGEST_PAUSE) if text is not None and text.isdecimal() else None
