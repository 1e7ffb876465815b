"""Bounded protocol: HTTP/1.1 of uvicorn with limits on what a client may send, how slowly, and how often at once.

uvicorn with httptools bounds neither the size of headers nor the time that a client takes to send them. Here a request
that arrives whole costs a few comparisons; a timer runs only while one is incomplete.
"""

import asyncio
from asyncio.events import TimerHandle
from collections.abc import Callable
from typing import ClassVar

import httptools
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from lightning_app.serving.config.serve_config import Limits
from lightning_app.serving.security.refusal_error import RefusalError

_TARGET_BYTES = 8 * 2**10
_NUM_HEADERS = 100
_LINGER_SECONDS = 1.0
"""How long a refused client may go on sending: closing at once would reset the connection and lose the answer."""


def bounded_protocol(
    limits: Limits, *, on_refusal: Callable[[RefusalError], None] | None = None
) -> type["BoundedProtocol"]:
    """Makes the protocol class of a server, for uvicorn's option `http`.

    Args:
        limits: Bounds of clients.
        on_refusal: Called with each refusal, e.g. to count it.
    """

    class Bounded(BoundedProtocol):
        pass

    Bounded.limits = limits
    Bounded.on_refusal = None if on_refusal is None else staticmethod(on_refusal)
    return Bounded


