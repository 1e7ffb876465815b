"""Application of `monitor serve`: read-only pages, JSON and metrics of the newest reports."""

import time
from collections.abc import Callable

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lightning_app.monitoring.page.server.live_reports import LiveReports, Published
from lightning_app.serving.http.bodies import JSON
from lightning_app.serving.http.errors import HttpError
from lightning_app.serving.http.guarded_routes import guard, presented_key
from lightning_app.serving.http.request_head import new_request_id
from lightning_app.serving.observability.metrics import CONTENT_TYPE
from lightning_app.serving.pages.monitor_page import monitor_shell, report_page
from lightning_app.serving.pages.page_routes import static_file
from lightning_app.serving.security.access import Access
from lightning_app.serving.security.headers import ANSWER_HEADERS

_HEADERS = {name.decode(): value.decode() for name, value in ANSWER_HEADERS}
_CODES = {404: "no_such_route", 405: "method_not_allowed"}


def monitor_app(live: LiveReports, access: Access) -> Starlette:
    """The application.

    Where keys are on, pages are shells without data, whose script asks with the key of the tab.

    Args:
        live: The newest reports.
        access: Who may see them.
    """

    async def page(_: Request) -> Response:
        if not access.is_open:
            return monitor_shell(source="page/monitor", links={"JSON": "report.json", "Metrics": "metrics"})
        return _refreshed(live.newest.page if live.newest is not None else None)

    async def model(request: Request) -> Response:
        if not access.is_open:
            source = f"../page/monitor/{request.url.path.rpartition('/')[2]}"
            return monitor_shell(source=source, links={"All models": "../"}, root="../")
        return _refreshed(_of_model(live, request))

    async def report(_: Request) -> Response:
        return report_page(_newest(live).page)

    async def report_of_model(request: Request) -> Response:
        return report_page(_of_model(live, request))

    async def data(_: Request) -> Response:
        return Response(_newest(live).data, headers=_HEADERS, media_type=JSON)

    async def metrics(_: Request) -> Response:
        content = b"" if live.newest is None else live.newest.metrics()
        return Response(content, headers=_HEADERS, media_type=CONTENT_TYPE)

    async def health(request: Request) -> Response:
        detail = _health(live)
        if not access.allows(presented_key(request.scope), "admin"):
            detail = {"status": detail["status"]}
        return Response(msgspec.json.encode(detail), 200 if live.is_alive else 503, _HEADERS, media_type=JSON)

    def _refreshed(content: str | None) -> Response:
        answer = report_page(content) if content is not None else _waiting()
        answer.headers["refresh"] = str(60 if content is not None else 3)
        return answer

    own = [
        Route("/page/monitor", report),
        Route("/page/monitor/{model}", report_of_model),
        Route("/report.json", data),
        Route("/metrics", metrics),
    ]
    opened = [
        Route("/", page),
        Route("/models/{model}", model),
        Route("/healthz", health),
        Route("/page/{name}", static_file),
    ]
    handlers: dict[type[Exception], Callable[[Request, Exception], Response]] = {
        HTTPException: _http_exception,
        HttpError: _refusal,
        Exception: _unexpected,
    }
    return Starlette(routes=[*guard(own, access), *opened], exception_handlers=handlers)


def _newest(live: LiveReports) -> Published:
    if live.newest is None:
        raise HttpError(503, "no_report", "the first report is being made")
    return live.newest


def _of_model(live: LiveReports, request: Request) -> str:
    newest, name = _newest(live), request.path_params["model"]
    if name not in newest.pages:
        known = ", ".join(newest.pages) or "none yet"
        raise HttpError(404, "no_such_model", f"model: {name[:100]!r} given, reports are of {known}", field="model")
    return newest.pages[name]


def _health(live: LiveReports) -> dict[str, object]:
    newest = live.newest
    if newest is None:
        return {"status": "starting"}
    made = newest.made
    age = None if made is None else max(0.0, time.time() - made)
    problems = newest.observation.problems
    is_old = made is None or bool(problems) or (age or 0.0) > 10 * live.refresh_seconds
    return {"status": "stale" if is_old else "ok", "age_seconds": age, "problems": problems}


def _waiting() -> Response:
    return Response("The first report is being made.", 503, _HEADERS, media_type="text/plain")


def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _refusal(request, HttpError(error.status_code, _CODES.get(error.status_code, "refused"), str(error.detail)))


def _refusal(_: Request, error: Exception) -> Response:
    assert isinstance(error, HttpError)
    headers = {**error.headers, **_HEADERS}
    return Response(error.body(new_request_id()), error.status, headers, media_type=JSON)


def _unexpected(request: Request, _: Exception) -> Response:
    return _refusal(request, HttpError(500, "internal", "the server failed on this request"))
