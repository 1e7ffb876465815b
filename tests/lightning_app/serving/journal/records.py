"""Predictions and outcomes for tests."""

import os
import time
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from lightning_app.serving.journal.record import Outcome, Prediction, Shadow
from lightning_app.serving.journal.spill import SpillFile
from lightning_app.serving.journal.stores import open_store

_numbers = count()


def prediction(request_id: str | None = None, **fields: Any) -> Prediction:
    """A prediction of one row."""
    number = next(_numbers)
    defaults: dict[str, Any] = {
        "request_id": request_id or f"{time.time_ns():016x}-{os.getpid():x}-{number:x}",
        "time": time.time(),
        "model": "churn",
        "version": 3,
        "digest": "a" * 64,
        "arm": "champion",
        "probability": 1.0,
        "entity": f"customer-{number}",
        "num_rows": 1,
        "latency_ms": 1.5,
        "content_type": "application/json",
        "body": b'{"records":[{"age":41,"city":"Bern"}]}',
        "query": "",
        "answer_type": "application/json",
        "answer": b'{"predictions":[{"label":"stays","probability":0.9}]}',
        "features": None,
        "body_digest": b"0123456789abcdef",
        "key_id": "k1",
        "degraded": None,
    }
    return Prediction(**defaults | fields)


def outcome(request_id: str, value: bytes | None = b"1", *, row: int = 0, reward: float | None = None) -> Outcome:
    raw = None if value is None else msgspec.Raw(value)
    return Outcome(request_id=request_id, row=row, time=time.time(), outcome=raw, reward=reward, key_id=None)


def shadow(request_id: str, answer: bytes | None = b'{"predictions":[{"y":2}]}', **fields: Any) -> Shadow:
    """The answer of a shadow."""
    defaults: dict[str, Any] = {
        "time": time.time(),
        "model": "churn",
        "version": 4,
        "digest": "b" * 64,
        "latency_ms": 2.5,
        "answer_type": "application/json",
        "error": None,
    }
    return Shadow(request_id=request_id, answer=answer, **defaults | fields)


def empty_database(server: str) -> str:
    """A database of a test's own on a PostgreSQL server."""
    import psycopg

    name = f"journal_{time.time_ns()}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return server.rpartition("/")[0] + f"/{name}"


def write_example(file: str) -> None:
    """A journal with an outcome, and a spill file, in the working folder."""
    store = open_store(f"sqlite:///{file}")
    store.write([prediction("a"), prediction("b")])
    store.feedback([outcome("a", b"true")])
    store.close()
    spill = SpillFile(Path("journal-spill"), durable=False)
    spill.append([prediction("c")])
    spill.close()
