"""Information routes: health, served models, metrics."""

from contextlib import suppress
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from lightning_app.serving.config.monitor_files import METRICS
from lightning_app.serving.http.bodies import JSON
from lightning_app.serving.http.breaker_detail import breaker_detail
from lightning_app.serving.http.errors import HttpError
from lightning_app.serving.http.guarded_routes import presented_key
from lightning_app.serving.http.serving_state import ServingState
from lightning_app.serving.observability.metrics import CONTENT_TYPE
from lightning_app.serving.routing.served_model import ServedModel
from lightning_app.serving.security.headers import ANSWER_HEADERS
from lightning_app.serving.security.without_paths import without_paths

_HEADERS = {name.decode(): value.decode() for name, value in ANSWER_HEADERS}


def information_routes(state: ServingState) -> list[BaseRoute]:
    """Routes of a worker that tell about it.

    Args:
        state: State of the worker.
    """

    async def live(_: Request) -> Response:
        return _json({"status": "live"})

    async def ready(request: Request) -> Response:
        detail = readiness(state)
        if not state.access.allows(presented_key(request.scope), "admin"):
            detail = {"status": detail["status"]}
        return _json(detail, 200 if state.is_ready else 503)

    async def models(_: Request) -> Response:
        return _json({"models": [description(state, name) for name in state.models]})

    async def model(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in state.models:
            message = f"model: {name[:100]!r} given, served are {', '.join(state.models)}"
            raise HttpError(404, "no_such_model", message, field="model")
        return _json(description(state, name))

    async def metrics(_: Request) -> Response:
        content = await run_in_threadpool(_exposition, state)
        return Response(content, media_type=CONTENT_TYPE)

    return [
        Route("/health/live", live),
        Route("/health/ready", ready),
        Route("/models", models),
        Route("/models/{name}", model),
        Route("/metrics", metrics),
    ]


def _exposition(state: ServingState) -> bytes:
    """Metrics of all workers, and those that the monitoring process has left; both are in files."""
    content = state.metrics.exposition()
    if state.monitoring is not None:
        with suppress(OSError):  # before its first report
            content += (state.monitoring / METRICS).read_bytes()
    return content


def _status(state: ServingState) -> str:
    if state.is_ready:
        return "ready"
    return "draining" if state.is_draining else "journal down" if state.lacks_journal else "loading"


def readiness(state: ServingState) -> dict[str, Any]:
    """Whether the worker is ready, and what is not as it should be.

    Args:
        state: State of the worker.
    """
    detail: dict[str, Any] = {
        "status": _status(state),
        "models": {name: _model_state(served) for name, served in state.models.items()},
    }
    if state.grpc_address is not None:
        detail["grpc"] = {"address": state.grpc_address}
    if state.journal is not None:
        health = state.journal.health()
        detail["journal"] = {"state": health.state, "since": health.since, "pending": health.pending}
    if state.chaos is not None:
        detail["chaos"] = state.chaos.lines
    if state.access.problem is not None:
        detail["keys"] = {"problem": without_paths(state.access.problem)}
    if state.registry is not None:
        detail["registry"] = msgspec.to_builtins(state.registry)
    return detail


def _model_state(served: ServedModel) -> dict[str, Any]:
    if not served.is_loaded:
        return {"problem": served.problem or "not loaded yet"}
    model = served.arm.model
    detail: dict[str, Any] = {"version": model.version, "digest": model.digest, "problem": served.problem}
    if breakers := breaker_detail(served):
        detail["breakers"] = breakers
    return detail


def description(state: ServingState, name: str) -> dict[str, Any]:
    """What a client needs to know of a served model.

    Args:
        state: State of the worker.
        name: Name of the model.
    """
    served = state.models[name]
    if not served.is_loaded:
        return {"name": name, "status": "loading"}
    model = served.arm.model
    manifest, plan = model.package.manifest, served.arm.batcher.plan
    return {
        "name": name,
        "status": "ready",
        "reference": served.config.model if "/" not in served.config.model else None,
        "version": model.version,
        "digest": model.digest,
        "family": manifest.family,
        "task": manifest.task,
        "layout": manifest.layout,
        "inputs": msgspec.to_builtins(manifest.inputs),
        "outputs": msgspec.to_builtins(manifest.outputs),
        "labels": manifest.labels,
        "raw_input": None if manifest.raw_input is None else msgspec.to_builtins(manifest.raw_input),
        "batching": {"max_rows": plan.max_rows, "window_ms": plan.window_ms, "in_thread": plan.in_thread},
        "problem": served.problem,
    }


def _json(content: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, _HEADERS, media_type=JSON)
