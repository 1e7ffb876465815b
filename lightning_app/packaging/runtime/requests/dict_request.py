"""Dict requests: arrays, or nested lists as in JSON, by input name."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lightning_app.packaging.format.errors import RequestError
from lightning_app.packaging.format.signature import TensorSpec
from lightning_app.packaging.runtime.values import Array, Values


def read_request(request: Mapping[str, Any], inputs: Sequence[TensorSpec], bad: dict[int, str]) -> dict[str, Values]:
    """Reads the values of each input.

    Args:
        request: Input name to an array (N, ...), nested lists, or one of these per row if rows differ in size. An input
            with named columns may also be given as those columns.
        inputs: Inputs to read.
        bad: Row number to reason; rows that are None are added.

    Returns:
        Input name to values, rows first.

    Raises:
        RequestError: An input is missing, unknown, or not numeric.
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
        allowed = ", ".join(spec.name for spec in inputs) or "nothing beside what was read"
        raise RequestError(f"{unknown[0]}: no such input, allowed: {allowed}")
    return values


def _values(spec: TensorSpec, value: Any, bad: dict[int, str]) -> Values:
    name = spec.name
    if isinstance(value, np.ndarray) and value.dtype.kind == "O":  # a pandas column of lists
        value = list(value)
    is_list = isinstance(value, list | tuple)
    if is_list and len(spec.shape) > 1 and any(row is None for row in value):
        bad.update((index, f"{name}: missing") for index, row in enumerate(value) if row is None)
        return [np.zeros(0) if row is None else _array(name, row, spec) for row in value]
    try:
        array = _array(name, value, spec)
    except _UnevenError:
        if not is_list:
            raise
        return [_array(name, row, spec) for row in value]  # rows of different sizes
    if array.ndim < 1:
        raise RequestError(f"{name}: a single number given, one per row needed")
    return array


class _UnevenError(RequestError):
    """Nested lists of different lengths."""


def _array(name: str, value: Any, spec: TensorSpec) -> Array:
    if "int" in spec.dtype and _has_booleans(value):  # numpy would turn them into 0 and 1
        raise RequestError(f"{name}: true or false given, whole numbers needed")
    try:
        array = np.asarray(value)
        if array.dtype.kind == "O" and isinstance(value, list | tuple):  # None becomes NaN
            array = np.array(value, dtype=np.float64)
    except ValueError as error:
        raise _UnevenError(f"{name}: its lists have different lengths, or are no numbers") from error
    except (TypeError, OverflowError) as error:
        raise RequestError(f"{name}: numbers needed: {error}") from error
    if array.dtype.kind not in "fiub":
        kind = "text" if array.dtype.kind == "U" else f"values of {array.dtype}"
        raise RequestError(f"{name}: {kind} given, numbers needed")
    return array


def _has_booleans(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(isinstance(inner, bool) or _has_booleans(inner) for inner in value)
    return False
