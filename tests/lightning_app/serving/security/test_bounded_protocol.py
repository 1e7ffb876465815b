"""Bounded protocol: what bad clients send, over real sockets, and that good ones are answered."""

import asyncio
import json
import logging
import socket
import struct
import threading
import time
from contextlib import suppress
from random import Random

import pytest
import uvicorn

from lightning_app.serving.config.serve_config import Limits
from lightning_app.serving.http.whole_response import with_whole_responses
from lightning_app.serving.security.bounded_protocol import bounded_protocol

LIMITS = Limits(body_bytes=100_000, header_bytes=4096, body_seconds=0.6, connections=20)
OK = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


async def echo(scope, receive, send):
    """Answers with the size of the body; a path `/slow` waits first, `/large` answers with 40 MB."""
    if scope["path"] == "/slow":
        await asyncio.sleep(0.3)
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message["body"]), message["more_body"]
    body = bytes(40_000_000) if scope["path"] == "/large" else b"%d" % size
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def server():
    """A server in a thread; yields its address and the refusals. No client makes it log an error."""
    refusals, errors = [], []
    handler = logging.Handler(logging.ERROR)
    handler.emit = errors.append
    logging.getLogger("uvicorn.error").addHandler(handler)
    protocol = bounded_protocol(LIMITS, on_refusal=lambda refusal: refusals.append(refusal.status))
    protocol = with_whole_responses(protocol)  # as in a worker
    config = uvicorn.Config(
        echo,
        port=0,
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        server_header=False,
        timeout_keep_alive=1,
    )
    listening = socket.create_server(("127.0.0.1", 0))
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
    thread.start()
    yield listening.getsockname(), refusals
    running.should_exit = True
    thread.join(10)
    logging.getLogger("uvicorn.error").removeHandler(handler)
    assert not [error.getMessage() for error in errors]


def exchange(server, *parts, pause=0.0, until=b""):
    """Sends parts and returns everything that comes back until the server closes or `until` is in it."""
    with socket.create_connection(server[0], timeout=5) as client:
        for part in parts:
            try:
                client.sendall(part)
            except OSError:
                break
            time.sleep(pause)
        return _read(client, until)


def _read(client, until=b""):
    received = b""
    while not (until and until in received):
        part = client.recv(65536)
        if not part:
            break
        received += part
    return received


