"""What both clients hand to httpx: arguments of a request, headers, trusted certificates."""

import ssl
from pathlib import Path
from typing import Any

from lightning_app.serving.client.retries import Send


def arguments_of(step: Send) -> dict[str, Any]:
    """Arguments of `httpx.Client.stream` and `httpx.AsyncClient.request`.

    Args:
        step: What is sent.
    """
    call = step.call
    return {
        "method": call.method,
        "url": call.path,
        "params": call.params,
        "headers": step.headers,
        "content": call.content,
        "timeout": step.timeout,
    }


def headers_of(key: str | None) -> dict[str, str]:
    """Headers of every request; answers are read as they come, so they must not be compressed.

    Args:
        key: API key; None without one.
    """
    headers = {"Accept-Encoding": "identity"}
    return headers if key is None else {**headers, "Authorization": f"Bearer {key}"}


def trusted(ca_file: str | Path | None) -> ssl.SSLContext:
    """Certificates that are trusted.

    Args:
        ca_file: File with them; None trusts those of the system, where httpx alone would trust those of certifi.
    """
    return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
