"""Whole responses: head and body of a response leave in one system call, not in two.

uvicorn writes the head of a response when it is started and its body after it, and uvloop sends what is written at
once: two system calls and two packets for each answer, a third of the time of a small one.
"""

import asyncio
from typing import TypeAlias

from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_INTERIM = b"HTTP/1.1 100 "
_STATUS = b"HTTP/1."

Protocol: TypeAlias = type[HttpToolsProtocol]


def with_whole_responses(protocol: Protocol) -> Protocol:
    """A protocol that holds back the head of a response until its body is there.

    Args:
        protocol: A protocol of uvicorn.
    """

    class WholeResponses(protocol):  # type: ignore[valid-type, misc]
        @override
        def connection_made(self, transport: asyncio.Transport) -> None:
            self.held = _HeldTransport(transport)
            super().connection_made(transport)

        @override
        def on_headers_complete(self) -> None:
            super().on_headers_complete()
            if self.cycle is not None:
                self.cycle.transport = self.held

        @override
        def on_response_complete(self) -> None:
            self.held.flush()  # a response to HEAD has no body
            super().on_response_complete()

    return WholeResponses


class _HeldTransport:
    """What a response writes to: a transport that joins the head of a response to what follows it.

    Args:
        transport: Transport of the connection.
    """

    __slots__ = ("_head", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""

    def write(self, data: bytes) -> None:
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(_STATUS) and not data.startswith(_INTERIM):
            self._head = data
            return
        self._transport.write(data)

    def flush(self) -> None:
        if self._head:
            self.write(b"")

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()
