"""A real HTTP server that misbehaves as it is told, one connection after the other."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

GOOD = {
    "model": "waves",
    "version": 3,
    "digest": "ab",
    "arm": "champion",
    "request_id": "r",
    "predictions": [{"y": 1.5}],
    "notes": [],
}


@dataclass
class FlakyServer:
    """Its address, and the head of each request: its headers in lower case."""

    address: str
    heads: list[dict[str, str]] = field(default_factory=list)


Behaviour = Callable[[socket.socket], None]


def answers(status: int, content: object = GOOD, **headers: str) -> Behaviour:
    def behave(connection: socket.socket) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    return behave


def hangs_up(_: socket.socket) -> None:
    pass


def says_nothing(_: socket.socket) -> None:
    time.sleep(1)


def trickles(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(20):
        time.sleep(0.05)
        connection.sendall(b" ")


@contextmanager
def flaky_server(*behaviours: Behaviour) -> Iterator[FlakyServer]:
    """Treats each request in turn as told, and all further ones as the last."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = FlakyServer(f"http://127.0.0.1:{listening.getsockname()[1]}")

        def serve(connection: socket.socket) -> None:
            with connection, connection.makefile("rb") as file:
                if not file.readline():
                    return
                head: dict[str, str] = {}
                while line := file.readline().strip().decode():
                    name, _, value = line.partition(":")
                    head[name.lower()] = value.strip()
                file.read(int(head.get("content-length", 0)))
                server.heads.append(head)
                behave = behaviours[min(len(server.heads), len(behaviours)) - 1]
                with contextlib.suppress(OSError):  # the client may have gone
                    behave(connection)

        def accept() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield server
        listening.shutdown(socket.SHUT_RDWR)
