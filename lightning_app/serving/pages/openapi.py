"""OpenAPI document of a server: its routes, and the request and answer of each model by the model's signature."""

from collections.abc import Mapping, Sequence
from typing import Any

from lightning_app.serving.http.bodies import ARROW_FILE, ARROW_STREAM, PARQUET
from lightning_app.serving.inference.loaded_model import LoadedModel
from lightning_app.serving.pages.answer_schema import answer_schema
from lightning_app.serving.pages.openapi_parts import (
    ERROR_SCHEMA,
    FEEDBACK_ANSWER,
    FEEDBACK_EXAMPLE,
    FEEDBACK_REQUEST,
    MODELS_ANSWER,
    READY_ANSWER,
    REQUEST_HEADERS,
    SECURITY_SCHEMES,
    STATUS,
)
from lightning_app.serving.pages.request_schema import Schema, request_schema
from lightning_app.serving.pages.sample_request import Sample
from lightning_app.version import __version__

_PREDICT_ERRORS = (400, 401, 403, 406, 408, 409, 411, 413, 415, 422, 429, 503, 504)


def openapi_document(
    models: Sequence[LoadedModel],
    samples: Mapping[str, Sample | None],
    *,
    has_keys: bool,
    most_rows: int,
    further_paths: Mapping[str, Any],
) -> dict[str, Any]:
    """The document.

    Args:
        models: Versions that are served, in the order of the configuration.
        samples: Sample request by name.
        has_keys: Whether requests need an API key.
        most_rows: Most rows of a request.
        further_paths: Paths of other protocols.
    """
    schemas: dict[str, Schema] = {"Error": ERROR_SCHEMA}
    paths: dict[str, Any] = {}
    for model in models:
        name, sample = model.name, samples.get(model.name)
        schemas[f"{name}.request"] = request_schema(model.package, most_rows=most_rows)
        schemas[f"{name}.answer"] = answer_schema(model.package, None if sample is None else sample.predictions)
        paths[f"/models/{name}/predict"] = {"post": _predict(model, sample, has_keys=has_keys)}
    if models:
        paths["/predict"] = {
            "post": {
                **_predict(models[0], samples.get(models[0].name), has_keys=has_keys),
                "operationId": "predict",
                "summary": f"Predict with {models[0].name}",
            }
        }
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": ", ".join(model.name for model in models) or "No model",
            "version": __version__,
            "description": "Predictions over HTTP; the schemas come from the signatures of the models.",
        },
        "paths": {**paths, **_common_paths([model.name for model in models], has_keys), **further_paths},
        "components": {"schemas": schemas},
        "tags": [{"name": "predict"}, {"name": "feedback"}, {"name": "operation"}],
    }
    if has_keys:
        document["components"]["securitySchemes"] = SECURITY_SCHEMES
        document["security"] = [{"bearer": []}, {"apiKey": []}]
    return document


def _predict(model: LoadedModel, sample: Sample | None, *, has_keys: bool) -> dict[str, Any]:
    manifest = model.package.manifest
    example = {} if sample is None else {"example": sample.body}
    binary: Schema = {"type": "string", "format": "binary", "description": "One table; its columns are those of JSON."}
    content: dict[str, Any] = {
        "application/json": {"schema": {"$ref": f"#/components/schemas/{model.name}.request"}, **example}
    }
    several = manifest.raw_input is not None and any(column.table is not None for column in manifest.raw_input.columns)
    if not several:
        content |= {media_type: {"schema": binary} for media_type in (ARROW_STREAM, ARROW_FILE, PARQUET)}
    answer = {
        "description": "Predictions, committed to the journal before they were sent.",
        "headers": _answer_headers(),
        "content": {
            "application/json": {"schema": {"$ref": f"#/components/schemas/{model.name}.answer"}},
            ARROW_STREAM: {"schema": {"type": "string", "format": "binary"}},
        },
    }
    words = [f"{manifest.task} ({manifest.family})", f"digest {model.digest[:12]}"]
    if model.version is not None:
        words.insert(1, f"version {model.version}")
    if manifest.raw_input is not None and manifest.raw_input.min_rows:
        words.append(f"needs at least {manifest.raw_input.min_rows:,} {manifest.raw_input.rows_of}")
    return {
        "operationId": f"predict_{model.name}",
        "tags": ["predict"],
        "summary": f"Predict with {model.name}",
        "description": "; ".join(words) + ".",
        "parameters": [*_query(model), *REQUEST_HEADERS],
        "requestBody": {"required": True, "content": content},
        "responses": {"200": answer, **errors(_PREDICT_ERRORS, has_keys=has_keys)},
    }


