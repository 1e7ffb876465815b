"""PostgresStore: a journal in PostgreSQL that the workers of several machines write."""

import os
import time
from collections.abc import Sequence

import psycopg
from psycopg.errors import UniqueViolation
from typing_extensions import override

from lightning_app.serving.journal.errors import RefusedOutcomeError, without_password
from lightning_app.serving.journal.record import Earlier, Outcome, Prediction, earlier_of, same_outcome
from lightning_app.serving.journal.reward_limits import Answered, RewardLimits, check_reward
from lightning_app.serving.journal.stores.postgres.connection import PostgresConnection
from lightning_app.serving.journal.stores.postgres.predictions import copy_predictions, insert_new, read_earlier
from lightning_app.serving.journal.stores.protocol import NO_LIMITS, FeedbackStatus, JournalStore

_PRUNED_AT_ONCE = 2000


class PostgresStore(JournalStore):
    """A journal in a database of a PostgreSQL server.

    Args:
        url: Address of the database.
        create: Whether to make the tables if they do not exist.
        timeout: Seconds after which a server that does not answer is given up.

    Raises:
        JournalError: The server cannot be reached.
        ValueError: The address is malformed, or the journal is of a newer version.
    """

    def __init__(self, url: str, *, create: bool = True, timeout: float = 5.0) -> None:
        self.url = without_password(url)
        self._connection = PostgresConnection(url, create=create, timeout=timeout)
        self._connection.open()

    @override
    def write(self, predictions: Sequence[Prediction], *, wait: bool = True) -> dict[str, Earlier]:
        first: dict[str, Prediction] = {}
        for prediction in predictions:
            first.setdefault(prediction.request_id, prediction)
        earlier = self._connection.again_if_cut(lambda connection: _write(connection, list(first.values())))
        if len(first) < len(predictions):
            seen: set[str] = set()
            for prediction in predictions:
                if prediction.request_id in seen:
                    earlier.setdefault(prediction.request_id, earlier_of(first[prediction.request_id]))
                seen.add(prediction.request_id)
        return earlier

    @override
    def feedback(
        self, outcomes: Sequence[Outcome], *, limits: RewardLimits = NO_LIMITS
    ) -> list[FeedbackStatus | RefusedOutcomeError]:
        def work(connection: psycopg.Connection) -> list[FeedbackStatus | RefusedOutcomeError]:
            with connection.transaction():
                return [_feedback(connection, outcome, limits) for outcome in outcomes]

        return self._connection.again_if_cut(work)

    @override
    def salt(self) -> bytes:
        query = "SELECT value FROM lightning_app_journal WHERE key = 'salt'"
        row = self._connection.again_if_cut(lambda connection: connection.execute(query).fetchone())
        assert row is not None
        return bytes(row[0])

    @override
    def probe(self) -> None:
        query = (
            "INSERT INTO lightning_app_journal VALUES ('probed', %s) ON CONFLICT (key) DO UPDATE SET value = "
            "EXCLUDED.value"
        )
        self._connection.again_if_cut(lambda connection: connection.execute(query, (os.urandom(8),)))

    @override
    def prune(self, before: float) -> tuple[int, int]:
        counts = []
        for table in ("lightning_app_predictions", "lightning_app_outcomes"):
            query = (
                f"DELETE FROM {table} WHERE number IN (SELECT number FROM (SELECT number, written FROM {table} "
                "ORDER BY number LIMIT %s) AS oldest WHERE written < to_timestamp(%s))"
            )
            deleted = part = 0
            while not deleted or part == _PRUNED_AT_ONCE:
                part = self._connection.again_if_cut(
                    lambda connection: connection.execute(query, (_PRUNED_AT_ONCE, before)).rowcount  # noqa: B023
                )
                deleted += part
                if not part:
                    break
                time.sleep(0.001)
            counts.append(deleted)
        return counts[0], counts[1]

    @override
    def tidy(self) -> None:
        """Nothing: the server does that by itself."""

    @override
    def close(self) -> None:
        self._connection.close()


def _write(connection: psycopg.Connection, predictions: list[Prediction]) -> dict[str, Earlier]:
    try:
        copy_predictions(connection, predictions)
    except UniqueViolation:
        pass
    else:
        return {}
    with connection.transaction():
        # Who inserts the same id at this moment is waited for, and its row is seen after that.
        inserted = insert_new(connection, predictions)
        ids = [prediction.request_id for prediction in predictions]
        return read_earlier(connection, [one for one in ids if one not in inserted])


def _feedback(
    connection: psycopg.Connection, outcome: Outcome, limits: RewardLimits
) -> FeedbackStatus | RefusedOutcomeError:
    query = "SELECT time, num_rows, model FROM lightning_app_predictions WHERE request_id = %s"
    row = connection.execute(query, (outcome.request_id,)).fetchone()
    status: FeedbackStatus = "unknown"
    if row is not None:
        try:
            status = "expired" if check_reward(outcome, Answered(*row), limits) else "stored"
        except RefusedOutcomeError as refusal:
            return refusal
    text = None if outcome.outcome is None else bytes(outcome.outcome).decode()
    id_and_row = (outcome.request_id, outcome.row)
    insert = (
        'INSERT INTO lightning_app_outcomes (request_id, "row", time, outcome, reward, key_id) '
        'VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (request_id, "row") DO NOTHING'
    )
    values = (*id_and_row, outcome.time, text, outcome.reward, outcome.key_id)
    if connection.execute(insert, values).rowcount:
        return status
    query = 'SELECT outcome, reward FROM lightning_app_outcomes WHERE request_id = %s AND "row" = %s'
    held = connection.execute(query, id_and_row).fetchone()
    assert held is not None
    return "same" if same_outcome((held[0], held[1]), (text, outcome.reward)) else "conflict"
