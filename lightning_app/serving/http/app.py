"""ServingApp: the ASGI application of a worker; predictions go straight to their route, all else through Starlette."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from lightning_app.serving.http.asgi import ClientGoneError, Receive, Scope, Send
from lightning_app.serving.http.bodies import JSON
from lightning_app.serving.http.errors import HttpError
from lightning_app.serving.http.feedback_route import feedback_routes
from lightning_app.serving.http.guarded_routes import guard
from lightning_app.serving.http.information_routes import information_routes
from lightning_app.serving.http.predict_route import PredictRoute
from lightning_app.serving.http.request_head import new_request_id
from lightning_app.serving.http.serving_state import ServingState
from lightning_app.serving.observability.logs import log_refusal
from lightning_app.serving.security.headers import ANSWER_HEADERS

_OWN = {name.decode(): value.decode() for name, value in ANSWER_HEADERS}
_PREFIX, _SUFFIX = "/models/", "/predict"
_CODES = {404: "no_such_route", 405: "method_not_allowed"}


class HotRoute(Protocol):
    """A route of another protocol that is not looked up by Starlette, which costs as much as a small prediction."""

    def takes(self, scope: Scope) -> bool:
        """Whether a POST request is its own; if so, its path parameters are in the scope.

        Args:
            scope: Of the ASGI application.
        """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request that it takes."""


class ServingApp:
    """ASGI application.

    Args:
        state: State of the worker.
        routes: Further routes, e.g. pages and other protocols.
        hot: Those of them that are asked first.
    """

    def __init__(self, state: ServingState, routes: list[BaseRoute], hot: Sequence[HotRoute] = ()) -> None:
        self._predict = PredictRoute(state)
        self._hot = tuple(hot)
        self._others = Starlette(
            routes=guard(
                [*_PREDICT_ROUTES, *information_routes(state), *feedback_routes(state), *routes], state.access
            ),
            exception_handlers={
                HTTPException: _http_exception,
                HttpError: _refusal,
                ClientGoneError: _gone,
                Exception: _unexpected,
            },
        )
        self._in_flight = state.metrics.in_flight

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, or one event of the server's life."""
        if scope["type"] != "http":
            await self._others(scope, receive, send)
            return
        self._in_flight.add(1)
        try:
            path: str = scope["path"]
            if scope["method"] == "POST":
                if path == _SUFFIX:
                    await self._predict(scope, receive, send, None)
                    return
                name = path[len(_PREFIX) : -len(_SUFFIX)]
                if path.endswith(_SUFFIX) and path.startswith(_PREFIX) and "/" not in name:
                    await self._predict(scope, receive, send, name)
                    return
                for route in self._hot:
                    if route.takes(scope):
                        await route(scope, receive, send)
                        return
            with suppress(Exception):  # Starlette raises it again after `_unexpected` has answered
                await self._others(scope, receive, send)
        finally:
            self._in_flight.add(-1)


async def _other_method(request: Request) -> Response:
    raise AssertionError(request.url.path)  # POST does not come here, other methods are refused before


_PREDICT_ROUTES = [Route(path, _other_method, methods=["POST"]) for path in (_SUFFIX, f"{_PREFIX}{{name}}{_SUFFIX}")]


def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    refusal = HttpError(error.status_code, _CODES.get(error.status_code, "refused"), str(error.detail))
    return _response(request, refusal, dict(error.headers or {}))


def _refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, HttpError)
    return _response(request, error, {})


def _gone(request: Request, error: Exception) -> Response:  # noqa: ARG001
    return Response(status_code=400)  # to nobody: the client has closed the connection


def _unexpected(request: Request, error: Exception) -> Response:
    """A bare 500: what went wrong is in the log, under the id of the answer."""
    return _response(request, HttpError(500, "internal", "the server failed on this request"), {}, error)


def _v2_body(refusal: HttpError) -> bytes:
    """The error as the Open Inference Protocol writes it, also where its routes were not reached."""
    return msgspec.json.encode({"error": refusal.message})


def _response(
    request: Request, refusal: HttpError, headers: dict[str, str], defect: Exception | None = None
) -> Response:
    request_id = new_request_id()
    log_refusal(
        status=refusal.status,
        code=refusal.code,
        method=request.method,
        path=request.url.path,
        request_id=request_id,
        key_id=request.scope.get("key_id"),
        error=defect,
    )
    return Response(
        _v2_body(refusal) if request.url.path.startswith("/v2/") else refusal.body(request_id),
        refusal.status,
        {**headers, **refusal.headers, **_OWN, "x-request-id": request_id},
        media_type=JSON,
    )
