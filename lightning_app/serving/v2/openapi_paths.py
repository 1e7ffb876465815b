"""OpenAPI paths of the Open Inference Protocol: metadata, health and inference of each model."""

from collections.abc import Sequence
from typing import Any

from lightning_app.serving.inference.loaded_model import LoadedModel
from lightning_app.serving.v2.metadata import model_metadata

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string", "description": "The tensor or field that is wrong, and why."}},
}
_STATUS = {
    400: "The request does not fit the model, or is malformed.",
    401: "No API key, or an unknown one.",
    403: "The API key has not the scope of this route.",
    404: "There is no such model or version.",
    409: "The request id was used with another body, or the session is in use or of another version.",
    413: "The body or its number of rows exceeds the limit.",
    415: "The content type or encoding is none that the route takes.",
    422: "Some rows cannot be answered.",
    429: "The rate or the budget of the API key is exceeded.",
    503: "Not ready, or too many requests wait.",
    504: "The deadline passed.",
}
_PARAMETERS = {"type": "object", "additionalProperties": {"type": ["string", "integer", "boolean"]}}
_BOOLEAN, _BYTES = "BOOL", "BYTES"


def v2_paths(models: Sequence[LoadedModel], *, has_keys: bool) -> dict[str, Any]:
    """Paths below `/v2`.

    Args:
        models: Versions that are served.
        has_keys: Whether requests need an API key.
    """
    paths = {
        "/v2": {"get": _get("Name, version and extensions of the server", _metadata("extensions"), (), has_keys)},
        "/v2/health/live": {"get": _get("The server answers", _flag("live"), (), has_keys)},
        "/v2/health/ready": {"get": _get("All models are loaded", _flag("ready"), (), has_keys, _flag("ready"))},
    }
    for path in paths.values():
        path["get"]["security"] = []
    for model in models:
        place = f"/v2/models/{model.name}"
        paths[place] = {"get": _get(f"Tensors of {model.name}", _metadata("inputs", "outputs"), (404, 503), has_keys)}
        paths[f"{place}/ready"] = {
            "get": _get(f"{model.name} is loaded", _flag("ready"), (404,), has_keys, _flag("ready"))
        }
        paths[f"{place}/infer"] = {"post": _infer(model, has_keys)}
    return paths


def _infer(model: LoadedModel, has_keys: bool) -> dict[str, Any]:
    metadata = model_metadata(model.name, model.version, model.package.predictor)
    state = {spec.input for spec in model.package.manifest.state}
    tensors = [_tensor(tensor) for tensor in metadata["inputs"]]
    request = {
        "type": "object",
        "additionalProperties": False,
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string", "maxLength": 128},
            "parameters": _PARAMETERS,
            "inputs": {
                "type": "array",
                "minItems": len(tensors) - len(state),
                "maxItems": len(tensors),
                "items": tensors[0] if len(tensors) == 1 else {"anyOf": tensors},
            },
            "outputs": {
                "type": "array",
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["name"],
                    "properties": {
                        "name": {"enum": [output["name"] for output in metadata["outputs"]]},
                        "parameters": _PARAMETERS,
                    },
                },
            },
        },
    }
    answer = {"type": "object", "required": ["model_name", "outputs"], "properties": {"outputs": {"type": "array"}}}
    binary = {"schema": {"type": "string", "format": "binary"}}
    ok = {
        "description": "Tensors by name; binary data follow the JSON if they were asked for.",
        "content": {"application/json": {"schema": answer}, "application/octet-stream": binary},
    }
    return {
        "operationId": f"infer_{model.name}",
        "tags": ["predict"],
        "summary": f"Open Inference Protocol: infer with {model.name}",
        "description": "JSON, or JSON followed by binary tensors with Inference-Header-Content-Length.",
        "requestBody": {"required": True, "content": {"application/json": {"schema": request}}},
        "responses": {"200": ok, **_errors((400, 401, 403, 404, 409, 413, 415, 422, 429, 503, 504), has_keys)},
    }


def _tensor(tensor: dict[str, Any]) -> dict[str, Any]:
    datatype = tensor["datatype"]
    value: dict[str, Any] = {"type": "number"}
    if datatype in (_BOOLEAN, _BYTES):
        value = {"type": "boolean" if datatype == _BOOLEAN else "string"}
    elif not datatype.startswith("FP"):
        value = {"type": "integer"}
    size = {"type": "integer", "minimum": 1}
    sizes = [size if axis == -1 else {"const": axis} for axis in tensor["shape"]]
    shape = {"type": "array", "prefixItems": sizes, "items": False, "minItems": len(sizes)}
    return {
        "title": tensor["name"],
        "type": "object",
        "additionalProperties": False,
        "required": ["name", "shape", "datatype", "data"],
        "properties": {
            "name": {"const": tensor["name"]},
            "datatype": {"const": datatype},
            "shape": shape,
            "data": {"type": "array", "items": value, "description": "Values row by row; nested lists are taken too."},
        },
    }


def _get(
    summary: str, schema: dict[str, Any], statuses: Sequence[int], has_keys: bool, not_ready: Any = None
) -> dict[str, Any]:
    ok = {"description": summary, "content": {"application/json": {"schema": schema}}}
    responses = {"200": ok, **_errors((*statuses, 401, 403, 429), has_keys)}
    if not_ready is not None:
        responses["503"] = {"description": "Not ready.", "content": {"application/json": {"schema": not_ready}}}
    return {"tags": ["operation"], "summary": summary, "responses": responses}


def _metadata(*keys: str) -> dict[str, Any]:
    return {"type": "object", "required": ["name", *keys], "properties": {key: {"type": "array"} for key in keys}}


def _flag(name: str) -> dict[str, Any]:
    return {"type": "object", "required": [name], "properties": {name: {"type": "boolean"}}}


def _errors(statuses: Sequence[int], has_keys: bool) -> dict[str, Any]:
    content = {"application/json": {"schema": _ERROR}}
    return {
        str(status): {"description": _STATUS[status], "content": content}
        for status in statuses
        if has_keys or status not in (401, 403, 429)
    }
