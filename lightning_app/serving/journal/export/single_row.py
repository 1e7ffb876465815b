"""Single rows in JSON, the usual request: taken apart in a tenth of the time that any body takes."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from lightning_app.serving.journal.export.decode import JSON
from lightning_app.serving.journal.export.rows import META, OUTCOME, OUTCOME_TIME, OWN_KEYS, PREDICTION, REWARD
from lightning_app.serving.journal.record import Outcome, Prediction


class _Request(msgspec.Struct):
    records: list[dict[str, Any]]


class _Answer(msgspec.Struct):
    predictions: list[dict[str, Any]]


_request = msgspec.json.Decoder(_Request)
_answer = msgspec.json.Decoder(_Answer)


def single_row(prediction: Prediction, outcomes: Sequence[Outcome]) -> dict[str, Any] | None:
    """The row of a prediction, as `rows_of` gives it; None if it needs `rows_of`.

    Args:
        prediction: The prediction.
        outcomes: Its outcomes.
    """
    if prediction.content_type != JSON or prediction.answer_type != JSON or prediction.features is not None:
        return None
    if len(outcomes) > 1 or (outcomes and outcomes[0].row != 0):
        return None
    try:
        records = _request.decode(prediction.body).records
        answers = _answer.decode(prediction.answer).predictions
    except (msgspec.DecodeError, ValueError):
        return None
    if len(records) != 1 or len(answers) != 1:
        return None
    record, answer = records[0], answers[0]
    if not record.keys().isdisjoint(answer) or not OWN_KEYS.isdisjoint(answer):
        return None  # which may name rows of their own
    row = {
        f"{META}request_id": prediction.request_id,
        f"{META}row": 0,
        f"{META}time": datetime.fromtimestamp(prediction.time, UTC),
        f"{META}model": prediction.model,
        f"{META}version": prediction.version,
        f"{META}digest": prediction.digest,
        f"{META}arm": prediction.arm,
        f"{META}probability": prediction.probability,
        f"{META}entity": prediction.entity,
        f"{META}latency_ms": prediction.latency_ms,
        f"{META}experiment": prediction.experiment,
        f"{META}degraded": prediction.degraded,
        **record,
        OUTCOME: None,
        REWARD: None,
        OUTCOME_TIME: None,
    }
    for name, value in answer.items():
        row[PREDICTION + name] = value
    for outcome in outcomes:
        row[OUTCOME] = None if outcome.outcome is None else msgspec.json.decode(outcome.outcome)
        row[REWARD] = outcome.reward
        row[OUTCOME_TIME] = datetime.fromtimestamp(outcome.time, UTC)
    return row
