"""Inference response: output tensors as JSON, or as binary data after it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from msgspec.json import Encoder

from lightning_app.packaging.runtime.values import Array, Values
from lightning_app.serving.v2.datatypes import DTYPES, datatype_of, write_bytes
from lightning_app.serving.v2.errors import ProtocolError
from lightning_app.serving.v2.infer_request import InferRequest, RequestedOutput

_ENCODER = Encoder()


def write_infer_response(
    outputs: Mapping[str, Values],
    request: InferRequest,
    *,
    model: str,
    version: int | None,
    request_id: str,
    labels: Sequence[str] | None = None,
    notes: Sequence[str] = (),
    degraded: str | None = None,
) -> tuple[bytes, int | None]:
    """Body of an answer.

    Args:
        outputs: Arrays by name, all that the model answers.
        request: The request, which says what of it is asked for, and how.
        model: Name of the model.
        version: Version of the model; None if it has none.
        request_id: Id of the request.
        labels: Names of the classes, for `classification`.
        notes: What was filled, dropped or replaced; the parameter `notes` of the answer.
        degraded: Why another model answered, the parameter `degraded`; None if none did.

    Returns:
        body: JSON, and binary data after it.
        header_length: Length of the JSON; None if there is nothing after it.

    Raises:
        ProtocolError: An output is asked for that the model does not have, or its rows differ in size.
    """
    wanted = request.outputs or tuple(RequestedOutput(name=name, is_binary=request.is_binary) for name in outputs)
    check_outputs(request, list(outputs))
    headers, parts, not_finite = [], [], []
    for output in wanted:
        array = _rectangular(output.name, outputs[output.name])
        if output.num_classes:
            array = _classes(output, array, labels)
        header: dict[str, Any] = {
            "name": output.name,
            "datatype": datatype_of(array.dtype),
            "shape": list(array.shape),
        }
        if output.is_binary:
            parts.append(write_binary(array))
            header["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            header["data"] = array.ravel().tolist()
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                not_finite.append(output.name)
        headers.append(header)
    answer: dict[str, Any] = {"model_name": model}
    if version is not None:
        answer["model_version"] = str(version)
    if not_finite:
        notes = [*notes, f"{', '.join(not_finite)}: some numbers are not finite, answered as null"]
    parameters = {}
    if notes:
        parameters["notes"] = "; ".join(notes)
    if degraded is not None:
        parameters["degraded"] = degraded
    if parameters:
        answer["parameters"] = parameters
    content = _ENCODER.encode(answer | {"id": request_id, "outputs": headers})
    return (b"".join((content, *parts)), len(content)) if parts else (content, None)


def check_outputs(request: InferRequest, names: Sequence[str]) -> None:
    """Raises unless the model has every output that a request asks for.

    Args:
        request: The request.
        names: Outputs of the model.
    """
    for output in request.outputs or ():
        if output.name not in names:
            raise ProtocolError(output.name, f"no such output, the model answers {', '.join(names)}")


def write_binary(array: Array) -> bytes:
    """Binary data of a tensor, little endian.

    Args:
        array: Of any shape; text and objects are written as BYTES.
    """
    if array.dtype.kind in "USO":
        return write_bytes(array)
    return np.ascontiguousarray(array, dtype=DTYPES[datatype_of(array.dtype)]).tobytes()


def _rectangular(name: str, values: Values) -> Array:
    if isinstance(values, np.ndarray):
        return values
    shapes = {value.shape for value in values}
    if len(shapes) > 1:
        sizes = " and ".join(str(list(shape)) for shape in sorted(shapes)[:2])
        raise ProtocolError(name, f"its rows differ in size ({sizes}), a tensor cannot; send rows of equal size")
    return np.stack(values)


def _classes(output: RequestedOutput, array: Array, labels: Sequence[str] | None) -> Array:
    """The largest values of each row as `value:index:label`, as Triton's classification extension writes them."""
    if array.dtype.kind not in "fiu" or array.ndim < 2:
        raise ProtocolError(output.name, "parameter classification: given for an output that has no scores of classes")
    scores = array.reshape(len(array), -1)
    first = np.argsort(-scores.astype(np.float64), axis=1, kind="stable")[:, : output.num_classes]
    names = labels if labels is not None and len(labels) == scores.shape[1] else None
    rows = [
        [f"{row[index]:f}:{index}" + (f":{names[index]}" if names else "") for index in order.tolist()]
        for row, order in zip(scores, first, strict=True)
    ]
    return np.array(rows, dtype=object).reshape(first.shape)