def post(body=b"", *headers):
    lines = [b"POST / HTTP/1.1", b"Host: a", *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


CHUNKED = b"Transfer-Encoding: chunked"


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        # headers
        ([b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 10_000 + b"\r\n\r\n"], 431),
        ([b"GET / HTTP/1.1\r\nHost: a\r\n"] + [b"X-%d: %s\r\n" % (i, b"x" * 500) for i in range(20)], 431),
        ([b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: 1\r\n" * 101 + b"\r\n"], 431),
        ([b"GET /" + b"x" * 10_000], 431),
        ([post(b"x" * 50_000, b"X: " + b"x" * 10_000, b"Content-Length: 50000")], 431),
        # bodies
        ([post(b"", b"Content-Length: 100001")], 413),
        ([post(b"", b"Content-Length: 100001", b"Expect: 100-continue")], 413),
        ([post(b"", b"Content-Length: " + b"9" * 19)], 413),
        ([post(b"", CHUNKED)] + [b"4000\r\n" + b"x" * 0x4000 + b"\r\n"] * 8, 413),
        # two readings of where a request ends
        ([post(b"0\r\n\r\n", b"Content-Length: 5", CHUNKED)], 400),
        ([post(b"0\r\n\r\n", CHUNKED, b"Content-Length: 5")], 400),
        ([post(b"ab", b"Content-Length: 2", b"Content-Length: 2")], 400),
        ([post(b"ab", b"Content-Length: 2", b"content-length: 1")], 400),
        ([post(b"ab", b"Content-Length: +2")], 400),
        ([post(b"ab", b"Content-Length: 2, 2")], 400),
        ([post(b"ab", b"Content-Length: 0x2")], 400),
        ([post(b"ab", b"Content-Length : 2")], 400),
        ([post(b"ab", b"Content-Length: ")], 400),
        ([post(b"ab", b"X: a\r\n Content-Length: 2", b"Content-Length: 2")], 400),
        ([post(b"0\r\n\r\n", b"Transfer-Encoding: xchunked")], (400, 501)),
        ([post(b"0\r\n\r\n", b"Transfer-Encoding: identity")], (400, 501)),
        ([post(b"0\r\n\r\n", b"Transfer-Encoding: chunked, identity")], (400, 501)),
        ([post(b"0\r\n\r\n", b"Transfer-Encoding: gzip, chunked")], (400, 501)),
        ([post(b"0\r\n\r\n", CHUNKED, CHUNKED)], (400, 501)),
        ([post(b"0\r\n\r\n", b"Transfer-Encoding : chunked")], 400),
        ([post(b"-1\r\n\r\n", CHUNKED)], 400),
        ([post(b"2\nab\n0\n\n", CHUNKED)], 400),
        ([post(b"f" * 20 + b"\r\n", CHUNKED)], 400),
        ([b"GET / HTTP/1.1\nHost: a\n\n"], 400),
        ([post(b"ab", b"Content-Length: 2", b"Connection: Upgrade", b"Upgrade: h2c")], 400),
        # no HTTP
        ([b"GET / HTTP/1.1\r\n\r\n"], 400),
        ([b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"], 400),
        ([b"GET / HTTP/9.9\r\nHost: a\r\n\r\n"], 400),
        ([b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"], 400),
        ([b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n"], 400),
        ([b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n"], 400),
        ([b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"], 400),
    ],
)
def test_requests_beyond_the_limits_are_refused_and_the_connection_closed(server, parts, status):
    received = exchange(server, *parts)
    head, _, body = received.partition(b"\r\n\r\n")
    allowed = status if isinstance(status, tuple) else (status,)
    assert received.startswith(tuple(b"HTTP/1.1 %d " % code for code in allowed)), received[:300]
    assert b"connection: close" in head
    assert b"no-store" in head
    assert json.loads(body)["error"]["code"]  # one answer, and nothing after it
    assert server[1][-1] in allowed


@pytest.mark.parametrize(
    ("parts", "bodies"),
    [
        ([OK], [b"0"]),
        ([OK[:10], OK[10:]], [b"0"]),
        ([post(b"x" * 100_000, b"Content-Length: 100000")], [b"100000"]),
        ([post(b"", b"Content-Length: 4"), b"ab", b"cd"], [b"4"]),
        ([post(b"2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n", CHUNKED)], [b"5"]),
        ([post(b"", b"Content-Length: 0")], [b"0"]),
        ([OK + OK + post(b"ab", b"Content-Length: 2")], [b"0", b"0", b"2"]),
        ([b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n" + post(b"ab", b"Content-Length: 2")], [b"0", b"2"]),
        ([b"GET / HTTP/1.1\r\nHost: a\r\nX-Empty:\r\nX-Other: b\r\n\r\n"], [b"0"]),
        ([b"GET / HTTP/1.0\r\n\r\n"], [b"0"]),
    ],
)
def test_requests_within_the_limits_are_answered(server, parts, bodies):
    received = exchange(server, *parts, pause=0.05, until=b"\r\n\r\n" + bodies[-1])
    assert [part.partition(b"\r\n\r\n")[2] for part in received.split(b"HTTP/1.1 200 OK")[1:]] == bodies


def test_a_body_is_asked_for_only_if_it_fits(server):
    head = post(b"", b"Content-Length: 2", b"Expect: 100-continue")
    with socket.create_connection(server[0], timeout=5) as client:
        client.sendall(head)
        assert _read(client, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"ab")
        assert _read(client, b"\r\n\r\n2").endswith(b"2")


@pytest.mark.parametrize(
    ("first", "drip"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n", b"X: 1\r\n"),
        (post(b"", b"Content-Length: 1000"), b"x"),
        (post(b"", CHUNKED), b"1\r\nx\r\n"),
    ],
)
def test_a_client_that_drips_is_closed_after_the_time_for_a_request(server, first, drip):
    start = time.monotonic()
    received = exchange(server, first, *[drip] * 12, pause=0.1)
    assert received.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - start < 4


@pytest.mark.parametrize("sent", [b"", b"\r\n", OK + b"\r\n"])
def test_a_connection_without_a_request_is_closed(server, sent):
    start = time.monotonic()
    received = exchange(server, sent)
    assert b"408" not in received
    assert time.monotonic() - start < 4


def test_a_second_request_that_is_refused_does_not_disturb_the_first_answer(server):
    slow = b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"
    received = exchange(server, slow + b"nonsense\r\n\r\n")
    assert received.count(b"HTTP/1.1") == 1
    assert received.endswith(b"\r\n\r\n0")
    received = exchange(server, slow + post(b"", b"Content-Length: 1000000"))
    assert received.endswith(b"\r\n\r\n0")


def test_an_upgrade_is_ignored_and_nothing_after_it_is_read(server):
    head = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    received = exchange(server, head + OK, OK)
    assert received.count(b"HTTP/1.1 200 OK") == 1


def test_an_upgrade_after_slow_requests_is_answered_in_its_turn(server):
    slow = b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"
    upgrade = b"GET /slow HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    assert exchange(server, slow + slow + upgrade).count(b"HTTP/1.1 200 OK") == 3


def test_a_client_that_leaves_while_several_requests_are_answered_is_no_error(server):
    slow = b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"
    for _ in range(3):
        with socket.create_connection(server[0], timeout=5) as client:
            client.sendall(slow + slow + slow)
            time.sleep(0.1)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # resets the connection
    time.sleep(0.5)  # the fixture looks at the log


@pytest.mark.parametrize("seed", range(4))
def test_damaged_requests_are_answered_or_closed_and_never_hang(server, seed):
    requests = [
        OK,
        post(b"hello worlds", b"Content-Length: 12", b"Expect: 100-continue"),
        post(b"5\r\nhello\r\n0\r\nTrailer: x\r\n\r\n", CHUNKED),
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nPRI * HTTP/2.0\r\n\r\n",
    ]
    pieces = [b"\r\n", b"\n", b"\x00", b"Content-Length: 5\r\n", b":", b"\xff", b"A" * 5000, b"%00", b"[", b"CONNECT "]
    random = Random(seed)
    for _ in range(10):
        data = bytearray(random.choice(requests) + random.choice(requests))
        for _ in range(random.randint(1, 4)):
            place = random.randrange(len(data))
            data[place : place + random.choice([0, 1, 6])] = random.choice(pieces)
        received = b""
        with suppress(ConnectionResetError):
            received = exchange(server, bytes(data))
        assert b" 500 " not in received


def test_connections_are_bounded(server):
    time.sleep(0.8)  # those of other tests
    open_ones = [socket.create_connection(server[0], timeout=5) for _ in range(LIMITS.connections)]
    try:
        time.sleep(0.1)
        assert exchange(server).startswith(b"HTTP/1.1 503 ")
    finally:
        for client in open_ones:
            client.close()
    time.sleep(0.1)
    assert exchange(server, OK, until=b"\r\n\r\n0").startswith(b"HTTP/1.1 200 ")


def test_a_client_that_does_not_read_its_answer_is_cut_off(server):
    with socket.create_connection(server[0], timeout=5) as client:
        client.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(1.2)
        try:
            received = len(_read(client))
        except ConnectionResetError:
            received = 0
    assert received < 40_000_000
