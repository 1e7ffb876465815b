"""Requests at a fixed rate, whether or not the server keeps up; latency counts from when a request was due.

usage: paced_load.py URL BODY_FILE CONTENT_TYPE KEY RATE SECONDS

A request that waits for a free connection, or that is sent late, has waited from its due time on: a server that stalls
is not spared the requests that would have come meanwhile (coordinated omission).
"""

import asyncio
import json
import selectors
import sys
import time
from collections import Counter, deque
from pathlib import Path
from urllib.parse import urlsplit

CONNECTIONS = 64
WARM_UP = 0.2
"""Share of the time whose requests do not count."""


class Connection(asyncio.Protocol):
    """One request at a time over a connection that is kept."""

    def __init__(self, load: "Load") -> None:
        self.load = load
        self.received = b""
        self.due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.load.free.append(self)

    def ask(self, due: float) -> None:
        self.due = due
        self.transport.write(self.load.request)

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, found, body = self.received.partition(b"\r\n\r\n")
        if not found:
            return
        lines = head.lower().split(b"\r\n")
        length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
        if len(body) < length:
            return
        self.received = b""
        self.load.answered(self, int(lines[0].split()[1]))

    def connection_lost(self, error: Exception | None) -> None:
        self.load.lost += 1


class Load:
    """Asks at a rate.

    Args:
        request: Bytes of one request.
        rate: Requests per second.
        seconds: For how long.
    """

    def __init__(self, request: bytes, rate: float, seconds: float) -> None:
        self.request = request
        self.rate = rate
        self.count = int(rate * seconds)
        self.free: deque[Connection] = deque()
        self.waiting: deque[float] = deque()
        self.latencies: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.lost = 0

    def answered(self, connection: Connection, status: int) -> None:
        self.latencies.append(time.perf_counter() - connection.due)
        self.statuses[status] += 1
        if self.waiting:
            connection.ask(self.waiting.popleft())
        else:
            self.free.append(connection)

    async def run(self) -> None:
        start = time.perf_counter()
        for number in range(self.count):
            due = start + number / self.rate
            while (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            if self.free:
                self.free.popleft().ask(due)
            else:
                self.waiting.append(due)
            if number % 64 == 63:
                await asyncio.sleep(0)  # answers are read even if the load is behind
        for _ in range(1000):
            if len(self.latencies) == self.count:
                break
            await asyncio.sleep(0.01)


async def measure(url: str, request: bytes, rate: float, seconds: float) -> dict[str, object]:
    parts = urlsplit(url)
    load = Load(request, rate, seconds)
    loop = asyncio.get_running_loop()
    for _ in range(CONNECTIONS):
        await loop.create_connection(lambda: Connection(load), parts.hostname, parts.port)
    began = time.perf_counter()
    await load.run()
    wall = time.perf_counter() - began
    counted = sorted(load.latencies[int(WARM_UP * len(load.latencies)) :])
    quantile = {f"p{q}_ms": 1e3 * counted[min(len(counted) - 1, int(q / 100 * len(counted)))] for q in (50, 95, 99)}
    unanswered = load.count - len(load.latencies)
    errors = sum(count for status, count in load.statuses.items() if status != 200) + unanswered
    return {"requests": load.count, "errors": errors, "rate": load.count / wall, "lost": load.lost, **quantile}


def main() -> None:
    url, body_file, content_type, key, rate, seconds = sys.argv[1:]
    body = Path(body_file).read_bytes()
    parts = urlsplit(url)
    authorization = f"Authorization: Bearer {key}\r\n" if key else ""
    head = (
        f"POST {parts.path or '/'}{'?' + parts.query if parts.query else ''} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n{authorization}\r\n"
    )
    # epoll waits whole milliseconds, which is the distance between two requests.
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    answer = loop.run_until_complete(measure(url, head.encode() + body, float(rate), float(seconds)))
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