class BoundedProtocol(HttpToolsProtocol):
    """One connection; use `bounded_protocol`.

    Attributes:
        limits: Bounds of clients.
        on_refusal: Called with each refusal.
    """

    limits: ClassVar[Limits] = Limits()
    on_refusal: ClassVar["staticmethod[[RefusalError], None] | None"] = None

    _timer: TimerHandle | None = None  # runs while a request is incomplete
    _write_timer: TimerHandle | None = None  # runs while the client does not read its answer
    _pending = False  # a request has begun and is not complete
    _in_headers = True  # its headers are not complete
    _is_refused = False  # what the client goes on to send is thrown away
    _earlier: tuple[RequestResponseCycle, ...] = ()  # answers under way while a later request is read
    _fed = 0  # bytes since the last complete request
    _num_body = 0
    _content_length: bytes | None = None
    _transfer_encoding: bytes | None = None
    _num_hosts = 0

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            self._is_refused = True
            refusal = RefusalError(
                503, "too_many_connections", f"over {self.limits.connections:,} connections are open"
            )
            self._report(refusal)
            transport.write(refusal.answer(b""))
            transport.close()
            return
        self._start_timer()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._stop_write_timer()
        for cycle in self._earlier:  # uvicorn stops the last request alone
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        self._unset_keepalive_if_required()
        self._fed += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # Nothing else is spoken here: the request is answered, and what follows it is no request.
            self._is_refused = True
            return
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._refuse(
                cause
                if isinstance(cause, RefusalError)
                else RefusalError(400, "malformed_request", "this is no valid HTTP/1.1")
            )
            return
        if self._pending:
            if self._in_headers and self._fed > self.limits.header_bytes:
                self._refuse(self._headers_too_large())
            elif self._timer is None:
                self._start_timer()
        elif self.cycle is None or self.cycle.response_complete:  # empty lines between requests
            self._start_timer()

    @override
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._pending = self._in_headers = True
        self._content_length = self._transfer_encoding = None
        self._num_body = self._num_hosts = 0

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name in _CHECKED:
            self._check_header(name, value)
        self.headers.append((name, value))

    def _check_header(self, name: bytes, value: bytes) -> None:
        if name == b"host":
            self._num_hosts += 1
        elif name == b"content-length":
            if self._content_length is not None:
                raise RefusalError(400, "malformed_request", "two headers Content-Length")
            self._content_length = value
        elif name == b"transfer-encoding":
            if self._transfer_encoding is not None or value.strip().lower() != b"chunked":
                raise RefusalError(501, "transfer_encoding", "of transfer encodings only chunked is known")
            self._transfer_encoding = value
        elif value.strip().lower() == b"100-continue":
            self.expect_100_continue = True

    @override
    def on_headers_complete(self) -> None:
        limits, length = self.limits, self._content_length
        if self._fed > limits.header_bytes and self._header_size() > limits.header_bytes:
            raise self._headers_too_large()
        if len(self.headers) > _NUM_HEADERS:
            raise RefusalError(
                431, "headers_too_large", f"{len(self.headers)} headers, at most {_NUM_HEADERS} are allowed"
            )
        if len(self.url) > _TARGET_BYTES:
            raise RefusalError(414, "address_too_long", f"the address has over {_TARGET_BYTES:,} bytes")
        if self._num_hosts != 1 and self.parser.get_http_version() == "1.1":
            raise RefusalError(400, "malformed_request", f"{self._num_hosts} headers Host, one is needed")
        has_body = self._transfer_encoding is not None
        if length is not None:
            if has_body:
                raise RefusalError(400, "malformed_request", "both Content-Length and Transfer-Encoding")
            if len(length) > 18 or int(length) > limits.body_bytes:
                raise self._body_too_large()
            has_body = length != b"0"
        if has_body and self.parser.should_upgrade():
            # httptools does not read the body of such a request: its bytes would be taken for the next one.
            raise RefusalError(
                400, "upgrade", "a body with the header Upgrade; send HTTP/1.1 without an upgrade to h2c"
            )
        if self.cycle is not None and not self.cycle.response_complete:
            self._earlier = (*(cycle for cycle in self._earlier if not cycle.response_complete), self.cycle)
        super().on_headers_complete()
        self._in_headers = False

    @override
    def on_body(self, body: bytes) -> None:
        self._num_body += len(body)
        if self._num_body > self.limits.body_bytes:
            raise self._body_too_large()
        super().on_body(body)

    @override
    def on_message_complete(self) -> None:
        self._pending = False
        self._fed = 0
        if self._timer is not None:
            self._stop_timer()
        super().on_message_complete()

    @override
    def on_response_complete(self) -> None:
        is_last = not self.pipeline
        super().on_response_complete()
        if self._is_refused and is_last:
            self._close_gently()

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(self.limits.body_seconds, self.transport.abort)

    @override
    def resume_writing(self) -> None:
        self._stop_write_timer()
        super().resume_writing()

    @override
    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        if self.transport.get_write_buffer_size():  # closing waits for a client that does not read
            self._write_timer = self.loop.call_later(self.limits.body_seconds, self.transport.abort)

    def _start_timer(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self.limits.body_seconds, self._time_is_up)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _time_is_up(self) -> None:
        self._timer = None
        if self.transport.is_closing():
            return
        if self.flow.read_paused:  # the server is slow, not the client
            self._start_timer()
        elif self._pending:
            seconds = f"{self.limits.body_seconds:g} s"
            self._refuse(RefusalError(408, "request_timeout", f"the request did not arrive within {seconds}"))
        else:
            self.transport.close()

    def _refuse(self, refusal: RefusalError) -> None:
        """Answers, unless an earlier answer is under way, and closes the connection."""
        self._is_refused = True
        self._stop_timer()
        self._report(refusal)
        cycle, is_own = self.cycle, not self._in_headers
        if self.pipeline or (cycle is not None and not is_own and not cycle.response_complete):
            self.pipeline.clear()  # the connection is closed after the answer to an earlier request
            return
        if cycle is not None and is_own and not cycle.response_complete:
            if cycle.response_started:
                self.transport.close()
                return
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.write(refusal.answer(self.url if self.headers is not None else b""))
        self._close_gently()

    def _close_gently(self) -> None:
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(_LINGER_SECONDS, self.transport.close)

    def _report(self, refusal: RefusalError) -> None:
        if self.on_refusal is not None:
            self.on_refusal(refusal)

    def _header_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _headers_too_large(self) -> RefusalError:
        message = f"the headers have over {self.limits.header_bytes:,} bytes"
        return RefusalError(431, "headers_too_large", message)

    def _body_too_large(self) -> RefusalError:
        message = f"body: at most {self.limits.body_bytes:,} bytes are allowed"
        return RefusalError(413, "too_large", message, field="body")


_CHECKED = frozenset((b"host", b"content-length", b"transfer-encoding", b"expect"))
