"""PostgresReader: reads a journal in PostgreSQL through a cursor on the server."""

from collections.abc import Iterator, Sequence

import msgspec
from typing_extensions import override

from lightning_app.serving.journal.errors import without_password
from lightning_app.serving.journal.record import Outcome, Prediction, Shadow, outcome_of, shadow_of
from lightning_app.serving.journal.stores.postgres.schema import COLUMNS, connect, format_of, named_errors
from lightning_app.serving.journal.stores.protocol import DayCount, JournalReader, Selection

_DAYS = (
    "SELECT model, version, digest, arm, {experiment} AS experiment, "
    "to_char(to_timestamp(time) AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day, count(*), sum(num_rows)::int8, "
    "sum((SELECT count(*) FROM lightning_app_outcomes AS o WHERE o.request_id = p.request_id))::int8, "
    "count(degraded), count(*) FILTER (WHERE {shadow}) "
    "FROM lightning_app_predictions AS p GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 6, 4, 5"
)
_FORMAT_1 = {"experiment": "NULL::text", "shadow": "false"}
_FORMAT_2 = {
    "experiment": "experiment",
    "shadow": "EXISTS (SELECT 1 FROM lightning_app_shadows AS h WHERE h.request_id = p.request_id)",
}
_FEWEST_ROWS, _MOST_ROWS = 16, 1024


class PostgresReader(JournalReader):
    """A journal in a database of a PostgreSQL server.

    Args:
        url: Address of the database.

    Raises:
        JournalError: The server cannot be reached.
        ValueError: The address is malformed, or there is no journal.
    """

    def __init__(self, url: str) -> None:
        self.url = without_password(url)
        self._connection = connect(url, timeout=10.0, create=False, upgrade=False)
        with named_errors(self.url):
            # A journal of format 1 is read as it is: who reads may have no right to write.
            self._has_shadows = format_of(self._connection) > 1
            self._connection.execute("SET statement_timeout = 0")
        self._columns = COLUMNS if self._has_shadows else COLUMNS[:-1]

    @override
    def predictions(self, selection: Selection, *, most_bytes: int = 2**24) -> Iterator[list[Prediction]]:
        conditions = {"model": "model = %s", "version": "version = %s", "since": "time >= %s", "until": "time < %s"}
        given = {key: value for key, value in msgspec.structs.asdict(selection).items() if value is not None}
        where = " AND ".join(["true", *(conditions[key] for key in given)])
        query = f"SELECT {', '.join(self._columns)} FROM lightning_app_predictions WHERE {where} ORDER BY number"
        part: list[Prediction] = []
        size, num_rows = 0, _FEWEST_ROWS
        with (
            named_errors(self.url),
            self._connection.transaction(),
            self._connection.cursor("journal", binary=True) as cursor,
        ):
            cursor.execute(query, list(given.values()))
            while rows := cursor.fetchmany(num_rows):
                for row in rows:
                    part.append(Prediction(**dict(zip(self._columns, row, strict=True))))
                    size += len(part[-1].body) + len(part[-1].answer) + 512
                mean = size // len(part)
                num_rows = min(max(most_bytes // (4 * mean), _FEWEST_ROWS), _MOST_ROWS)
                if size >= most_bytes:
                    yield part
                    part, size = [], 0
        if part:
            yield part

    @override
    def outcomes(self, request_ids: Sequence[str]) -> dict[str, list[Outcome]]:
        query = (
            'SELECT request_id, "row", time, outcome, reward, key_id FROM lightning_app_outcomes '
            'WHERE request_id = ANY(%s) ORDER BY request_id, "row"'
        )
        found: dict[str, list[Outcome]] = {}
        with named_errors(self.url):
            for row in self._connection.execute(query, (list(request_ids),)):
                found.setdefault(row[0], []).append(outcome_of(row))
        return found

    @override
    def shadows(self, request_ids: Sequence[str]) -> dict[str, Shadow]:
        if not self._has_shadows:
            return {}
        query = (
            f"SELECT {', '.join(Shadow.__struct_fields__)} FROM lightning_app_shadows WHERE request_id = ANY(%s) "
            "ORDER BY number"
        )
        with named_errors(self.url):
            shadows = (shadow_of(row) for row in self._connection.execute(query, (list(request_ids),)))  # type: ignore[arg-type]
            return {shadow.request_id: shadow for shadow in shadows}

    @override
    def day_counts(self) -> list[DayCount]:
        query = _DAYS.format(**_FORMAT_2 if self._has_shadows else _FORMAT_1)
        with named_errors(self.url):
            rows = self._connection.execute(query).fetchall()  # type: ignore[arg-type]
        return [DayCount(**dict(zip(DayCount.__struct_fields__, row, strict=True))) for row in rows]

    @override
    def num_unknown_outcomes(self) -> int:
        query = (
            "SELECT count(*) FROM lightning_app_outcomes AS o WHERE NOT EXISTS "
            "(SELECT 1 FROM lightning_app_predictions AS p WHERE p.request_id = o.request_id)"
        )
        return self._number(query)

    @override
    def num_bytes(self) -> int:
        tables = ["lightning_app_predictions", "lightning_app_outcomes"]
        tables += ["lightning_app_shadows", "lightning_app_arm_counts"] if self._has_shadows else []
        return sum(self._number(f"SELECT pg_total_relation_size('{table}')") for table in tables)

    @override
    def close(self) -> None:
        self._connection.close()

    def _number(self, query: str) -> int:
        with named_errors(self.url):
            row = self._connection.execute(query).fetchone()  # type: ignore[arg-type]
        assert row is not None
        return int(row[0])
