"""Requests that are dicts of arrays, or of lists as JSON has them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lightning_app.packaging.errors import RequestError
from lightning_app.packaging.signature import TensorSpec
from lightning_app.packaging.values import Array, Values


def read_request(request: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> dict[str, Values]:
    """The numbers of each input, rows first.

    Args:
        request: By name of an input, an array (N, ...), nested lists, or one of these per row where rows differ in
            size. An input of named columns may also be those columns.
        inputs: What is looked for.

    Raises:
        RequestError: An input is missing, unknown, or not of numbers.
    """
    values: dict[str, Values] = {}
    used: set[str] = set()
    for spec in inputs:
        if spec.name in request:
            used.add(spec.name)
            values[spec.name] = _values(spec.name, request[spec.name])
        elif spec.columns is not None and len(spec.shape) == 2 and all(name in request for name in spec.columns):
            used.update(spec.columns)
            columns = [_array(name, request[name]) for name in spec.columns]
            if len({column.shape for column in columns}) > 1 or columns[0].ndim != 1:
                raise RequestError(f"{spec.name}: its columns have different numbers of rows")
            values[spec.name] = np.stack(columns, axis=1)
        else:
            raise RequestError(f"{spec.name}: not given, the request has {', '.join(map(str, request)) or 'nothing'}")
    if unknown := [name for name in request if name not in used]:
        raise RequestError(f"{unknown[0]}: no such input, allowed: {', '.join(spec.name for spec in inputs)}")
    return values


def _values(name: str, given: Any) -> Values:
    try:
        array = _array(name, given)
    except _UnevenError:
        if not isinstance(given, list | tuple):
            raise
        return [_array(name, row) for row in given]  # rows of different sizes
    if array.ndim < 1:
        raise RequestError(f"{name}: a single number given, one per row needed")
    return array


class _UnevenError(RequestError):
    """Lists that make no array."""


def _array(name: str, given: Any) -> Array:
    try:
        array = np.asarray(given)
        if array.dtype.kind == "O" and isinstance(given, list | tuple):  # None among numbers
            array = np.array(given, dtype=np.float64)
    except ValueError as error:
        raise _UnevenError(f"{name}: its lists have different lengths, or are no numbers") from error
    except (TypeError, OverflowError) as error:
        raise RequestError(f"{name}: numbers needed: {error}") from error
    if array.dtype.kind not in "fiub":
        raise RequestError(f"{name}: values of {array.dtype} given, numbers needed")
    return array