def _query(model: LoadedModel) -> list[dict[str, Any]]:
    manifest = model.package.manifest
    query: list[dict[str, Any]] = []
    if manifest.raw_input is not None and manifest.raw_input.kind in ("series", "panel", "features"):
        query.append(
            {
                "name": "at",
                "in": "query",
                "description": "Which answers are asked for: `last`, `all`, or times in ISO 8601, separated by commas.",
                "schema": {"type": "string", "minLength": 1},
            }
        )
    if manifest.state:
        query += [
            {
                "name": "session",
                "in": "query",
                "description": "Id of a session; the server keeps the state between its requests.",
                "schema": {"type": "string", "pattern": "^[A-Za-z0-9_.:-]{1,128}$"},
            },
            {
                "name": "return_state",
                "in": "query",
                "description": "Whether the answer contains the state after the request.",
                "schema": {"type": "boolean"},
            },
        ]
    return query


def errors(statuses: Sequence[int], *, has_keys: bool) -> dict[str, Any]:
    """Responses of an operation that are errors.

    Args:
        statuses: Status codes.
        has_keys: Whether requests need an API key; without, 401, 403 and 429 are left out.
    """
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    responses: dict[str, Any] = {}
    for status in statuses:
        if status in (401, 403, 429) and not has_keys:
            continue
        responses[str(status)] = {"description": STATUS[status], "content": content}
        if status in (429, 503):
            header = {"description": "Seconds to wait.", "schema": {"type": "string"}}
            responses[str(status)]["headers"] = {"Retry-After": header}
    return responses


def _answer_headers() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "X-Request-Id": {"required": True, "schema": text},
        "X-Model": {"required": True, "schema": text},
        "X-Model-Version": {"schema": text},
        "X-Model-Digest": {"required": True, "schema": text},
    }


def _common_paths(names: Sequence[str], has_keys: bool) -> dict[str, Any]:
    def get(summary: str, schema: Schema, *, more: Sequence[int] = (), media: str = "application/json") -> Any:
        ok = {"description": summary, "content": {media: {"schema": schema}}}
        return {
            "get": {
                "tags": ["operation"],
                "summary": summary,
                "responses": {"200": ok, **errors(more, has_keys=has_keys)},
            }
        }

    feedback = {
        "tags": ["feedback"],
        "operationId": "feedback",
        "summary": "Outcome or reward of a prediction",
        "description": "Counted at most once; late outcomes and those of unknown requests are kept.",
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": FEEDBACK_REQUEST, "example": FEEDBACK_EXAMPLE}},
        },
        "responses": {
            "200": {
                "description": "Stored, or known already.",
                "content": {"application/json": {"schema": FEEDBACK_ANSWER}},
            },
            **errors((400, 401, 403, 408, 409, 411, 413, 415, 422, 429, 503), has_keys=has_keys),
        },
    }
    live = get("The process answers", {"type": "object"})
    ready = get("Models are loaded, and the journal can be written", READY_ANSWER)
    ready["get"]["responses"]["503"] = {
        "description": "Not ready, and why.",
        "content": {"application/json": {"schema": READY_ANSWER}},
    }
    model = get("One model: version, digest, signature", {"type": "object"}, more=(401, 403, 404, 429))
    model["get"]["parameters"] = [{"name": "name", "in": "path", "required": True, "schema": {"enum": list(names)}}]
    for path in (live, ready):
        path["get"]["security"] = []
    return {
        "/feedback": {"post": feedback},
        "/models": get("Models, versions and digests", MODELS_ANSWER, more=(401, 403, 429)),
        "/models/{name}": model,
        "/health/live": live,
        "/health/ready": ready,
        "/metrics": get("Prometheus metrics", {"type": "string"}, more=(401, 403, 429), media="text/plain"),
    }
