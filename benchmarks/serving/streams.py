"""Streams: kills while 100,000 events of Kafka are answered, and rows per second beside the HTTP route."""

import json
import os
import random
import resource
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT
from benchmarks.page import table, verdict
from benchmarks.serving.effort import FULL, Effort
from benchmarks.serving.load import closed_loop
from benchmarks.serving.packages import one_row, small
from benchmarks.serving.servers import new_key, ours, request
from tests.lightning_app.serving.stream.broker import mock_broker
from tests.packages import COLUMNS, small_package

_EVENTS = {"full": 100_000, "quick": 400}
_SPEED_EVENTS = {"full": 30_000, "quick": 400}
"""A mock broker keeps 5 MiB of a partition."""
_KILLS = {"full": 20, "quick": 1}
_GROUP = ("--kafka", "session.timeout.ms=4000", "--kafka", "heartbeat.interval.ms=300", "--lease-seconds", "3")


@dataclass(frozen=True)
class _Run:
    """A worker from its first event to its last.

    Attributes:
        seconds: Between the lines `ready` and `draining` of its log.
        cpu: CPU seconds of the process, start included.
    """

    seconds: float
    cpu: float


def stream_kills(effort: Effort = FULL) -> str:
    """Kafka to Kafka while the worker is killed again and again: every event in the journal and in the output."""
    size = _size(effort)
    number, kills = _EVENTS[size], _KILLS[size]
    draws = random.Random(0)
    with tempfile.TemporaryDirectory() as place, mock_broker() as broker:
        folder = Path(place)
        package, journal = small_package(folder / "small"), folder / "journal.db"
        topic, out = broker.topic(), broker.topic()
        row = json.dumps(dict.fromkeys(COLUMNS, 0.5)).encode()
        broker.produce(topic, [row] * number, keys=[f"k{place % 100}" for place in range(number)])
        produced, stop = Counter[str](), threading.Event()
        reader = threading.Thread(target=_collect, args=(broker.address, out, produced, stop))
        reader.start()
        words = [
            *_words(package, journal, f"kafka://{broker.address}/{topic}?group=g"),
            *("--to", f"kafka://{broker.address}/{out}"),
            *_GROUP,
        ]
        began = time.perf_counter()
        for _ in range(kills):
            process = _started(words, folder)
            least = _count(journal) + draws.uniform(0, 0.9 * number / kills)
            while _count(journal) <= least and _count(journal) < number:
                time.sleep(0.01)
            time.sleep(draws.uniform(0, 0.1))
            process.send_signal(signal.SIGKILL)
            process.wait()
        process = _started([*words, "--until-idle", "--idle-seconds", "1"], folder)
        assert process.wait() == 0, (folder / "log").read_text()[-2000:]
        seconds = time.perf_counter() - began
        with closing(sqlite3.connect(journal)) as connection:
            ids = {name for (name,) in connection.execute("SELECT request_id FROM predictions")}
        stop.set()
        reader.join()
    missing = number - len(ids & produced.keys())
    again = sum(produced.values()) - len(produced)
    is_reached = len(ids) == number and produced.keys() == ids
    return (
        f"{number:,} events of one row of 4 columns in 4 partitions of librdkafka's mock broker, journal "
        f"in SQLite, output to another topic; {kills} SIGKILLs at random moments, {seconds:.0f} s with the pauses in "
        "which the group notices a death. A message that was produced but not marked when its worker died is produced "
        "again with the same id; consumers drop ids that they have seen.\n\n"
    ) + table(
        "|aim|measured|",
        f"events answered exactly once in the journal|{number:,}|{len(ids):,}|{verdict(is_reached)}",
        f"events without an output, or with another id|0|{missing:,}|{verdict(not missing)}",
        f"messages that were produced again, same id||{again:,}|",
    )


