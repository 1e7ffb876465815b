"""Receivers of alerts on the loopback: an HTTP server that can fail, and an SMTP server."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Request(NamedTuple):
    """What an HTTP server was sent."""

    path: str
    headers: dict[str, str]
    body: bytes


class WebReceiver:
    """Requests of an HTTP server, and how it answers the next ones: `answers`, then 200."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answers: list[Callable[[BaseHTTPRequestHandler], None] | int] = []
        self.url = ""


@contextmanager
def web_receiver() -> Iterator[WebReceiver]:
    """An HTTP server in a thread."""
    receiver = WebReceiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.requests.append(Request(self.path, headers, body))
            answer = receiver.answers.pop(0) if receiver.answers else 200
            if callable(answer):
                answer(self)
                return
            self.send_response(answer)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()


def with_header(status: int, name: str, value: str) -> Callable[[BaseHTTPRequestHandler], None]:
    """An answer with a header."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header(name, value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer
