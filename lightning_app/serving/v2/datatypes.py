"""Datatypes of the protocol and their dtypes; BYTES are elements of any length."""

from typing import Any

import numpy as np

from lightning_app.packaging.runtime.values import Array
from lightning_app.serving.v2.errors import ProtocolError

BYTES = "BYTES"
DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype("?"),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
"""Datatypes of fixed size; all are sent in little endian."""
_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_PREFIX = 4


def datatype_of(dtype: "np.dtype[Any] | str") -> str:
    """Name of a dtype in the protocol; text and objects are `BYTES`."""
    dtype = np.dtype(dtype)
    if dtype in _NAMES:
        return _NAMES[dtype]
    return BYTES if dtype.kind in "USO" else _NAMES[dtype.newbyteorder("<")]


def read_bytes(name: str, content: memoryview, count: int) -> Array:
    """Elements of a BYTES tensor, each after its length in 4 bytes.

    Args:
        name: Tensor, for messages.
        content: What was sent for it.
        count: Number of elements that its shape has.

    Returns:
        Objects of type bytes (count,).

    Raises:
        ProtocolError: The content is not `count` elements.
    """
    if count * _PREFIX > len(content):
        raise ProtocolError(name, f"{len(content):,} bytes given, its shape has {count:,} elements of 4 bytes or more")
    elements = np.empty(count, dtype=object)
    start = 0
    for index in range(count):
        first = start + _PREFIX
        end = first + int.from_bytes(content[start:first], "little")
        if first > len(content) or end > len(content):
            raise ProtocolError(name, f"element {index:,} of {count:,} ends after the data of the tensor")
        elements[index] = bytes(content[first:end])
        start = end
    if start != len(content):
        raise ProtocolError(name, f"{len(content) - start:,} bytes are left after its {count:,} elements")
    return elements


def write_bytes(elements: Array) -> bytes:
    """Content of a BYTES tensor.

    Args:
        elements: Text or bytes of any shape.
    """
    parts: list[bytes] = []
    for element in elements.ravel().tolist():
        content = element if isinstance(element, bytes) else str(element).encode()
        parts += (len(content).to_bytes(_PREFIX, "little"), content)
    return b"".join(parts)


def texts(name: str, elements: Array) -> list[str]:
    """Elements of a BYTES tensor as text.

    Args:
        name: Tensor, for messages.
        elements: Objects of type bytes or str (N,).

    Raises:
        ProtocolError: An element is not UTF-8.
    """
    try:
        return [element.decode() if isinstance(element, bytes) else element for element in elements.tolist()]
    except UnicodeDecodeError as error:
        raise ProtocolError(name, "an element is no UTF-8 text") from error
