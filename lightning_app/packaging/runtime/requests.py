"""Requests that are dicts of arrays, or of lists as JSON has them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lightning_app.packaging.format.errors import RequestError
from lightning_app.packaging.format.signature import TensorSpec
from lightning_app.packaging.runtime.values import Array, Values


def read_request(request: Mapping[str, Any], inputs: Sequence[TensorSpec], bad: dict[int, str]) -> dict[str, Values]:
    """The numbers of each input, rows first.

    Args:
        request: By name of an input, an array (N, ...), nested lists, or one of these per row where rows differ in
            size. An input of named columns may also be those columns.
        inputs: What is looked for.
        bad: By row, why it cannot be answered; rows are added that are None.

    Raises:
        RequestError: An input is missing, unknown, or not of numbers.
    """
    values: dict[str, Values] = {}
    used: set[str] = set()
    for spec in inputs:
        if spec.name in request:
            used.add(spec.name)
            values[spec.name] = _values(spec, request[spec.name], bad)
        elif spec.columns is not None and len(spec.shape) == 2 and all(name in request for name in spec.columns):
            used.update(spec.columns)
            columns = [_array(name, request[name], spec) for name in spec.columns]
            if len({column.shape for column in columns}) > 1 or columns[0].ndim != 1:
                raise RequestError(f"{spec.name}: its columns have different numbers of rows")
            values[spec.name] = np.stack(columns, axis=1)
        else:
            raise RequestError(f"{spec.name}: not given, the request has {', '.join(map(str, request)) or 'nothing'}")
    if unknown := [name for name in request if name not in used]:
        raise RequestError(f"{unknown[0]}: no such input, allowed: {', '.join(spec.name for spec in inputs)}")
    return values


def _values(spec: TensorSpec, given: Any, bad: dict[int, str]) -> Values:
    name = spec.name
    if isinstance(given, np.ndarray) and given.dtype.kind == "O":  # a column of lists, taken out of a table
        given = list(given)
    is_list = isinstance(given, list | tuple)
    if is_list and len(spec.shape) > 1 and any(row is None for row in given):
        bad.update((place, f"{name}: missing") for place, row in enumerate(given) if row is None)
        return [np.zeros(0) if row is None else _array(name, row, spec) for row in given]
    try:
        array = _array(name, given, spec)
    except _UnevenError:
        if not is_list:
            raise
        return [_array(name, row, spec) for row in given]  # rows of different sizes
    if array.ndim < 1:
        raise RequestError(f"{name}: a single number given, one per row needed")
    return array


class _UnevenError(RequestError):
    """Lists that make no array."""


def _array(name: str, given: Any, spec: TensorSpec) -> Array:
    if "int" in spec.dtype and _holds_truth(given):  # among whole numbers they would become 0 and 1
        raise RequestError(f"{name}: true or false given, whole numbers needed")
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


def _holds_truth(given: Any) -> bool:
    if isinstance(given, list | tuple):
        return any(isinstance(inner, bool) or _holds_truth(inner) for inner in given)
    return False
