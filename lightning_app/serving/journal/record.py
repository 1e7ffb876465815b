"""Records of the journal: predictions that were answered, and outcomes that came later."""

from collections.abc import Sequence
from typing import Any

import msgspec


class Prediction(msgspec.Struct, kw_only=True, gc=False):
    """One answered request.

    Attributes:
        request_id: Id of the request, unique in the journal.
        time: When the request arrived, Unix seconds.
        model: Name of the model in addresses.
        version: Version in the registry; None for the folder of a package.
        digest: sha256 of the package's manifest.
        arm: Arm that answered, e.g. `champion`.
        probability: Probability with which the arm was chosen.
        entity: Key of the entity, if the model's config names its column.
        num_rows: Rows of the request.
        latency_ms: From the arrival of the body to the finished answer, in milliseconds.
        content_type: Media type of the body.
        body: Body of the request as it was sent, or with columns dropped or hashed.
        query: Query string of the request.
        answer_type: Media type of the answer.
        answer: Body of the answer as it was sent.
        features: Inputs of the model as an Arrow stream, where they were read from a store; None elsewhere.
        body_digest: First 16 bytes of a sha256 of the request; of its redacted form where columns are left out.
        key_id: Id of the API key; None without keys.
        degraded: Why the answer is not that of the model that was asked; None if it is.
        is_redacted: Whether the answer lacks what must not be written; set by the journal.
        experiment: Id of the experiment by which the arm was chosen; None without one.
    """

    request_id: str
    time: float
    model: str
    version: int | None
    digest: str
    arm: str
    probability: float
    entity: str | None
    num_rows: int
    latency_ms: float
    content_type: str
    body: bytes
    query: str
    answer_type: str
    answer: bytes
    features: bytes | None
    body_digest: bytes
    key_id: str | None
    degraded: str | None
    is_redacted: bool = False
    experiment: str | None = None


class Earlier(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the journal already holds under a request id.

    Attributes:
        body_digest: As of `Prediction`.
        model: Name of the model.
        version: Version that answered.
        digest: Digest of the package that answered.
        arm: Arm that answered.
        answer_type: Media type of the answer.
        answer: Body of the answer.
        is_redacted: Whether the answer lacks what must not be written, so that it cannot be sent again.
        degraded: As of `Prediction`.
    """

    body_digest: bytes
    model: str
    version: int | None
    digest: str
    arm: str
    answer_type: str
    answer: bytes
    is_redacted: bool = False
    degraded: str | None = None


class Shadow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a shadow would have answered to a request that another model answered.

    Attributes:
        request_id: Id of the request.
        time: When the shadow was asked, Unix seconds.
        model: Name of the model in addresses.
        version: Version of the shadow in the registry; None for the folder of a package.
        digest: sha256 of the shadow's manifest.
        latency_ms: Until its answer was finished, in milliseconds.
        answer_type: Media type of the answer.
        answer: Body of the answer, as that of the request was written; None if it failed.
        error: Why it failed.
    """

    request_id: str
    time: float
    model: str
    version: int | None
    digest: str
    latency_ms: float
    answer_type: str
    answer: bytes | None
    error: str | None


class Outcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What came of a prediction.

    Attributes:
        request_id: Request that was answered.
        row: Row of the request, from 0.
        time: When the feedback arrived, Unix seconds.
        outcome: True value; a number, a text, or a list for answers of several numbers. None if only a reward is known.
        reward: How good the answer was.
        key_id: Id of the API key; None without keys.
    """

    request_id: str
    row: int
    time: float
    outcome: msgspec.Raw | None
    reward: float | None
    key_id: str | None


def earlier_of(prediction: Prediction) -> Earlier:
    """What a prediction is to a later one with its id.

    Args:
        prediction: The first one.
    """
    return Earlier(
        body_digest=prediction.body_digest, model=prediction.model, version=prediction.version,
        digest=prediction.digest, arm=prediction.arm, answer_type=prediction.answer_type, answer=prediction.answer,
        is_redacted=prediction.is_redacted, degraded=prediction.degraded,
    )  # fmt: skip


def same_outcome(held: tuple[str | None, float | None], given: tuple[str | None, float | None]) -> bool:
    """Whether two outcomes are equal; 1 and 1.0 are, 1 and true are not.

    Args:
        held: Value as JSON, and reward, of one.
        given: The same of the other.
    """
    if held[1] != given[1] or (held[0] is None) != (given[0] is None):
        return False
    if held[0] is None or given[0] is None or held[0] == given[0]:
        return True
    first, second = (msgspec.json.decode(text) for text in (held[0], given[0]))
    return bool(first == second) and isinstance(first, bool) == isinstance(second, bool)


def outcome_of(row: Sequence[Any]) -> Outcome:
    """An outcome from its columns in a database.

    Args:
        row: Values in the order of the fields; the true value is JSON as text.
    """
    request_id, index, time, outcome, reward, key_id = row
    raw = None if outcome is None else msgspec.Raw(outcome.encode())
    return Outcome(request_id=request_id, row=index, time=time, outcome=raw, reward=reward, key_id=key_id)


def shadow_of(row: Sequence[Any]) -> Shadow:
    """The answer of a shadow from its columns in a database.

    Args:
        row: Values in the order of the fields.
    """
    return Shadow(**dict(zip(Shadow.__struct_fields__, row, strict=True)))
