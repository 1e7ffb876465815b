"""Records: a few raw rows of a dict request as plain Python values, and the columns of their answers."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np

MOST_RECORDS = 256
"""As many rows are computed in plain Python; a table is faster for more."""
_CELLS = (str, int, float, bool, datetime, type(None))


def as_records(request: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """Rows of a dict request with lists, or with single cells; None if it is anything else, or has many rows.

    Args:
        request: Column name to a list of cells, or to one cell.
    """
    names, columns = list(request), list(request.values())
    if all(type(column) is list for column in columns):
        if not columns or not 0 < len(columns[0]) <= MOST_RECORDS or len(set(map(len, columns))) > 1:
            return None
        return [dict(zip(names, cells, strict=True)) for cells in zip(*columns, strict=True)]
    return [dict(request)] if all(type(column) in _CELLS for column in columns) else None


def as_columns(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Answers as the columns of a table would be as arrays.

    Args:
        answer: Name to a list of keys, or to an array.
    """
    return {name: _array(values) for name, values in answer.items()}


def _array(values: Any) -> Any:
    if isinstance(values, np.ndarray):
        return values.astype(object) if values.dtype.kind == "U" else values
    if isinstance(values[0], list):
        objects = np.empty(len(values), dtype=object)
        objects[:] = values
        return objects
    if isinstance(values[0], str):
        return np.array(values, dtype=object)
    if isinstance(values[0], datetime):
        return np.array([time.replace(tzinfo=None) for time in values], dtype="datetime64[us]")
    if isinstance(values[0], np.ndarray):  # rows differ in size
        return [row.astype(object) if row.dtype.kind == "U" else row for row in values]
    return np.array(values)
