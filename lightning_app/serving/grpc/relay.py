"""Relay: connections of the listening socket that all workers share, passed on to the gRPC server of this worker.

grpc binds its sockets itself. Over SO_REUSEPORT workers could share a port, but so could a second server of the same
user, in silence, and connections that wait for a worker that ends would be lost. The relay costs two copies in memory.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

from typing_extensions import override


class Relay:
    """Accepts connections.

    Args:
        path: Socket in the file system that the gRPC server listens on.
        most: Connections that may be open; more are closed at once.
        on_refused: Called for each of those.
    """

    def __init__(self, path: Path, *, most: int, on_refused: Callable[[], None]) -> None:
        self._path = path
        self._most = most
        self._on_refused = on_refused
        self._open: set[_Client] = set()

    def client(self) -> asyncio.Protocol:
        """Protocol of a connection that was accepted."""
        return _Client(self)

    def takes(self, client: "_Client") -> bool:
        """Whether a connection may stay; counts it.

        Args:
            client: The connection.
        """
        if len(self._open) >= self._most:
            self._on_refused()
            return False
        self._open.add(client)
        return True

    def forget(self, client: "_Client") -> None:
        """Counts a connection that was closed.

        Args:
            client: The connection.
        """
        self._open.discard(client)

    async def closed(self, *, seconds: float) -> None:
        """Waits until all connections are closed.

        Args:
            seconds: How long at most.
        """
        end = time.monotonic() + seconds
        while self._open and time.monotonic() < end:
            await asyncio.sleep(0.01)

    async def connect(self, server: "_Side") -> None:
        """Connects to the gRPC server.

        Args:
            server: That side of a connection.
        """
        await asyncio.get_running_loop().create_unix_connection(lambda: server, str(self._path))


class _Side(asyncio.Protocol):
    """One side of a connection, which writes what the other reads."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: _Side | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # those of uvloop are no subclasses

    @override
    def data_received(self, data: bytes) -> None:
        self.send_to_other(data)

    def send_to_other(self, data: bytes) -> None:
        if self.other is not None and self.other.transport is not None and not self.other.transport.is_closing():
            self.other.transport.write(data)

    @override
    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    @override
    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None and not self.other.transport.is_closing():
            self.other.transport.resume_reading()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


class _Client(_Side):
    """The side of the client, which may send before the other is connected."""

    def __init__(self, relay: Relay) -> None:
        super().__init__()
        self._relay = relay
        self._early: list[bytes] | None = []
        self._connecting: asyncio.Task[None] | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._relay.takes(self):
            self._connecting = asyncio.create_task(self._connect())
        else:
            transport.close()

    async def _connect(self) -> None:
        assert self.transport is not None
        other = _Side()
        other.other = self  # the server speaks first
        try:
            await self._relay.connect(other)
        except OSError:  # the server ends
            self.transport.close()
            return
        assert other.transport is not None
        early, self._early = self._early, None
        self.other = other
        if self.transport.is_closing():
            other.transport.close()
        elif early:
            other.transport.write(b"".join(early))
            self.transport.resume_reading()

    @override
    def data_received(self, data: bytes) -> None:
        if self._early is None:
            self.send_to_other(data)
            return
        self._early.append(data)
        assert self.transport is not None
        self.transport.pause_reading()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._relay.forget(self)
        super().connection_lost(exc)
