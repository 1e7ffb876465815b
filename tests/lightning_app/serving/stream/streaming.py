"""Streams in tests: events in a queue, a worker here or in a process of its own, and what the journal holds then."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning_app.__main__ import main
from lightning_app.serving.journal.record import Prediction
from lightning_app.serving.journal.stores import open_database, open_reader
from lightning_app.serving.journal.stores.database import JournalDatabase
from lightning_app.serving.journal.stores.protocol import Selection
from lightning_app.serving.stream.event import Output
from lightning_app.serving.stream.tables import queue
from tests.conftest import CONFIGS
from tests.packages import COLUMNS

JSON = "application/json"
ROW = dict.fromkeys(COLUMNS, 0.5)
FAST = ("--linger-ms", "0", "--idle-seconds", "0.1")


def body(place: int) -> bytes:
    """A row; each place has one of its own."""
    return json.dumps({**ROW, "length": place / 8}).encode()


@contextmanager
def opened(url: str) -> Iterator[JournalDatabase]:
    """The database of a journal, which is made if it does not exist."""
    database = open_database(url)
    try:
        yield database
    finally:
        database.close()


def put(url: str, bodies: Iterable[bytes], *, name: str = "events", keys: Sequence[str] | None = None) -> None:
    """Puts JSON events into a queue."""
    listed = list(bodies)
    named = [None] * len(listed) if keys is None else keys
    with opened(url) as database, database.transaction():
        queue.put(database, name, [Output("", key, JSON, {}, one) for key, one in zip(named, listed, strict=True)])


def stream(package: Path, *words: str, journal: str, source: str = "queue://events") -> int:
    """Runs a worker in this process until nothing is left; its exit code."""
    return main(["stream", str(package), "--from", source, "--journal", journal, "--until-idle", *FAST, *words])


@contextmanager
def worker(package: Path, *words: str, journal: str, source: str, folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker in a process of its own, killed at the end if it still runs."""
    command = [sys.executable, "-m", "lightning_app", "stream", str(package), "--from", source, "--journal", journal]
    with (folder / "worker.log").open("ab") as log:
        process = subprocess.Popen(
            [*command, *words], stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": str(CONFIGS.parent)}
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def predictions(url: str) -> dict[str, Prediction]:
    """Predictions by request id; an id is there once, since the journal sees to that."""
    reader = open_reader(url)
    try:
        return {one.request_id: one for part in reader.predictions(Selection()) for one in part}
    finally:
        reader.close()


def answers(url: str) -> dict[str, Any]:
    """Predictions of each answer, by request id."""
    return {name: json.loads(one.answer)["predictions"] for name, one in predictions(url).items()}


def count(url: str, table: str) -> int:
    """Rows of a table."""
    with opened(url) as database:
        ((number,),) = database.execute(f"SELECT count(*) FROM {database.table(table)}")
        return int(number)
