"""DrainingServer: uvicorn's server, which closes no connection on which a request may be under way."""

import asyncio
import socket
import time
from collections.abc import Callable, Coroutine

import uvicorn
from typing_extensions import override

from lightning_app.serving.http.serving_state import ServingState

_LAST_SECONDS = 0.5
"""How long connections without a request stay open, so that their clients learn that they end."""


class DrainingServer(uvicorn.Server):
    """Server that announces its end on open connections before it closes them.

    uvicorn closes connections that wait for their next request at once; a client that has just sent it gets no answer.
    Here, requests are answered for another moment, each with `Connection: close`.

    Args:
        config: Configuration of uvicorn.
        state: State of the worker.

    Attributes:
        beside: Stops what else answers requests, at the same time.
    """

    beside: Callable[[], Coroutine[None, None, None]] | None = None

    def __init__(self, config: uvicorn.Config, state: ServingState) -> None:
        super().__init__(config)
        self._state = state

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops accepting connections, answers what comes on the open ones for a moment, then what is under way."""
        self._state.is_draining = True
        beside = None if self.beside is None else asyncio.create_task(self.beside())
        for server in self.servers:
            server.close()
        for one in sockets or []:
            one.close()
        headers = self.server_state.default_headers
        self.server_state.default_headers = [*headers, (b"connection", b"close")]
        end = time.monotonic() + _LAST_SECONDS
        while self.server_state.connections and time.monotonic() < end and not self.force_exit:
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)
        if beside is not None:
            await beside
