"""Address of an OpenTelemetry collector, checked before anything is imported for it."""

import importlib.util
from urllib.parse import urlsplit

from lightning_app.errors import UsageError

_PATH = "/v1/traces"
_NEEDED = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")


def traces_address(endpoint: str) -> str:
    """Where spans are sent, for the address of a collector.

    Args:
        endpoint: e.g. `http://localhost:4318`; `/v1/traces` is appended unless it ends with it.

    Raises:
        UsageError: It is no address, or the extra `otel` is not installed.
    """
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(
            f"otlp_endpoint: {endpoint!r} is no address of a collector (OTLP over HTTP), e.g. http://localhost:4318"
        )
    if not all(_is_installed(name) for name in _NEEDED):
        raise UsageError("otlp_endpoint: traces need an extra: pip install 'lightning-r2p[otel]'")
    address = endpoint.rstrip("/")
    return address if address.endswith(_PATH) else address + _PATH


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # a package above it is missing
        return False
