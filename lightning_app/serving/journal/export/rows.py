"""Rows of one prediction: request, answer and outcomes side by side, or as lists where rows do not correspond."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa

from lightning_app.serving.journal.export.columns import array_of, as_lists
from lightning_app.serving.journal.export.decode import (
    Decoded,
    Table,
    UndecodedError,
    Values,
    decode_answer,
    decode_request,
    decode_stream,
)
from lightning_app.serving.journal.record import Outcome, Prediction, Shadow

META = "journal."
"""Prefix of what the journal knows of a row, while the columns of all requests are not known yet."""
META_TYPES = {
    "request_id": pa.string(),
    "row": pa.int64(),
    "time": pa.timestamp("us", "UTC"),
    "model": pa.string(),
    "version": pa.int64(),
    "digest": pa.string(),
    "arm": pa.string(),
    "probability": pa.float64(),
    "entity": pa.string(),
    "latency_ms": pa.float64(),
    "experiment": pa.string(),
    "degraded": pa.string(),
}
OF_PREDICTION = tuple(name for name in META_TYPES if name not in ("request_id", "row", "time"))
"""Columns that are fields of `Prediction`."""
SHADOW_TYPES = {
    "shadow_version": pa.int64(),
    "shadow_digest": pa.string(),
    "shadow_latency_ms": pa.float64(),
    "shadow_error": pa.string(),
}
"""What the journal knows of the shadow's answer; the answer itself has columns of its own."""
PREDICTION, INPUT, SHADOW = "prediction.", "input.", "shadow."
OUTCOME, REWARD, OUTCOME_TIME = f"{META}outcome", f"{META}reward", f"{META}outcome_time"
OUTCOME_TIME_TYPE = pa.timestamp("us", "UTC")
NUMBER = "row"
"""Column by which answers name rows of the request, from 0."""
OWN_KEYS = frozenset(("series", "channel", "time", "origin", "document", "graph_id"))
"""Columns by which answers name rows that the request does not have, e.g. future times of a forecast."""


class Rows(msgspec.Struct):
    """Rows of one prediction.

    Attributes:
        columns: The columns.
        num_rows: Number of rows: one if they are lists.
        is_listed: Whether the columns hold lists.
        num_unmatched: Outcomes of rows that the answer does not have.
    """

    columns: Table
    num_rows: int
    is_listed: bool
    num_unmatched: int


def rows_of(prediction: Prediction, outcomes: Sequence[Outcome], shadow: Shadow | None = None) -> Rows:
    """Rows of a prediction.

    Args:
        prediction: The prediction.
        outcomes: Its outcomes.
        shadow: What a shadow answered.

    Raises:
        UndecodedError: Its request or its answer cannot be taken apart into columns.
    """
    request = decode_request(prediction.body, prediction.content_type)
    answer = decode_answer(prediction.answer, prediction.answer_type)
    inputs = Decoded({}, answer.num_rows) if prediction.features is None else decode_stream(prediction.features)
    of_shadow = _shadow_answer(shadow, answer.num_rows)
    is_listed = not _by_row(request, answer)
    columns: Table = {}
    for prefix, part in (("", request), (PREDICTION, answer), (INPUT, inputs), (SHADOW, of_shadow)):
        for name, values in part.columns.items():
            is_whole = is_listed or part.num_rows != answer.num_rows
            columns[prefix + name] = _in_one(values) if is_whole else values
    num_rows = 1 if is_listed else answer.num_rows
    for prefix, part in ((INPUT, inputs), (SHADOW, of_shadow)):
        if not is_listed and part.num_rows != answer.num_rows:
            for name in part.columns:  # prepared otherwise than row by row: all of them beside each row
                columns[prefix + name] = pa.concat_arrays([columns[prefix + name]] * num_rows)
    of_rows = _outcomes(outcomes, answer.num_rows, is_listed=is_listed)
    meta: Table = {
        "request_id": [prediction.request_id] * num_rows,
        "row": list(range(num_rows)),
        "time": [datetime.fromtimestamp(prediction.time, UTC)] * num_rows,
    }
    for name in OF_PREDICTION:
        meta[name] = [getattr(prediction, name)] * num_rows
    if shadow is not None:
        meta |= {name: [getattr(shadow, name.removeprefix("shadow_"))] * num_rows for name in SHADOW_TYPES}
    learned: Table = {OUTCOME: of_rows.values, REWARD: of_rows.rewards, OUTCOME_TIME: of_rows.times}
    whole = {META + name: values for name, values in meta.items()} | columns | learned
    return Rows(whole, num_rows, is_listed, of_rows.num_unmatched)


def _shadow_answer(shadow: Shadow | None, num_rows: int) -> Decoded:
    """Columns of a shadow's answer; none if it failed, or is no table."""
    if shadow is None or shadow.answer is None:
        return Decoded({}, num_rows)
    try:
        return decode_answer(shadow.answer, shadow.answer_type)
    except UndecodedError:
        return Decoded({}, num_rows)


def _by_row(request: Decoded, answer: Decoded) -> bool:
    """Whether each row of the answer belongs to the row of the request at its place."""
    if request.num_rows != answer.num_rows:
        return False
    if NUMBER in answer.columns and NUMBER not in request.columns:  # features answer the rows of a table by number
        return _listed(answer.columns[NUMBER]) == list(range(answer.num_rows))
    for name, values in answer.columns.items():
        if name in request.columns:
            if _listed(values) != _listed(request.columns[name]) and _texts(values) != _texts(request.columns[name]):
                return False
        elif name in OWN_KEYS:
            return False
    return True


def _listed(values: Values) -> list[Any]:
    return values if isinstance(values, list) else values.to_pylist()


def _texts(values: Values) -> list[str]:
    """Values as JSON would show them: times come as texts and go as times, with or without a `T`."""
    return [str(value).replace("T", " ") for value in _listed(values)]


def _in_one(values: Values) -> pa.Array:
    array = array_of(values) if isinstance(values, list) else values
    return as_lists(array, len(array)) if len(array) else pa.ListArray.from_arrays(pa.array([0, 0], pa.int32()), array)


class _OutcomesOfRows(NamedTuple):
    values: list[Any]
    rewards: list[Any]
    times: list[Any]
    num_unmatched: int


def _outcomes(outcomes: Sequence[Outcome], num_rows: int, *, is_listed: bool) -> _OutcomesOfRows:
    """Outcomes of the exported rows; of a row with lists, the time at which the last of its outcomes arrived."""
    values: list[Any] = [None] * num_rows
    rewards: list[Any] = [None] * num_rows
    times: list[Any] = [None] * num_rows
    num_unmatched = 0
    for outcome in outcomes:
        if not 0 <= outcome.row < num_rows:
            num_unmatched += 1
            continue
        values[outcome.row] = None if outcome.outcome is None else msgspec.json.decode(outcome.outcome)
        rewards[outcome.row] = outcome.reward
        times[outcome.row] = datetime.fromtimestamp(outcome.time, UTC)
    if not is_listed:
        return _OutcomesOfRows(values, rewards, times, num_unmatched)
    last = [max((time for time in times if time is not None), default=None)]
    is_whole = num_rows == 1 or not values or values[0] is None or isinstance(values[0], list)
    if is_whole and all(outcome.row == 0 for outcome in outcomes):  # a list for the whole answer
        return _OutcomesOfRows(values[:1] or [None], rewards[:1] or [None], last, num_unmatched)
    return _OutcomesOfRows([values], [rewards], last, num_unmatched)
