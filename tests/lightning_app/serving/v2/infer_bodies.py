"""Bodies of the protocol, written by hand so that a mistake of the codec cannot hide in its own mirror image."""

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np


def datatype(array: np.ndarray) -> str:
    if array.dtype.kind == "O":
        return "BYTES"
    names = {"b": "BOOL", "u": f"UINT{8 * array.itemsize}", "i": f"INT{8 * array.itemsize}"}
    return names.get(array.dtype.kind, f"FP{8 * array.itemsize}")


def binary(array: np.ndarray) -> bytes:
    if array.dtype.kind != "O":
        return array.astype(array.dtype.newbyteorder("<")).tobytes()
    return b"".join(struct.pack("<I", len(element)) + element for element in array.ravel().tolist())


def plain(array: np.ndarray, *, is_nested: bool) -> Any:
    if array.dtype.kind == "O":
        array = np.array([element.decode() for element in array.ravel().tolist()], dtype=object).reshape(array.shape)
    return array.tolist() if is_nested and array.ndim else array.ravel().tolist()


def infer_body(
    inputs: Mapping[str, np.ndarray], *, modes: Mapping[str, str] | None = None, **fields: Any
) -> tuple[bytes, str | None]:
    """A body, and the value of the header with the length of its JSON part.

    Args:
        inputs: Tensors by name; elements of BYTES are bytes.
        modes: `binary`, `flat` or `nested` for each; binary by default.
        fields: `id`, `parameters`, `outputs`.
    """
    tensors, parts = [], []
    for name, array in inputs.items():
        mode = (modes or {}).get(name, "binary")
        tensor: dict[str, Any] = {"name": name, "shape": list(array.shape), "datatype": datatype(array)}
        if mode == "binary":
            parts.append(binary(array))
            tensor["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            tensor["data"] = plain(array, is_nested=mode == "nested")
        tensors.append(tensor)
    header = json.dumps({**fields, "inputs": tensors}).encode()
    return b"".join((header, *parts)), str(len(header)) if parts else None
