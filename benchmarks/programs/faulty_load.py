"""Requests at a fixed rate while a model fails: how many were answered within the deadline, and by whom.

usage: faulty_load.py URL BODY_FILE KEY RATE SECONDS DEADLINE_MS

Latency counts from when a request was due. There are more connections than requests can be open within the deadline.
"""

import asyncio
import json
import selectors
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from paced_load import Connection, Load

CONNECTIONS = 400


class Answers(Load):
    """Keeps each answer: when it was due, how long it took, its status, and why it is degraded."""

    def __init__(self, request: bytes, rate: float, seconds: float) -> None:
        super().__init__(request, rate, seconds)
        self.answers: list[tuple[float, float, int, str]] = []

    def answered(self, connection: Connection, status: int) -> None:
        self.answers.append((connection.due, time.perf_counter() - connection.due, status, connection.degraded))
        super().answered(connection, status)


class Told(Connection):
    """A connection that reads the header X-Degraded."""

    degraded = ""

    def data_received(self, data: bytes) -> None:
        if not self.received:
            _, found, rest = data.partition(b"x-degraded: ")
            self.degraded = rest.partition(b"\r\n")[0].decode() if found else ""
        super().data_received(data)


async def measure(url: str, request: bytes, rate: float, seconds: float, deadline_ms: float) -> dict[str, object]:
    parts = urlsplit(url)
    load = Answers(request, rate, seconds)
    loop = asyncio.get_running_loop()
    for _ in range(CONNECTIONS):
        await loop.create_connection(lambda: Told(load), parts.hostname, parts.port)
    began = time.perf_counter()
    await load.run()
    answers = sorted(load.answers)
    late = sum(took > deadline_ms / 1000 or status != 200 for _, took, status, _ in answers)
    bad = [due for due, _, _, degraded in answers if degraded]
    opened = [due for due, _, _, degraded in answers if degraded == "breaker"]
    during = [took for due, took, _, _ in answers if bad and bad[0] <= due <= bad[-1]]
    before = [took for due, took, _, _ in answers if not bad or due < bad[0]]
    reasons = sorted({degraded for _, _, _, degraded in answers if degraded})
    return {
        "requests": load.count,
        "unanswered": load.count - len(answers),
        "late": late,
        "statuses": {str(status): count for status, count in load.statuses.items()},
        "degraded": len(bad),
        "reasons": {reason: sum(degraded == reason for _, _, _, degraded in answers) for reason in reasons},
        "began_s": bad[0] - began if bad else None,
        "opened_s": opened[0] - bad[0] if opened else None,
        "lasted_s": bad[-1] - bad[0] if bad else None,
        "before_ms": _quantiles(before),
        "during_ms": _quantiles(during),
        "worst_ms": 1e3 * max((took for _, took, _, _ in answers), default=0.0),
    }


def _quantiles(seconds: list[float]) -> list[float | None]:
    ordered = sorted(seconds)
    return [1e3 * ordered[int(share * (len(ordered) - 1))] if ordered else None for share in (0.5, 0.99)]


def main() -> None:
    url, body_file, key, rate, seconds, deadline_ms = sys.argv[1:]
    body = Path(body_file).read_bytes()
    parts = urlsplit(url)
    head = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nAuthorization: Bearer {key}\r\nX-Deadline-Ms: {deadline_ms}\r\n\r\n"
    )
    # epoll waits whole milliseconds, which is half the distance between two requests.
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    answer = loop.run_until_complete(
        measure(url, head.encode() + body, float(rate), float(seconds), float(deadline_ms))
    )
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
