"""Feedback route: outcomes and rewards of answered predictions, at most once each, early or late."""

import time
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from lightning_app.serving.http.asgi import receive_body
from lightning_app.serving.http.bodies import JSON
from lightning_app.serving.http.errors import HttpError
from lightning_app.serving.http.json_body import decode_json
from lightning_app.serving.http.serving_state import ServingState
from lightning_app.serving.journal.errors import JournalError, JournalRecordError, RefusedOutcomeError
from lightning_app.serving.journal.record import Outcome

_MAX_BYTES = 2**20
_MAX_DEPTH = 8
"""Lists within lists of an outcome: more than any answer has."""


class Feedback(Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of a feedback.

    Attributes:
        request_id: Request that was answered.
        row: Row of the request, from 0.
        outcome: True value: a number, a text, true or false, or a list of them.
        reward: How good the answer was.
    """

    request_id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:-]{1,128}$(?!\n)")]
    row: Annotated[int, Meta(ge=0, lt=2**31)] = 0
    outcome: Any = msgspec.UNSET
    reward: float | None = None


def feedback_routes(state: ServingState) -> list[BaseRoute]:
    """Routes that take feedback.

    Args:
        state: State of the worker.
    """

    async def feedback(request: Request) -> Response:
        length = request.headers.get("content-length")
        body = await receive_body(
            request.receive,
            content_length=None if length is None else length.encode("latin-1"),
            max_bytes=min(_MAX_BYTES, state.config.limits.body_bytes),
        )
        given = read_feedback(body)
        if state.journal is None:
            raise HttpError(409, "no_journal", "the server writes no journal, so there is nothing to give feedback to")
        outcome = Outcome(
            request_id=given.request_id,
            row=given.row,
            time=time.time(),
            outcome=None if given.outcome is msgspec.UNSET else msgspec.Raw(msgspec.json.encode(given.outcome)),
            reward=given.reward,
            key_id=request.scope.get("key_id"),
        )
        try:
            status = await state.journal.feedback(outcome)
        except JournalError as error:
            message = "the feedback could not be journalled; try again"
            raise HttpError(503, "journal_down", message, retry_after=1) from error
        except RefusedOutcomeError as refusal:
            state.metrics.feedback(refusal.status)
            raise HttpError(422, "bad_request", str(refusal), field=refusal.field) from refusal
        except JournalRecordError as error:
            raise HttpError(422, "bad_request", "outcome: the journal cannot hold it", field="outcome") from error
        state.metrics.feedback(status)
        if status == "conflict":
            message = f"request_id: another outcome of row {given.row} is known already, and stays"
            raise HttpError(409, "feedback_conflict", message, field="request_id")
        known = status in ("stored", "same", "expired")
        content: dict[str, bool | str] = {"stored": status != "same", "prediction_known": known, "status": status}
        if status == "expired":
            content["note"] = "reward: it came too late, and is kept, but not counted"
        return Response(msgspec.json.encode(content), headers={"cache-control": "no-store"}, media_type=JSON)

    return [Route("/feedback", feedback, methods=["POST"])]


def read_feedback(body: bytes) -> Feedback:
    """Reads the body of a feedback.

    Args:
        body: UTF-8 JSON.

    Raises:
        HttpError: It is malformed; names the field.
    """
    content = decode_json(body)
    for name in content:
        if name not in Feedback.__struct_fields__:
            allowed = ", ".join(Feedback.__struct_fields__)
            raise HttpError(422, "bad_request", f"{name[:100]}: no such field, allowed: {allowed}", field=name[:100])
    if not _is_value(content.get("outcome"), _MAX_DEPTH):
        message = f"outcome: a value, or a list of values with at most {_MAX_DEPTH} levels, needed"
        raise HttpError(422, "bad_request", message, field="outcome")
    try:
        given = msgspec.convert(content, Feedback)
    except msgspec.ValidationError as error:
        message = str(error)
        field = message.partition("`$.")[2].partition("`")[0] or message.partition("field `")[2].partition("`")[0]
        raise HttpError(422, "bad_request", f"{field or 'body'}: {message}", field=field or "body") from error
    if (given.outcome is msgspec.UNSET or given.outcome is None) and given.reward is None:
        raise HttpError(422, "bad_request", "outcome: neither outcome nor reward given", field="outcome")
    if given.outcome is None:
        given.outcome = msgspec.UNSET
    return given


def _is_value(outcome: Any, depth: int) -> bool:
    if isinstance(outcome, list):
        return depth > 0 and all(_is_value(one, depth - 1) for one in outcome)
    return isinstance(outcome, str | float | int | bool | None)
