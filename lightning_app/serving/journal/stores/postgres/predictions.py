"""Predictions in PostgreSQL: copied in one go, and what the journal holds of earlier ones."""

from collections.abc import Sequence

import msgspec
import psycopg

from lightning_app.serving.journal.record import Earlier, Prediction
from lightning_app.serving.journal.stores.postgres.schema import COLUMNS, TYPES

_COPY = f"COPY lightning_app_predictions ({', '.join(COLUMNS)}) FROM STDIN (FORMAT BINARY)"
_INSERT = (
    f"INSERT INTO lightning_app_predictions ({', '.join(COLUMNS)}) VALUES ({', '.join(['%s'] * len(COLUMNS))}) "
    "ON CONFLICT (request_id) DO NOTHING"
)
_EARLIER = (
    "SELECT request_id, body_digest, model, version, digest, arm, answer_type, answer, is_redacted, degraded "
    "FROM lightning_app_predictions WHERE request_id = ANY(%s)"
)


def copy_predictions(connection: psycopg.Connection, predictions: Sequence[Prediction]) -> None:
    """Writes predictions whose ids are all new.

    Args:
        connection: The connection; in a transaction, or it is one of its own.
        predictions: The predictions.

    Raises:
        UniqueViolation: An id is there already; nothing was written.
    """
    with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        copy.set_types(TYPES)
        for prediction in predictions:
            copy.write_row(msgspec.structs.astuple(prediction))


def insert_new(connection: psycopg.Connection, predictions: Sequence[Prediction]) -> set[str]:
    """Writes those predictions whose ids are new; returns these ids.

    Args:
        connection: In a transaction.
        predictions: The predictions.
    """
    with connection.cursor(binary=True) as cursor:
        return {
            prediction.request_id
            for prediction in predictions
            if cursor.execute(_INSERT, msgspec.structs.astuple(prediction)).rowcount
        }


def read_earlier(connection: psycopg.Connection, request_ids: Sequence[str]) -> dict[str, Earlier]:
    """What the journal holds under ids; those that it does not know are missing.

    Args:
        connection: The connection.
        request_ids: The ids.
    """
    with connection.cursor(binary=True) as cursor:
        held = cursor.execute(_EARLIER, (list(request_ids),)).fetchall()
    return {
        row[0]: Earlier(
            body_digest=row[1], model=row[2], version=row[3], digest=row[4], arm=row[5], answer_type=row[6],
            answer=row[7], is_redacted=row[8], degraded=row[9],
        )
        for row in held
    }  # fmt: skip
