"""Guarded routes: the scope that a key needs for each route besides predictions; one that is not listed needs admin."""

from collections.abc import Iterable
from typing import Literal, TypeAlias

from starlette.datastructures import Headers
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from lightning_app.serving.http.asgi import Receive, Scope, Send
from lightning_app.serving.http.errors import http_error
from lightning_app.serving.security.access import Access
from lightning_app.serving.security.access_error import AccessError
from lightning_app.serving.security.key_file import Scope as KeyScope

Need: TypeAlias = KeyScope | Literal["open", "own check"]

NEEDS: dict[str, Need] = {
    "/health/live": "open",
    "/health/ready": "open",
    "/v2": "open",
    "/v2/health/live": "open",
    "/v2/health/ready": "open",
    # Files without anything of the models; what they show is asked for with a key.
    "/": "open",
    "/docs": "open",
    "/monitor": "open",
    "/page/{name}": "open",
    "/openapi.json": "predict",
    "/page/forms": "predict",
    "/page/docs": "predict",
    "/models": "predict",
    "/models/{name}": "predict",
    "/v2/models/{model}": "predict",
    "/v2/models/{model}/ready": "predict",
    "/v2/models/{model}/versions/{version}": "predict",
    "/v2/models/{model}/versions/{version}/ready": "predict",
    # PredictRoute and its subclasses, which read the key with the other headers.
    "/predict": "own check",
    "/models/{name}/predict": "own check",
    "/v2/models/{model}/infer": "own check",
    "/v2/models/{model}/versions/{version}/infer": "own check",
    "/feedback": "feedback",
    "/metrics": "admin",
    "/page/data": "admin",
}
"""Scope by the address of a route, as it is written in `Route`."""


def presented_key(scope: Scope) -> str | None:
    """The API key of a request: `Authorization: Bearer KEY`, or `X-Api-Key`.

    Args:
        scope: Of the ASGI application.
    """
    headers = Headers(scope=scope)
    if (key := headers.get("x-api-key")) is not None:
        return key
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else None


def guard(routes: Iterable[BaseRoute], access: Access) -> list[BaseRoute]:
    """Puts the check of the key before every route.

    Args:
        routes: The routes; they are changed.
        access: Who may do what.
    """
    guarded = list(routes)
    for route in guarded:
        assert isinstance(route, Route), f"{route} cannot be guarded"
        need = NEEDS.get(route.path, "admin")
        if need != "open" and need != "own check":
            route.app = _Guard(route.app, access, need)
    return guarded


class _Guard:
    """ASGI application behind a check of the key."""

    def __init__(self, app: ASGIApp, access: Access, need: KeyScope) -> None:
        self._app = app
        self._access = access
        self._need = need

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        parameters = scope.get("path_params", {})
        try:
            entry = self._access.check(
                presented_key(scope), self._need, parameters.get("model", parameters.get("name"))
            )
        except AccessError as error:
            refusal = http_error(error)
            assert refusal is not None
            raise refusal from None
        scope["key_id"] = None if entry is None else entry.id
        await self._app(scope, receive, send)
