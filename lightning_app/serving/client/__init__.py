"""Client of a server."""

from lightning_app.serving.client.answer import Answer
from lightning_app.serving.client.client import AsyncClient, Client
from lightning_app.serving.client.errors import RequestRefusedError, ServingError, UnavailableError

__all__ = ["Answer", "AsyncClient", "Client", "RequestRefusedError", "ServingError", "UnavailableError"]
