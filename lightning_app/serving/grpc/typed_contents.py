"""Typed contents: values of a tensor in the field of their type, to and from the bytes that HTTP sends."""

from collections.abc import Sequence

import numpy as np

from lightning_app.serving.grpc.message_pool import Message
from lightning_app.serving.v2.datatypes import BYTES, DTYPES, read_bytes, write_bytes
from lightning_app.serving.v2.errors import ProtocolError

_FIELDS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    BYTES: "bytes_contents",
}
"""Field of each datatype; FP16 has none."""
_ALL = sorted(set(_FIELDS.values()))


def is_typed(datatype: str) -> bool:
    """Whether a datatype has a field of its own.

    Args:
        datatype: Datatype of the protocol.
    """
    return datatype in _FIELDS


def read_contents(tensor: Message) -> bytes:
    """Values of a tensor of a request as raw bytes, little endian.

    Args:
        tensor: The tensor, without raw contents.

    Raises:
        ProtocolError: Its datatype has no typed contents, or they are in another field, or out of its range.
    """
    name, datatype, contents = tensor.name, tensor.datatype, tensor.contents
    if datatype not in _FIELDS and datatype in DTYPES:
        raise ProtocolError(name, f"{datatype} has no typed contents; send raw_input_contents")
    field = _FIELDS.get(datatype)
    for other in _ALL:
        if other != field and len(getattr(contents, other)):
            needed = "" if field is None else f", {field} needed"
            raise ProtocolError(name, f"{other} given for datatype {datatype[:20]!r}{needed}")
    if field is None:
        return b""  # whoever reads the header refuses the datatype
    values: Sequence[bytes] = getattr(contents, field)
    _check_count(name, len(values), tensor.shape)
    if datatype == BYTES:
        elements = np.empty(len(values), dtype=object)
        elements[:] = list(values)
        return write_bytes(elements)
    dtype = DTYPES[datatype]
    try:
        return np.array(list(values), dtype=dtype).tobytes()
    except OverflowError as error:
        raise ProtocolError(name, f"a value is out of the range of {datatype}") from error


def write_contents(tensor: Message, content: memoryview) -> None:
    """Sets the typed contents of a tensor of an answer.

    Args:
        tensor: The tensor, with datatype and shape.
        content: Its raw bytes.
    """
    field = getattr(tensor.contents, _FIELDS[tensor.datatype])
    if tensor.datatype == BYTES:
        field.extend(read_bytes(tensor.name, content, _size(tensor.shape)).tolist())
    else:
        field.extend(np.frombuffer(content, DTYPES[tensor.datatype]).tolist())


def _check_count(name: str, given: int, shape: Sequence[int]) -> None:
    if all(size >= 0 for size in shape) and (count := _size(shape)) != given:
        raise ProtocolError(name, f"{given:,} values given, shape {list(shape)[:8]} has {count:,}")


def _size(shape: Sequence[int]) -> int:
    size = 1
    for axis in shape:
        size *= axis
    return size
