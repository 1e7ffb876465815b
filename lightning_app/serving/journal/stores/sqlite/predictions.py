"""Predictions in SQLite: rows of several in one statement, and what the journal holds of earlier ones."""

import sqlite3
import time
from collections.abc import Mapping, Sequence
from functools import cache

from lightning_app.serving.journal.record import Earlier, Prediction, earlier_of
from lightning_app.serving.journal.stores.sqlite.schema import JSON, NUMBERS_PER_MICROSECOND

_COLUMNS = 17
_SIZES = (64, 32, 16, 8, 4, 2, 1)
"""Rows of one statement. A statement per row would give the GIL away, and wait for it, once per row."""
_EARLIER = (
    "SELECT p.request_id, p.body_digest, s.model, s.version, s.digest, s.arm, p.answer_type, p.answer, p.is_redacted, "
    "p.degraded FROM predictions AS p JOIN served AS s ON s.number = p.served WHERE p.request_id IN "
)

Served = tuple[str, int | None, str, str, str | None, str | None]
"""What many rows share: model, version, digest, arm, key id, experiment."""
Row = tuple[object, ...]


def next_number(connection: sqlite3.Connection, table: str) -> int:
    """Number of the next row of a table, larger than all before, also after the clock was set back.

    Args:
        connection: In a transaction.
        table: The table.
    """
    newest: int = connection.execute(f"SELECT max(number) FROM {table}").fetchone()[0] or 0
    return max(time.time_ns() // 1000 * NUMBERS_PER_MICROSECOND, newest + 1)


def rows_of(
    connection: sqlite3.Connection,
    predictions: Sequence[Prediction],
    known: Mapping[Served, int],
    new: dict[Served, int],
) -> list[Row]:
    """Rows of predictions, without their numbers.

    Args:
        connection: In a transaction.
        predictions: The predictions.
        known: Numbers of what is in `served`.
        new: Those that were looked up or made here; they are known once the transaction is committed.
    """
    return [_row(connection, prediction, known, new) for prediction in predictions]


def insert_rows(connection: sqlite3.Connection, rows: Sequence[Row]) -> int:
    """Inserts rows; returns how many were new.

    Args:
        connection: In a transaction.
        rows: Result of `rows_of`.
    """
    begin, inserted = 0, 0
    first = next_number(connection, "predictions")
    while begin < len(rows):
        size = next(size for size in _SIZES if size <= len(rows) - begin)
        values: list[object] = []
        for place in range(begin, begin + size):
            values.append(first + place)
            values.extend(rows[place])
        inserted += connection.execute(_insert_statement(size), values).rowcount
        begin += size
    return inserted


def read_earlier(connection: sqlite3.Connection, request_ids: Sequence[str]) -> dict[str, Earlier]:
    """What the journal holds under ids; those that it does not know are missing.

    Args:
        connection: The connection.
        request_ids: The ids.
    """
    earlier: dict[str, Earlier] = {}
    for begin in range(0, len(request_ids), 512):
        part = request_ids[begin : begin + 512]
        for held in connection.execute(f"{_EARLIER} ({', '.join('?' * len(part))})", part):
            earlier[held[0]] = Earlier(
                body_digest=held[1], model=held[2], version=held[3], digest=held[4], arm=held[5],
                answer_type=held[6] or JSON, answer=held[7], is_redacted=bool(held[8]),
                degraded=held[9],
            )  # fmt: skip
    return earlier


def without_earlier(
    connection: sqlite3.Connection, predictions: Sequence[Prediction], rows: Sequence[Row]
) -> tuple[dict[str, Earlier], list[Row]]:
    """What is there already, and the rows that are not.

    Args:
        connection: The connection.
        predictions: The predictions.
        rows: Their rows.
    """
    earlier = read_earlier(connection, [prediction.request_id for prediction in predictions])
    new: dict[str, Row] = {}
    for prediction, row in zip(predictions, rows, strict=True):
        if prediction.request_id in earlier:
            continue
        if prediction.request_id in new:
            earlier[prediction.request_id] = earlier_of(
                next(first for first in predictions if first.request_id == prediction.request_id)
            )
            continue
        new[prediction.request_id] = row
    return earlier, list(new.values())


def _row(
    connection: sqlite3.Connection, prediction: Prediction, known: Mapping[Served, int], new: dict[Served, int]
) -> Row:
    served: Served = (
        prediction.model, prediction.version, prediction.digest, prediction.arm, prediction.key_id,
        prediction.experiment,
    )  # fmt: skip
    number = known.get(served) or new.get(served)
    if number is None:
        number = new[served] = _served_number(connection, served)
    content_type, answer_type = prediction.content_type, prediction.answer_type
    return (
        prediction.request_id, prediction.time, number, prediction.probability, prediction.entity,
        prediction.num_rows, prediction.latency_ms, None if content_type == JSON else content_type,
        prediction.query or None, None if answer_type == JSON else answer_type, prediction.body_digest,
        prediction.degraded, prediction.body, prediction.answer, prediction.features,
        prediction.is_redacted or None,
    )  # fmt: skip


@cache
def _insert_statement(size: int) -> str:
    row = f"({', '.join('?' * _COLUMNS)})"
    return f"INSERT INTO predictions VALUES {', '.join([row] * size)} ON CONFLICT (request_id) DO NOTHING"


def _served_number(connection: sqlite3.Connection, served: Served) -> int:
    query = (
        "SELECT number FROM served WHERE model = ? AND version IS ? AND digest = ? AND arm = ? AND key_id IS ? "
        "AND experiment IS ?"
    )
    held = connection.execute(query, served).fetchone()
    if held:
        return int(held[0])
    insert = "INSERT INTO served (model, version, digest, arm, key_id, experiment) VALUES (?, ?, ?, ?, ?, ?)"
    number = connection.execute(insert, served).lastrowid
    assert number is not None
    return number
