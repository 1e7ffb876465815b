"""Infer route: requests of the Open Inference Protocol over the path of all predictions."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from lightning_app.serving.http.answers import rounded
from lightning_app.serving.http.asgi import Receive, Scope, Send
from lightning_app.serving.http.bodies import JSON
from lightning_app.serving.http.errors import HttpError
from lightning_app.serving.http.predict_route import PredictRoute
from lightning_app.serving.http.request_head import RequestHead, fill_head, read_request_id, read_session
from lightning_app.serving.http.serving_state import ServingState
from lightning_app.serving.inference.loaded_model import Answer, LoadedModel
from lightning_app.serving.inference.model_request import ModelRequest
from lightning_app.serving.inference.stream_turn import StreamTurn
from lightning_app.serving.routing.served_model import Arm
from lightning_app.serving.v2.errors import ProtocolError
from lightning_app.serving.v2.infer_request import HEADER_LENGTH, InferRequest, read_infer_request
from lightning_app.serving.v2.infer_response import check_outputs, write_infer_response
from lightning_app.serving.v2.signature import signature_of

OCTETS = "application/octet-stream"
_ADDRESS = ["", "v2", "models"]
_HEADER_LENGTH = HEADER_LENGTH.lower().encode()


@dataclass(slots=True)
class InferHead(RequestHead):
    """Head of a request of the protocol.

    Attributes:
        version: Version in the address; None for the one that is served.
        header_length: Length of the JSON part; None if it is all of the body.
        infer: The request, once the body has been read.
    """

    version: str | None = None
    header_length: str | None = None
    infer: InferRequest | None = None


class InferRoute(PredictRoute):
    """Answers `/v2/models/{model}/infer` and `/v2/models/{model}/versions/{version}/infer`.

    Args:
        state: State of the worker.
    """

    route = "POST /v2/models/{name}/infer"

    def __init__(self, state: ServingState) -> None:
        super().__init__(state)
        self._limits = state.config.limits

    def read_head(self, scope: Scope) -> InferHead:
        """Reads headers, query and address."""
        head = InferHead("", version=scope["path_params"].get("version"))
        kept = []
        for name, value in scope["headers"]:
            if name == _HEADER_LENGTH:
                head.header_length = value.decode("latin-1")
            elif name != b"accept":  # the body says how its answer is written
                kept.append((name, value))
        fill_head(head, kept, scope["query_string"])
        for name, given in (("at", head.at), ("return_state", head.wants_state), ("session", head.session)):
            if given:
                raise HttpError(400, "bad_query", f"query: {name} given, which this protocol does not know", field=name)
        if head.media_type not in (JSON, OCTETS):
            raise HttpError(
                415, "media_type", f"Content-Type: {head.media_type!r} given, allowed: {JSON}, {OCTETS}",
                field="Content-Type",
            )  # fmt: skip
        if head.header_length is not None:  # for readers of the journal
            head.media_type = binary_media_type(head.header_length)
        return head

    def read_content(self, body: bytes, head: RequestHead) -> InferRequest:
        """Reads a body, and its id."""
        head = cast(InferHead, head)
        head.infer = infer = read_infer_request(body, head.header_length)
        if infer.id:
            request_id = read_request_id(infer.id, "id")
            if head.is_own_id and head.request_id != request_id:
                raise ProtocolError("id", f"{request_id!r} given, the header X-Request-Id has another one")
            head.request_id, head.is_own_id = request_id, True
        if infer.sequence is not None:
            head.session = read_session(infer.sequence, "sequence_id")
        if infer.timeout_us is not None:
            head.deadline_ms = min(infer.timeout_us / 1000, head.deadline_ms or math.inf)
        return infer

    def columns(self, content: Any, names: Sequence[str]) -> Mapping[str, Sequence[Any]]:
        """Tensors with one value per row."""
        inputs = cast(InferRequest, content).inputs
        held = {name: inputs[name] for name in names if name in inputs}
        of_rows = {name: array for name, array in held.items() if array.ndim and array.size == len(array)}
        return {name: _texts(array.ravel().tolist()) for name, array in of_rows.items()}

    def model_request(self, content: Any, head: RequestHead, model: LoadedModel) -> ModelRequest:
        """Checks the tensors of a request."""
        infer: InferRequest = content
        check_version(cast(InferHead, head).version, model)
        signature = signature_of(model)
        check_outputs(infer, signature.outputs)
        table, state, num_rows = signature.split(infer.inputs, self._state.models[model.name].config.entity)
        if num_rows > self._limits.rows:
            message = f"request: {num_rows:,} rows given, at most {self._limits.rows:,} are allowed"
            raise HttpError(413, "too_many_rows", message, field="request")
        request = ModelRequest(table, num_rows, state=state)
        if infer.sequence is not None:
            if state is not None:
                raise ProtocolError("parameters", "sequence_id given beside tensors of state; give one of them")
            assert head.own_session is not None
            request.turn = StreamTurn.of_sequence(
                model,
                self._state.sessions,
                request=head.request_id if head.is_own_id else None,
                num_rows=num_rows,
                sequence=head.own_session,
                starts=infer.sequence_start,
                ends=infer.sequence_end,
            )
            request.state = request.turn.before
        return request

    def may_fall_back(self, request: ModelRequest, model: LoadedModel) -> bool:  # noqa: ARG002
        """Not for models with state, of which every answer holds some that goes back to the same version."""
        return not model.package.manifest.state

    def encode(
        self,
        head: RequestHead,
        digits: int | None,
        answer: Answer,
        request: ModelRequest,  # noqa: ARG002
        arm: Arm,
    ) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        """Writes the tensors of an answer."""
        infer = cast(InferHead, head).infer
        assert infer is not None
        predictions = answer.predictions if digits is None else rounded(answer.predictions, digits)
        manifest = arm.model.package.manifest
        content, length = write_infer_response(
            signature_of(arm.model).answered(predictions, answer.state),
            infer,
            model=arm.model.name,
            version=arm.model.version,
            request_id=head.request_id,
            labels=manifest.labels,
            notes=answer.notes,
            degraded=answer.degraded,
        )
        if length is None:
            return content, [(b"content-type", JSON.encode())]
        return content, [(b"content-type", OCTETS.encode()), (_HEADER_LENGTH, b"%d" % length)]

    def refusal(self, error: Exception) -> HttpError | None:
        """What the protocol refuses itself is the client's mistake in writing, 400."""
        if isinstance(error, ProtocolError):
            return HttpError(400, "bad_request", str(error), field=error.field)
        return super().refusal(error)

    def refusal_body(self, refusal: HttpError, request_id: str) -> bytes:  # noqa: ARG002
        """An error as the protocol writes it."""
        return error_body(refusal.message)


