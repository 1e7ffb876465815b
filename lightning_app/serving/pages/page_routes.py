"""Page routes: status page, documentation and OpenAPI document; styles and scripts are files, nothing is inline."""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from lightning_app.serving.http.serving_state import ServingState
from lightning_app.serving.inference.loaded_model import LoadedModel
from lightning_app.serving.pages.monitor_page import monitor_routes
from lightning_app.serving.pages.page_data import page_data
from lightning_app.serving.security.headers import ANSWER_HEADERS, PAGE_HEADERS

if TYPE_CHECKING:
    from lightning_app.serving.pages.page_texts import PageTexts

STATIC = Path(__file__).parent / "static"
_MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HEADERS = {name.decode(): value.decode() for name, value in PAGE_HEADERS}
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?|\[[0-9a-fA-F:.]{2,45}\](:[0-9]{1,5})?")
FurtherPaths = Callable[[Sequence[LoadedModel]], Mapping[str, Any]]


def page_routes(state: ServingState, *, further_paths: FurtherPaths) -> list[BaseRoute]:
    """Routes of the pages.

    The pages themselves are open; what they show of the models needs a key where keys are on, see `guarded_routes`.

    Args:
        state: State of the worker.
        further_paths: Paths of other protocols, for the OpenAPI document.
    """

    @cache
    def texts() -> "PageTexts":
        # Imported when a page is first asked for: a worker starts sooner.
        from lightning_app.serving.pages.page_texts import PageTexts

        return PageTexts(state, further_paths)

    async def page(_: Request) -> Response:
        return _file("page.html")

    async def data(_: Request) -> Response:
        return _json(await asyncio.to_thread(page_data, state))

    async def forms(_: Request) -> Response:
        return _json({"models": await asyncio.to_thread(lambda: texts().forms())})

    async def openapi(_: Request) -> Response:
        return _json(await asyncio.to_thread(lambda: texts().openapi()))

    async def docs(request: Request) -> Response:
        return _html(await asyncio.to_thread(lambda: texts().docs_page(_address(request, state))))

    async def docs_part(request: Request) -> Response:
        return _html(await asyncio.to_thread(lambda: texts().docs(_address(request, state))))

    monitor = [] if state.monitoring is None else monitor_routes(state.monitoring)
    return [
        *monitor,
        Route("/", page),
        Route("/docs", docs),
        Route("/openapi.json", openapi),
        Route("/page/data", data),
        Route("/page/forms", forms),
        Route("/page/docs", docs_part),
        Route("/page/{name}", static_file),
    ]


async def static_file(request: Request) -> Response:
    """Answers with a style, a script or a picture of the pages.

    Args:
        request: Request with the path parameter `name`.
    """
    return _file(request.path_params["name"])


def _address(request: Request, state: ServingState) -> str:
    """Address of the server as the client wrote it; a `Host` that is none stands in no example."""
    host = request.headers.get("host", "")
    if not _HOST.fullmatch(host):
        host = f"{state.config.host}:{state.config.port}"
    return f"{request.url.scheme}://{host}"


def _html(content: str) -> Response:
    return Response(content, headers=_HEADERS, media_type="text/html")


def _file(name: str) -> Response:
    path = STATIC / name
    if "/" in name or name.startswith(".") or path.suffix not in _MEDIA_TYPES or not path.is_file():
        raise HTTPException(404)
    return Response(path.read_bytes(), headers=_HEADERS, media_type=_MEDIA_TYPES[path.suffix])


def _json(content: Any) -> Response:
    headers = {name.decode(): value.decode() for name, value in ANSWER_HEADERS}
    return Response(msgspec.json.encode(content), headers=headers, media_type="application/json")
