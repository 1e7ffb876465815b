"""Parts of the OpenAPI document that are the same for every model."""

from typing import Any

STATUS = {
    400: "The body or a parameter is malformed.",
    401: "No API key, or an unknown one.",
    403: "The API key has not the scope of this route.",
    404: "There is no such model.",
    405: "The route takes another method.",
    406: "The answer cannot be written as `Accept` asks.",
    408: "The body did not arrive in time.",
    409: "The request id was used with another body, or the session is in use or of another version.",
    411: "The length of the body is not stated.",
    413: "The body or its number of rows exceeds the limit.",
    415: "The content type is none that the route takes.",
    422: "Rows or columns do not fit the model.",
    429: "The rate or the budget of the API key is exceeded.",
    500: "The server failed.",
    503: "Too many requests wait, or the journal cannot be written; try again.",
    504: "The deadline passed.",
}
"""Meaning of each status code of an error."""

ERROR_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["error", "request_id"],
    "additionalProperties": False,
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "additionalProperties": False,
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string", "description": "What was given, and what is allowed."},
                "field": {"type": "string", "description": "The column, key, parameter or header that is wrong."},
                "rows": {
                    "type": "object",
                    "description": "Row of the request, from 0, to the reason why it cannot be answered.",
                    "additionalProperties": {"type": "string"},
                },
                "num_rows": {"type": "integer", "description": "Number of such rows; the first hundred are listed."},
            },
        },
        "request_id": {"type": ["string", "null"]},
    },
}

_OUTCOME = ["number", "string", "boolean", "array"]
FEEDBACK_REQUEST: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["request_id"],
    "properties": {
        "request_id": {"type": "string", "pattern": "^[A-Za-z0-9_.:-]{1,128}$"},
        "row": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1, "description": "Row of the request, from 0."},
        "outcome": {
            "type": [*_OUTCOME, "null"],
            "description": "The true value: a number, a text, true or false, or a list of them.",
        },
        "reward": {"type": ["number", "null"], "description": "How good the answer was."},
    },
    "anyOf": [
        {"required": ["outcome"], "properties": {"outcome": {"type": _OUTCOME}}},
        {"required": ["reward"], "properties": {"reward": {"type": "number"}}},
    ],
}

FEEDBACK_EXAMPLE = {"request_id": "0660d5afe3d268-2dbdfd2c5241", "outcome": 21.5}
FEEDBACK_ANSWER: dict[str, Any] = {
    "type": "object",
    "required": ["stored", "prediction_known"],
    "properties": {
        "stored": {"type": "boolean", "description": "False if the same feedback was stored before."},
        "prediction_known": {"type": "boolean", "description": "False if the prediction is not in the journal yet."},
        "status": {
            "enum": ["stored", "expired", "same", "unknown", "spilled"],
            "description": "expired: stored, but the reward came too late to be counted.",
        },
        "note": {"type": "string"},
    },
}

READY_ANSWER: dict[str, Any] = {"type": "object", "description": "State of models, journal and registry."}

MODELS_ANSWER: dict[str, Any] = {"type": "object", "description": "Models by name, with version and digest."}

REQUEST_HEADERS: list[dict[str, Any]] = [
    {
        "name": "X-Request-Id",
        "in": "header",
        "description": "Id of the request; sent again, it gets the same answer. Without one the server makes it.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9_.:-]{1,128}$"},
    },
    {
        "name": "X-Deadline-Ms",
        "in": "header",
        "description": "How long the client waits, in milliseconds.",
        "schema": {"type": "number", "exclusiveMinimum": 0, "maximum": 86_400_000},
    },
]

SECURITY_SCHEMES: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "Authorization: Bearer KEY"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
}
