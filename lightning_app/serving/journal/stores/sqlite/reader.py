"""SqliteReader: reads a journal in a SQLite file, in short transactions, so that its WAL can start again."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from typing_extensions import override

from lightning_app.serving.journal.record import Outcome, Prediction, Shadow, outcome_of, shadow_of
from lightning_app.serving.journal.stores.protocol import DayCount, JournalReader, Selection
from lightning_app.serving.journal.stores.sqlite.schema import (
    CLOCK_SECONDS,
    JSON,
    NUMBERS_PER_MICROSECOND,
    connect,
    format_of,
    named_errors,
)

_SELECT = (
    "SELECT p.number, p.request_id, p.time, s.model, s.version, s.digest, s.arm, p.probability, p.entity, p.num_rows, "
    "p.latency_ms, p.content_type, p.body, p.query, p.answer_type, p.answer, p.features, p.body_digest, s.key_id, "
    "p.degraded, p.is_redacted, {experiment} AS experiment "
    "FROM predictions AS p JOIN served AS s ON s.number = p.served"
)
_DAYS = (
    "SELECT model, version, digest, arm, experiment, day, count(*), sum(num_rows), sum(outcomes), sum(degraded), "
    "sum(shadow) FROM (SELECT s.model, s.version, s.digest, s.arm, {experiment} AS experiment, "
    "date(p.time, 'unixepoch') AS day, p.num_rows, p.degraded IS NOT NULL AS degraded, {shadow} AS shadow, "
    "(SELECT count(*) FROM outcomes AS o WHERE o.request_id = p.request_id) AS outcomes "
    "FROM predictions AS p JOIN served AS s ON s.number = p.served) "
    "GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 6, 4, 5"
)
_FORMAT_1 = {"experiment": "NULL", "shadow": "0"}
_FORMAT_2 = {
    "experiment": "s.experiment",
    "shadow": "EXISTS (SELECT 1 FROM shadows AS h WHERE h.request_id = p.request_id)",
}
_IDS_AT_ONCE = 512


class SqliteReader(JournalReader):
    """A journal in a SQLite file.

    Args:
        path: The file.

    Raises:
        JournalError: The file cannot be opened.
        ValueError: It does not exist, or is no journal.
    """

    def __init__(self, path: Path) -> None:
        self.url = f"sqlite:///{path}"
        self._path = path
        self._connection = connect(path, timeout=5.0, create=False, upgrade=False)
        # A journal of format 1 is read as it is: who reads may have no right to write.
        self._has_shadows = format_of(self._connection) > 1
        self._columns = _FORMAT_2 if self._has_shadows else _FORMAT_1
        self._connection.execute("PRAGMA query_only=1")

    @override
    def predictions(self, selection: Selection, *, most_bytes: int = 2**24) -> Iterator[list[Prediction]]:
        conditions, values = ["p.number > :number"], {"number": 0}
        values |= {key: value for key, value in msgspec.structs.asdict(selection).items() if value is not None}
        if selection.model is not None:
            conditions.append("s.model = :model")
        if selection.version is not None:
            conditions.append("s.version = :version")
        if selection.since is not None:
            values["number"] = int((selection.since - CLOCK_SECONDS) * 1e6) * NUMBERS_PER_MICROSECOND
            conditions.append("p.time >= :since")
        if selection.until is not None:
            conditions.append("p.time < :until")
        query = f"{_SELECT.format(**self._columns)} WHERE {' AND '.join(conditions)} ORDER BY p.number"
        while True:
            part, size = [], 0
            with named_errors(self._path):
                cursor = self._connection.execute(query, values)
                for number, *row in cursor:
                    part.append(_prediction(row))
                    values["number"] = number
                    size += len(part[-1].body) + len(part[-1].answer) + 512
                    if size >= most_bytes:
                        break
                cursor.close()
            if not part:
                return
            yield part

    @override
    def outcomes(self, request_ids: Sequence[str]) -> dict[str, list[Outcome]]:
        found: dict[str, list[Outcome]] = {}
        columns = "request_id, row, time, outcome, reward, key_id"
        for row in self._of_requests(f"SELECT {columns} FROM outcomes", "request_id, row", request_ids):
            found.setdefault(str(row[0]), []).append(outcome_of(row))
        return found

    @override
    def shadows(self, request_ids: Sequence[str]) -> dict[str, Shadow]:
        if not self._has_shadows:
            return {}
        query = f"SELECT {', '.join(Shadow.__struct_fields__)} FROM shadows"
        shadows = (shadow_of(row) for row in self._of_requests(query, "number", request_ids))
        return {shadow.request_id: shadow for shadow in shadows}

    def _of_requests(self, query: str, order: str, request_ids: Sequence[str]) -> Iterator[tuple[object, ...]]:
        for begin in range(0, len(request_ids), _IDS_AT_ONCE):
            ids = request_ids[begin : begin + _IDS_AT_ONCE]
            whole = f"{query} WHERE request_id IN ({', '.join('?' * len(ids))}) ORDER BY {order}"
            with named_errors(self._path):
                yield from self._connection.execute(whole, ids).fetchall()

    @override
    def day_counts(self) -> list[DayCount]:
        with named_errors(self._path):
            rows = self._connection.execute(_DAYS.format(**self._columns)).fetchall()
        return [DayCount(**dict(zip(DayCount.__struct_fields__, row, strict=True))) for row in rows]

    @override
    def num_unknown_outcomes(self) -> int:
        query = (
            "SELECT count(*) FROM outcomes AS o WHERE NOT EXISTS "
            "(SELECT 1 FROM predictions AS p WHERE p.request_id = o.request_id)"
        )
        with named_errors(self._path):
            count: int = self._connection.execute(query).fetchone()[0]
        return count

    @override
    def num_bytes(self) -> int:
        files = (self._path.with_name(f"{self._path.name}{end}") for end in ("", "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    @override
    def close(self) -> None:
        self._connection.close()


def _prediction(row: Sequence[object]) -> Prediction:
    values = dict(zip(Prediction.__struct_fields__, row, strict=True))
    values["content_type"] = values["content_type"] or JSON
    values["answer_type"] = values["answer_type"] or JSON
    values["query"] = values["query"] or ""
    values["is_redacted"] = bool(values["is_redacted"])
    return Prediction(**values)  # type: ignore[arg-type]
