"""Dense requests: rows of numbers of fixed shape, read in one step per input."""

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from lightning_app.packaging.format.manifest import Manifest, TensorSpec
from lightning_app.packaging.runtime.row_ids import node_inputs
from lightning_app.packaging.runtime.values import Array

_MOST_VALUES = 2**20


class DenseReader:
    """Reads plain requests of a model whose inputs all have a fixed shape.

    Whatever is not plain (a missing value, a text, an unknown name, rows of other sizes, whole numbers or truth values
    that are no array of the dtype of the input) is left to the general way, which says what is wrong with it.

    Args:
        manifest: Manifest of the package.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._inputs = [(spec.name, np.dtype(spec.dtype), spec.shape[1:], spec.num_values) for spec in manifest.inputs]
        columns = manifest.inputs[0].columns if len(manifest.inputs) == 1 and _is_float(manifest.inputs[0]) else None
        self._columns = columns if columns is not None and len(manifest.inputs[0].shape) == 2 else None

    @classmethod
    def find(cls, manifest: Manifest) -> "DenseReader | None":
        """The reader for a package; None if its inputs are not all of this kind.

        Args:
            manifest: Manifest of the package.
        """
        fixed = all(isinstance(size, int) for spec in manifest.inputs for size in spec.shape[1:])
        # Indices alone (tokens, nodes) are left to the general way, and nodes are answered with their ids.
        plain = manifest.layout != "graphs" and any(map(_is_float, manifest.inputs)) and not node_inputs(manifest)
        return cls(manifest) if fixed and plain else None

    def read(self, request: Mapping[str, Any]) -> dict[str, Array] | None:
        """Values of each input, rows first; None if the request is not plain.

        Args:
            request: Input name, or column name, to an array or nested lists.
        """
        if len(request) != len(self._inputs) or self._inputs[0][0] not in request:
            return self._read_columns(request)
        values: dict[str, Array] = {}
        num_rows = 0
        for name, dtype, shape, num_values in self._inputs:
            if name not in request:
                return None
            value = request[name]
            array = _plain(value, dtype) if dtype.kind == "f" else _whole(value, dtype, num_values)
            if array is None or array.shape[1:] != shape or (values and len(array) != num_rows):
                return None
            num_rows = len(array)
            values[name] = array
        return values

    def _read_columns(self, request: Mapping[str, Any]) -> dict[str, Array] | None:
        if self._columns is None or len(request) != len(self._columns):
            return None
        try:
            columns = [request[name] for name in self._columns]
        except KeyError:
            return None
        name, dtype, shape, _ = self._inputs[0]
        array = _plain(columns, dtype)
        if array is None or array.ndim != 2 or len(array) != prod(shape):  # type: ignore[arg-type]
            return None
        return {name: np.ascontiguousarray(array.T)}


def _is_float(spec: TensorSpec) -> bool:
    return "float" in spec.dtype


def _whole(value: Any, dtype: np.dtype[Any], num_values: int | None) -> Array | None:
    """An array of whole numbers or truth values of the dtype of the input, below `num_values`; else None."""
    if not isinstance(value, np.ndarray) or value.dtype != dtype or not 0 < value.size <= _MOST_VALUES:
        return None
    if num_values is not None and not (value.min() >= 0 and value.max() < num_values):
        return None
    return np.ascontiguousarray(value)


def _plain(value: Any, dtype: np.dtype[Any]) -> Array | None:
    """Numbers in the dtype of the input; None unless there are some, and all are finite."""
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, OverflowError):
        return None
    if array.dtype.kind not in "fi" or array.ndim == 0 or not 0 < array.size <= _MOST_VALUES:
        return None
    if array.dtype == dtype:  # half the time of a call below
        array = np.ascontiguousarray(array)
    else:
        with np.errstate(over="ignore"):
            array = np.ascontiguousarray(array, dtype=dtype)
    return array if np.isfinite(array).all() else None