def stream_speed(effort: Effort = FULL) -> str:
    """Rows per second and CPU of a stream beside one worker of the server, both with their journal in SQLite."""
    number = _SPEED_EVENTS[_size(effort)]
    with tempfile.TemporaryDirectory() as place, mock_broker() as broker:
        folder = Path(place)
        package, key = small(folder / "small"), new_key(folder / "http")
        asked = request(folder / "http", one_row(), key=key)
        loads, runs = [], dict[str, list[_Run]]()
        for turn in range(effort.rounds):
            with ours(folder / "http", {"small": package}) as server:
                closed_loop(server, asked, seconds=max(1.0, effort.warm_up))
                loads.append(closed_loop(server, asked, seconds=effort.seconds))
            for name, words in _sources(broker.address, broker.topic(), broker.topic()).items():
                journal = folder / f"{name[:5]}-{turn}.db"
                _fill(words[1], journal, number, broker.produce, folder)
                runs.setdefault(name, []).append(_measured(package, journal, words, number, folder))
    rps = statistics.median(load.rps for load in loads)
    rows = [f"HTTP route, `wrk -t1 -c64`|{rps:,.0f}|{statistics.median(load.cpu_us for load in loads):.0f}|1.00x"]
    ratios = {}
    for name, measured in runs.items():
        speed = number / statistics.median(run.seconds for run in measured)
        cpu = 1e6 * statistics.median(run.cpu for run in measured) / number
        ratios[name] = speed / rps
        rows.append(f"{name}|{speed:,.0f}|{cpu:.0f}|{ratios[name]:.2f}x")
    return (
        f"Perceptron 32 -> 128 -> 3, one row of 32 floats as JSON in each request or event; one process each, journal "
        f"in SQLite. Medians of {effort.rounds} starts in turn, {number:,} events each; CPU with start and threads of "
        "librdkafka, without broker and client.\n\n"
        + table("|rows/s|CPU us per row|to HTTP", *rows)
        + "\n\n"
        + table(
            "|aim|measured|",
            *(f"rows/s, {name}|>= 2x|{ratio:.2f}x|{verdict(ratio >= 2)}" for name, ratio in ratios.items()),
        )
    )


def _collect(address: str, topic: str, produced: "Counter[str]", stop: threading.Event) -> None:
    """Counts the messages of a topic by their id, as they come: a mock broker keeps 5 MiB of a partition."""
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": address, "group.id": "reader", "log_level": 0})
    places = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, place, OFFSET_BEGINNING) for place in places])
    while True:
        messages = consumer.consume(1000, 1.0)
        if not messages and stop.is_set():
            break
        for message in messages:
            headers: Any = message.headers() or []
            produced[dict(headers)["request-id"].decode()] += 1
    consumer.close()


def _size(effort: Effort) -> str:
    return "full" if effort is FULL else "quick"


def _event() -> bytes:
    return json.dumps({"features": one_row()["columns"]["features"][0]}).encode()


def _sources(address: str, topic: str, out: str) -> dict[str, list[str]]:
    kafka = f"kafka://{address}/"
    return {
        "queue table": ["--from", "queue://events"],
        "queue table to queue table": ["--from", "queue://events", "--to", "queue://answers"],
        "Kafka to Kafka": ["--from", f"{kafka}{topic}?group={topic}", "--to", f"{kafka}{out}"],
    }


def _fill(source: str, journal: Path, number: int, produce: object, folder: Path) -> None:
    if source.startswith("kafka"):
        assert callable(produce)
        produce(source.rpartition("/")[2].partition("?")[0], [_event()] * number)
        return
    lines = folder / "events.jsonl"
    lines.write_bytes((_event() + b"\n") * number)
    put = [sys.executable, "-m", "lightning_app", "stream", "put", "events", str(lines)]
    subprocess.run([*put, "--journal", f"sqlite:///{journal}"], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


def _words(package: Path, journal: Path, source: str) -> list[str]:
    return [
        *(sys.executable, "-m", "lightning_app", "stream", str(package)),
        *("--from", source, "--journal", f"sqlite:///{journal}"),
    ]


def _started(words: Sequence[str], folder: Path) -> "subprocess.Popen[bytes]":
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            words,
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=log,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        )


def _measured(package: Path, journal: Path, words: Sequence[str], number: int, folder: Path) -> _Run:
    (folder / "log").unlink(missing_ok=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = _started([*_words(package, journal, words[1]), *words[2:], "--max-events", str(number)], folder)
    assert process.wait() == 0, (folder / "log").read_text()[-2000:]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    times: dict[str, datetime] = {}
    for line in (folder / "log").read_text().splitlines():
        if line.startswith("{"):
            said = json.loads(line)
            times[said["message"]] = datetime.fromisoformat(said["time"])
            if "partitions" in said["message"] and " came" in said["message"]:
                times["ready"] = times[said["message"]]  # the wait for the group is not counted
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return _Run((times["draining"] - times["ready"]).total_seconds(), cpu)


def _count(journal: Path) -> int:
    if not journal.exists():
        return 0
    try:
        with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True, timeout=5)) as connection:
            ((number,),) = connection.execute("SELECT count(*) FROM predictions")
    except sqlite3.OperationalError:  # it is just being made
        return 0
    return int(number)
