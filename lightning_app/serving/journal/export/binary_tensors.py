"""Binary tensors of journalled bodies: the inference protocol's JSON with the data of its tensors after it."""

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

OCTETS = "application/octet-stream"
_LENGTH = "inference-header-content-length"
_DTYPES = {"BOOL": "?", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8"} | {
    f"{name}{8 * size}": f"<{kind}{size}" for name, kind in (("INT", "i"), ("UINT", "u")) for size in (1, 2, 4, 8)
}


def with_data(content: bytes, media_type: str) -> bytes:
    """The same body with all data in its JSON.

    Args:
        content: The body.
        media_type: Media type with the length of the JSON part as a parameter.

    Raises:
        ValueError: It is no such body.
    """
    parameters = dict(part.strip().partition("=")[::2] for part in media_type.split(";")[1:])
    length = int(parameters[_LENGTH]) if parameters.get(_LENGTH, "").isdigit() else len(content)
    header = msgspec.json.decode(content[:length])
    tensors = header.get("inputs", header.get("outputs")) if isinstance(header, dict) else None
    if not isinstance(tensors, list):
        raise ValueError("no tensors")
    start = length
    for tensor in tensors:
        size = tensor.get("parameters", {}).get("binary_data_size")
        if size is not None:
            tensor["data"] = _values(content[start : start + size], tensor["datatype"])
            start += size
    return msgspec.json.encode(header)


def _values(content: bytes, datatype: str) -> list[Any]:
    if datatype == "BYTES":
        return list(_texts(content))
    values: list[Any] = np.frombuffer(content, dtype=_DTYPES[datatype]).tolist()
    return values


def _texts(content: bytes) -> Iterator[str]:
    start = 0
    while start < len(content):
        first = start + 4
        start = first + int.from_bytes(content[start:first], "little")
        yield content[first:start].decode()
