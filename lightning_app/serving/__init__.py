"""Serving: packages and registered models behind HTTP, with a journal of every answer."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightning_app.serving.client import (
        Answer,
        AsyncClient,
        Client,
        RequestRefusedError,
        ServingError,
        UnavailableError,
    )
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


def __getattr__(name: str) -> Any:
    """Public names, imported when they are used: a server needs no client, and a client no server."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "config.serve_config" if name == "ServeConfig" else "client"
    return getattr(import_module(f"{__name__}.{module}"), name)
