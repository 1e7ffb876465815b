"""Serving: packages and registered models behind HTTP, with a journal of every answer."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightning_app.serving.client.answer import Answer
    from lightning_app.serving.client.async_client import AsyncClient
    from lightning_app.serving.client.client import Client
    from lightning_app.serving.client.errors import RequestRefusedError, ServingError, UnavailableError
    from lightning_app.serving.config.serve_config import ServeConfig

__all__ = [
    "Answer",
    "AsyncClient",
    "Client",
    "RequestRefusedError",
    "ServeConfig",
    "ServingError",
    "UnavailableError",
]

_MODULES = {
    "Answer": "client.answer",
    "AsyncClient": "client.async_client",
    "Client": "client.client",
    "RequestRefusedError": "client.errors",
    "ServeConfig": "config.serve_config",
    "ServingError": "client.errors",
    "UnavailableError": "client.errors",
}


def __getattr__(name: str) -> Any:
    """Public names, imported when they are used: a server needs no client, and a client no server."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