class InferEndpoint:
    """ASGI application of the infer routes, whose address names the model.

    Args:
        state: State of the worker.
    """

    def __init__(self, state: ServingState) -> None:
        self._route = InferRoute(state)

    def takes(self, scope: Scope) -> bool:
        """Whether the address is one of an inference."""
        address = scope["path"].split("/")
        if address[:3] != _ADDRESS or address[-1] != "infer":
            return False
        if len(address) == 5:
            scope["path_params"] = {"model": address[3]}
        elif len(address) == 7 and address[4] == "versions":
            scope["path_params"] = {"model": address[3], "version": address[5]}
        else:
            return False
        return True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        await self._route(scope, receive, send, scope["path_params"]["model"])


def _texts(values: list[Any]) -> list[Any]:
    return [value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in values]


def binary_media_type(header_length: str) -> str:
    """Media type of a body with binary data, as the journal knows it.

    Args:
        header_length: Length of its JSON part.
    """
    return f"{OCTETS}; {HEADER_LENGTH.lower()}={header_length[:20]}"


def check_version(version: str | None, model: LoadedModel) -> None:
    """Raises unless a version in an address is the one that is served.

    Args:
        version: Version in the address; None for the one that is served.
        model: The version that is served.

    Raises:
        HttpError: It is another one.
    """
    if version is not None and version != ("" if model.version is None else str(model.version)):
        served = "one without a version" if model.version is None else f"version {model.version}"
        message = f"version: {version[:100]!r} given, {model.name} serves {served}"
        raise HttpError(404, "no_such_version", message, field="version")


def error_body(message: str) -> bytes:
    """An error of the protocol.

    Args:
        message: What is wrong.
    """
    return msgspec.json.encode({"error": message})
