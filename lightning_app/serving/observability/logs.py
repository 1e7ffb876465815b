"""Logs of a server: one JSON object per line on standard error, written by a thread of its own."""

import contextlib
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

REQUESTS = logging.getLogger("lightning_app.serving.requests")
_MOST_PATH = 200
"""Characters of a path that are logged."""
_ENCODER = msgspec.json.Encoder(enc_hook=str)


class JsonLines(logging.Formatter):
    """One JSON object per record; what is passed as `extra={"facts": {...}}` stands beside the message.

    Args:
        process: Name of the process, e.g. `supervisor` or `worker 0`.
    """

    def __init__(self, *, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return _ENCODER.encode(line).decode()


class LogQueue(logging.Handler):
    """A bounded queue in front of standard error: a reader that has stopped never stops the server.

    Args:
        size: Lines that wait at most; further ones are dropped and counted.
        on_dropped: Called for each dropped line.

    Attributes:
        dropped: Number of dropped lines.
    """

    def __init__(self, *, size: int = 10_000, on_dropped: Callable[[], None] | None = None) -> None:
        super().__init__()
        self.dropped = 0
        self._on_dropped = on_dropped
        self._said = 0
        self._lines: queue.Queue[str | None] = queue.Queue(size)
        self._writer = threading.Thread(target=self._write, name="log", daemon=True)
        self._writer.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queues a line, or drops it."""
        try:
            self._lines.put_nowait(self.format(record))
        except queue.Full:
            self._drop()

    def close(self) -> None:
        """Writes what waits, for at most a second."""
        super().close()  # first: Python closes the handlers that it still knows once more when it ends
        end = time.monotonic() + 1.0
        with contextlib.suppress(queue.Full):
            self._lines.put(None, timeout=1.0)
            self._writer.join(max(0.0, end - time.monotonic()))

    def _drop(self) -> None:
        self.dropped += 1
        if self._on_dropped is not None:
            self._on_dropped()

    def _write(self) -> None:
        descriptor = sys.__stderr__.fileno() if sys.__stderr__ is not None else 2
        while (line := self._lines.get()) is not None:
            if self.dropped > self._said:
                self._said = self.dropped
                record = logging.LogRecord(
                    __name__, logging.WARNING, __file__, 0, "log lines were dropped: %s so far", (self._said,), None
                )
                line = f"{self.format(record)}\n{line}"
            try:
                _write_all(descriptor, f"{line}\n".encode())
            except OSError:  # nobody reads any more
                self._drop()


def configure_logs(
    *, level: Literal["info", "debug"], process: str, on_dropped: Callable[[], None] | None = None
) -> LogQueue:
    """Sends the logs of this process, uvicorn's and Python's warnings to standard error.

    uvicorn has to be configured with `log_config=None` and `access_log=False`: requests are logged by `log_answer`.

    Args:
        level: `info` logs errors and changes, `debug` every request too.
        process: Name of the process in each line.
        on_dropped: Called for each dropped line.

    Returns:
        The handler; `close` writes what waits.
    """
    handler = LogQueue(on_dropped=on_dropped)
    handler.setFormatter(JsonLines(process=process))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    logging.getLogger("lightning_app").setLevel(level.upper())
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return handler


def log_answer(
    *,
    status: int,
    request_id: str,
    model: str | None,
    version: int | None,
    arm: str | None,
    num_rows: int,
    seconds: float,
    key_id: str | None,
    trace_id: str | None,
    code: str | None = None,
    error: BaseException | None = None,
) -> None:
    """Logs one answered request: refusals and failures always, others at `debug`. Never what was sent.

    Args:
        status: HTTP status of the answer.
        request_id: Id of the request.
        model: Name of the model; None if none was found.
        version: Version that answered.
        arm: Arm that answered.
        num_rows: Rows of the request.
        seconds: From the arrival of the request to its answer.
        key_id: Id of the API key.
        trace_id: Id of the trace.
        code: Code of the error that was answered.
        error: What failed, for a traceback; only where the server is to blame.
    """
    level = logging.ERROR if status >= 500 else logging.WARNING if status >= 400 else logging.DEBUG
    if not REQUESTS.isEnabledFor(level):
        return
    facts = {
        "request_id": request_id,
        "model": model,
        "version": version,
        "arm": arm,
        "status": status,
        "rows": num_rows,
        "latency_ms": round(seconds * 1000, 3),
        "key_id": key_id,
        "trace_id": trace_id,
    }
    if code is not None:
        facts["code"] = code
    message = "answered" if status < 400 else "refused" if status < 500 else "failed"
    REQUESTS.log(level, message, exc_info=error, extra={"facts": facts})


def log_refusal(
    *, status: int, code: str, method: str, path: str, request_id: str, key_id: str | None, error: BaseException | None
) -> None:
    """Logs a refusal or failure of a route that makes no predictions.

    Args:
        status: HTTP status of the answer.
        code: Code of the error that was answered.
        method: HTTP method.
        path: Path of the request, without its query.
        request_id: Id of the answer.
        key_id: Id of the API key.
        error: What failed; only where the server is to blame.
    """
    facts = {
        "request_id": request_id,
        "method": method,
        "path": path[:_MOST_PATH],
        "status": status,
        "key_id": key_id,
        "code": code,
    }
    level, message = (logging.ERROR, "failed") if status >= 500 else (logging.WARNING, "refused")
    REQUESTS.log(level, message, exc_info=error, extra={"facts": facts})


def _write_all(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]
