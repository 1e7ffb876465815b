"""Requests of the client: what is sent for each call, and what is made of the response."""

from collections.abc import Generator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from lightning_app.serving.client.answer import Answer
from lightning_app.serving.client.bodies import JSON, encode, to_json
from lightning_app.serving.client.retries import Call, Outcome, RetryPolicy, Send, Sleep, exchange, new_request_id

T = TypeVar("T")
Run = Generator[Send | Sleep, Outcome, T]
"""Steps that a client takes, and in the end what it returns."""


def predict(
    data: Any,
    policy: RetryPolicy,
    *,
    tables: Mapping[str, Any] | None,
    model: str | None,
    at: str | Sequence[str | datetime] | None,
    session: str | None,
    state: Any,
    return_state: bool,
    request_id: str | None,
) -> Run[Answer]:
    """Asks for predictions; the arguments are those of `Client.predict`."""
    body = encode(data, tables=tables, state=state)
    params: dict[str, str] = {}
    if at is not None:
        params["at"] = (
            at if isinstance(at, str) else ",".join(time if isinstance(time, str) else time.isoformat() for time in at)
        )
    if session is not None:
        params["session"] = session
    if return_state:
        params["return_state"] = "true"
    call = Call(
        method="POST",
        path="/predict" if model is None else f"/models/{quote(model, safe='')}/predict",
        request_id=request_id or new_request_id(),
        headers={"Content-Type": body.media_type, "Accept": body.media_type},
        params=params,
        content=body.content,
    )
    response = yield from exchange(call, policy)
    headers = response.headers
    answered_before = headers.get("X-Answered-Before") == "true"
    if body.media_type == JSON:
        content = msgspec.json.decode(response.content)
        return Answer(
            predictions=body.decode(content["predictions"]),
            model=content["model"],
            version=content["version"],
            digest=content["digest"],
            arm=content["arm"],
            request_id=content["request_id"],
            notes=tuple(content["notes"]),
            state=content.get("state"),
            answered_before=answered_before,
        )
    return Answer(
        predictions=body.decode(response.content),
        model=headers["X-Model"],
        version=int(headers["X-Model-Version"]) if headers["X-Model-Version"] else None,
        digest=headers["X-Model-Digest"],
        arm=headers["X-Arm"],
        request_id=headers["X-Request-Id"],
        notes=tuple(msgspec.json.decode(headers.get("X-Notes", "[]"))),
        answered_before=answered_before,
    )


def feedback(request_id: str, policy: RetryPolicy, *, row: int, outcome: Any, reward: float | None) -> Run[bool]:
    """Says what came of a prediction; the arguments are those of `Client.feedback`."""
    if outcome is None and reward is None:
        raise ValueError("feedback: an outcome or a reward needed")
    content: dict[str, Any] = {"request_id": request_id, "row": row}
    if outcome is not None:
        content["outcome"] = outcome
    if reward is not None:
        content["reward"] = reward
    call = Call(
        method="POST",
        path="/feedback",
        request_id=new_request_id(),
        headers={"Content-Type": JSON},
        params={},
        content=to_json(content),
    )
    response = yield from exchange(call, policy)
    return bool(msgspec.json.decode(response.content)["stored"])


def models(policy: RetryPolicy) -> Run[list[dict[str, Any]]]:
    """Asks which models are served."""
    call = Call(method="GET", path="/models", request_id=new_request_id(), headers={}, params={}, content=b"")
    response = yield from exchange(call, policy)
    listed: list[dict[str, Any]] = msgspec.json.decode(response.content)["models"]
    return listed


def ready(policy: RetryPolicy) -> Run[bool]:
    """Asks once whether every model can answer."""
    call = Call(method="GET", path="/health/ready", request_id=new_request_id(), headers={}, params={}, content=b"")
    outcome = yield Send(call, {}, min(policy.deadline, policy.timeout))
    return isinstance(outcome, httpx.Response) and outcome.is_success
