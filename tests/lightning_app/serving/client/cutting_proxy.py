"""A proxy that passes requests on, and cuts the connection before the answers to the first ones are passed back."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx


@contextmanager
def cutting_proxy(address: str, *, lost: int) -> Iterator[str]:
    """Address of a proxy that loses so many answers once the server has given them.

    Args:
        address: Address of the server.
        lost: Answers that are lost.
    """
    target = httpx.URL(address)
    left = [lost]

    def serve(client: socket.socket) -> None:
        with client, socket.create_connection((target.host, target.port)) as server, contextlib.suppress(OSError):
            while request := _message(client):
                server.sendall(request)
                answer = _message(server)
                if left[0]:
                    left[0] -= 1
                    return
                client.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)


def _message(connection: socket.socket) -> bytes:
    """A whole request or response; nothing at the end."""
    message = b""
    while b"\r\n\r\n" not in message:
        if not (part := connection.recv(65536)):
            return b""
        message += part
    head, _, body = message.partition(b"\r\n\r\n")
    lengths = [line.partition(b":")[2] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    while len(body) < int(lengths[0]):
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body
