"""Routes of the Open Inference Protocol: metadata and health of the server and of models, and inference."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from lightning_app.serving.http.bodies import JSON
from lightning_app.serving.http.errors import HttpError
from lightning_app.serving.http.serving_state import ServingState
from lightning_app.serving.inference.loaded_model import LoadedModel
from lightning_app.serving.v2.infer_route import InferEndpoint, check_version, error_body
from lightning_app.serving.v2.metadata import model_metadata, server_metadata

_MODEL, _VERSION = "/v2/models/{model}", "/v2/models/{model}/versions/{version}"


def v2_routes(state: ServingState, infer: InferEndpoint) -> list[BaseRoute]:
    """Routes below `/v2`.

    Args:
        state: State of the worker.
        infer: Answers inferences.
    """

    def loaded(request: Request) -> LoadedModel | None:
        return served_model(state, request.path_params["model"], request.path_params.get("version"))

    async def server(_: Request) -> Response:
        return _json(server_metadata())

    async def live(_: Request) -> Response:
        return _json({"live": True})

    async def ready(_: Request) -> Response:
        return _json({"ready": state.is_ready}, 200 if state.is_ready else 503)

    async def model(request: Request) -> Response:
        try:
            found = loaded(request)
        except HttpError as error:
            return Response(error_body(error.message), error.status, media_type=JSON)
        if found is None:
            return Response(error_body("the model is not loaded yet"), 503, media_type=JSON)
        return _json(model_metadata(found.name, found.version, found.package.predictor))

    async def model_ready(request: Request) -> Response:
        try:
            found = loaded(request)
        except HttpError as error:
            return Response(error_body(error.message), error.status, media_type=JSON)
        is_ready = found is not None and not state.is_draining
        return _json({"name": request.path_params["model"], "ready": is_ready}, 200 if is_ready else 503)

    return [
        Route("/v2", server),
        Route("/v2/health/live", live),
        Route("/v2/health/ready", ready),
        *(Route(address, model) for address in (_MODEL, _VERSION)),
        *(Route(f"{address}/ready", model_ready) for address in (_MODEL, _VERSION)),
        *(Route(f"{address}/infer", infer, methods=["POST"]) for address in (_MODEL, _VERSION)),
    ]


def served_model(state: ServingState, name: str, version: str | None) -> LoadedModel | None:
    """A model by its address; None while it is loaded.

    Args:
        state: State of the worker.
        name: Name of the model.
        version: Version that is asked for; None for the one that is served.

    Raises:
        HttpError: There is no such model or version.
    """
    if name not in state.models:
        message = f"model: {name[:100]!r} given, served are {', '.join(state.models)}"
        raise HttpError(404, "no_such_model", message, field="model")
    served = state.models[name]
    if not served.is_loaded:
        return None
    check_version(version, served.arm.model)
    return served.arm.model


def _json(content: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, {"cache-control": "no-store"}, media_type=JSON)
