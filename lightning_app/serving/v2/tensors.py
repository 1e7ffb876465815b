"""Tensors of the protocol: data of a request, JSON or binary, as checked arrays, and arrays as data of an answer."""

import math
from functools import cache
from typing import Any

import numpy as np
from msgspec import DecodeError
from msgspec.json import Decoder

from lightning_app.packaging.format.signature import MAX_VALUES
from lightning_app.packaging.runtime.values import Array
from lightning_app.serving.v2.datatypes import BYTES, DTYPES, read_bytes
from lightning_app.serving.v2.errors import ProtocolError
from lightning_app.serving.v2.header import InputHeader, json_problem


def read_binary(header: InputHeader, content: memoryview) -> Array:
    """A tensor whose data follow the header.

    Args:
        header: Its description.
        content: Its data.

    Returns:
        An array of the described shape: of the datatype, or objects of type bytes. It may share memory
            with `content`.

    Raises:
        ProtocolError: The data do not have the size of the description.
    """
    count = _count(header)
    if header.datatype == BYTES:
        return read_bytes(header.name, content, count).reshape(header.shape)
    dtype = DTYPES[header.datatype]
    if len(content) != count * dtype.itemsize:
        raise ProtocolError(
            header.name,
            f"{len(content):,} bytes given, {header.datatype} {header.shape} has {count * dtype.itemsize:,}",
        )
    if dtype.kind == "b" and np.frombuffer(content, dtype=np.uint8).max(initial=0) > 1:
        raise ProtocolError(header.name, "a byte of BOOL is neither 0 nor 1")
    array = np.frombuffer(content, dtype=dtype).reshape(header.shape)
    # The header may have any length, and the model's instructions need aligned memory.
    return array if array.flags.aligned else array.copy()


def read_data(header: InputHeader) -> Array:
    """A tensor whose data are JSON, flat in row-major order or nested as its shape.

    Args:
        header: Its description, with data.

    Returns:
        An array of the described shape: of the datatype, or objects of type str.

    Raises:
        ProtocolError: The data do not have the described shape, or a value is not of the datatype.
    """
    count = _count(header)
    content = bytes(header.data)
    text = content.strip()
    is_nested = text[:1] == b"[" and text[1:].lstrip()[:1] == b"["
    rank = max(1, len(header.shape)) if is_nested else 1
    given = content.count(b",") + 1  # commas separate values, nested or not; texts may hold some more
    if count and (given < count if header.datatype == BYTES else given != count):
        raise ProtocolError(header.name, f"{given:,} values given, shape {header.shape} has {count:,}")
    kind = "s" if header.datatype == BYTES else DTYPES[header.datatype].kind
    try:
        values = _decoder(kind, rank).decode(content)
    except (DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(header.name, f"data of {header.datatype}: {json_problem(error)}") from error
    array = _array(header, values)
    expected = tuple(header.shape) if is_nested else (count,)
    fits = array.shape == expected if count else array.shape == expected[: array.ndim]  # an empty list ends the nesting
    if not fits:
        raise ProtocolError(header.name, f"data of shape {list(array.shape)} given, its shape is {header.shape}")
    return array.reshape(header.shape)


def _array(header: InputHeader, values: list[Any]) -> Array:
    if header.datatype == BYTES:
        return np.array(values, dtype=object)
    dtype = DTYPES[header.datatype]
    try:
        with np.errstate(over="ignore"):
            array = np.array(values, dtype=dtype)
    except OverflowError as error:
        raise ProtocolError(header.name, f"a value is out of the range of {header.datatype}") from error
    except ValueError as error:
        raise ProtocolError(header.name, "its lists have different lengths") from error
    if dtype.kind == "f" and not np.isfinite(array).all():
        raise ProtocolError(header.name, f"a value is out of the range of {header.datatype}")
    return array


def _count(header: InputHeader) -> int:
    """Number of elements of the shape."""
    if header.datatype != BYTES and header.datatype not in DTYPES:
        raise ProtocolError(header.name, f"datatype {header.datatype!r} given, allowed: {', '.join(DTYPES)}, {BYTES}")
    if math.prod(size for size in header.shape if size) > MAX_VALUES:
        raise ProtocolError(header.name, f"shape {header.shape} given, at most {MAX_VALUES:,} values are allowed")
    return math.prod(header.shape)


@cache
def _decoder(kind: str, rank: int) -> Decoder[Any]:
    """A decoder of lists of lists ... of one type of value."""
    type_: Any = {"f": float, "i": int, "u": int, "b": bool, "s": str}[kind]
    for _ in range(rank):
        type_ = list[type_]
    return Decoder(type_)
