"""Dense requests: rows of floating-point numbers of fixed shape, read in one step per input."""

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.runtime.values import Array

_MOST_VALUES = 2**20


class DenseReader:
    """Reads plain requests of a model whose inputs all are floating-point numbers of fixed shape.

    Whatever is not plain (a missing value, a text, an unknown name, rows of other sizes) is left to the general way,
    which says what is wrong with it.

    Args:
        manifest: Manifest of the package.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._inputs = [(spec.name, np.dtype(spec.dtype), spec.shape[1:]) for spec in manifest.inputs]
        columns = manifest.inputs[0].columns if len(manifest.inputs) == 1 else None
        self._columns = columns if columns is not None and len(manifest.inputs[0].shape) == 2 else None

    @classmethod
    def find(cls, manifest: Manifest) -> "DenseReader | None":
        """The reader for a package; None if its inputs are not all of this kind.

        Args:
            manifest: Manifest of the package.
        """
        fixed = all(
            "float" in spec.dtype and all(isinstance(size, int) for size in spec.shape[1:]) for spec in manifest.inputs
        )
        return cls(manifest) if fixed and manifest.layout != "graphs" else None

    def read(self, request: Mapping[str, Any]) -> dict[str, Array] | None:
        """Values of each input, rows first; None if the request is not plain.

        Args:
            request: Input name, or column name, to an array or nested lists.
        """
        if len(request) != len(self._inputs) or self._inputs[0][0] not in request:
            return self._read_columns(request)
        values: dict[str, Array] = {}
        num_rows = 0
        for name, dtype, shape in self._inputs:
            if name not in request:
                return None
            array = _plain(request[name], dtype)
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
        name, dtype, shape = self._inputs[0]
        array = _plain(columns, dtype)
        if array is None or array.ndim != 2 or len(array) != prod(shape):  # type: ignore[arg-type]
            return None
        return {name: np.ascontiguousarray(array.T)}


def _plain(value: Any, dtype: np.dtype[Any]) -> Array | None:
    """Numbers in the dtype of the input; None unless there are some, and all are finite."""
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, OverflowError):
        return None
    if array.dtype.kind not in "fi" or array.ndim == 0 or not 0 < array.size <= _MOST_VALUES:
        return None
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(array, dtype=dtype)
    return array if np.isfinite(array).all() else None
