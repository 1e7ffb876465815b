"""Prediction record: what the journal holds of a request beside its body, for all protocols and for streams."""

import io
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

import numpy as np

from lightning_app.packaging.format.errors import RequestError
from lightning_app.serving.inference.loaded_model import LoadedModel
from lightning_app.serving.inference.model_request import ModelRequest


def content_digest(body: bytes, media_type: str, accept: str | None, query: str) -> bytes:
    """What makes two requests the same: media types, query and body.

    Args:
        body: Body of the request.
        media_type: Its media type.
        accept: Media type of the answer; None if it was not asked for.
        query: Query string.
    """
    digest = sha256(body)
    digest.update(f"\n{media_type}\n{accept}\n{query}".encode())
    return digest.digest()[:16]


def take_entity(request: ModelRequest, column: str, model: LoadedModel) -> str | None:
    """Key of the entity, removed from the request if the package does not read it.

    Args:
        request: The request.
        column: Column of the key.
        model: The version that answers.

    Returns:
        As of `entity_key`.

    Raises:
        RequestError: The request has no such column.
    """
    table = request.table
    names = () if table is None else table if isinstance(table, Mapping) else table.columns
    if table is None or column not in names:
        raise RequestError(f"{column}: not given, the key of the entity is needed")
    key = entity_key(table[column])
    if column not in model.column_names:
        if isinstance(table, Mapping):
            request.table = {name: values for name, values in table.items() if name != column}
        else:
            request.table = table.drop(column)
    return key


def entity_key(values: Iterable[Any]) -> str | None:
    """Key of the rows of a request, as text; None if they have several keys, or one of them has none.

    Args:
        values: The column of the key; NaN is missing, as null is.
    """
    keys = {None if key is None or key != key else str(key) for key in values}  # NaN
    return keys.pop() if len(keys) == 1 else None


def arrow_features(features: Mapping[str, Any]) -> bytes:
    """Inputs of the model as an Arrow stream, a column for each input.

    Args:
        features: The inputs.
    """
    from lightning_app.packaging.runtime.frames import write_frame

    file = io.BytesIO()
    write_frame({name: np.asarray(value) for name, value in features.items()}).write_ipc_stream(file)
    return file.getvalue()
