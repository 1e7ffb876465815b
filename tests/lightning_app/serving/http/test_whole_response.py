"""Responses leave in one system call."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from lightning_app.serving.http.whole_response import with_whole_responses


async def _whole(request: Request) -> Response:
    return Response(b"HTTP/1.1 is " + await request.body())


async def _stream(_: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        for part in (b"one", b"HTTP/1.1 two", b"three"):
            yield part

    return StreamingResponse(parts())


async def _broken(_: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        raise ValueError
        yield b""

    return StreamingResponse(parts())


APP = Starlette(
    routes=[Route("/whole", _whole, methods=["GET", "POST"]), Route("/stream", _stream), Route("/broken", _broken)]
)


def _exchange(socket_path: Path, request: bytes) -> bytes:
    """What a server answers to bytes until it closes the connection."""

    async def run() -> bytes:
        config = uvicorn.Config(
            APP,
            http=with_whole_responses(HttpToolsProtocol),
            uds=str(socket_path),
            log_level="critical",
            lifespan="off",
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.001)
        reader, writer = await asyncio.open_unix_connection(str(socket_path))
        writer.write(request)
        received = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        server.should_exit = True
        await serving
        return received

    return asyncio.run(run())


GET, CLOSE = b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n", b"GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
EXPECT = b"POST /whole HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\nyes"


@pytest.mark.parametrize(
    ("request_", "bodies"),
    [
        (GET % b"/whole" + GET % b"/stream" + CLOSE % b"/whole", [b"HTTP/1.1 is "] * 3),
        ((CLOSE % b"/whole").replace(b"GET", b"HEAD"), [b""]),
        (EXPECT, [b"HTTP/1.1 is yes"]),
    ],
    ids=["pipelined", "HEAD", "Expect"],
)
def test_every_response_arrives_as_it_was_written(tmp_path: Path, request_: bytes, bodies: list[bytes]) -> None:
    received = _exchange(tmp_path / "s", request_)
    assert received.count(b"HTTP/1.1 200 OK\r\n") == len(bodies)
    assert received.endswith(bodies[-1])
    assert (b"HTTP/1.1 100 Continue\r\n\r\n" in received) == (b"Expect" in request_)
    if b"/stream" in request_:
        assert b"3\r\none\r\nc\r\nHTTP/1.1 two\r\n5\r\nthree\r\n0\r\n\r\n" in received


def test_a_response_that_breaks_off_closes_the_connection(tmp_path: Path) -> None:
    assert b"0\r\n\r\n" not in _exchange(tmp_path / "s", GET % b"/broken")
