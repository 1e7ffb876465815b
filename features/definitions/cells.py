"""Cells: single values of a declared type in plain Python, as `as_declared` converts columns."""

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from features.definitions.source import Column

BLANKS = " \t\n\r\f\v\x85\xa0\u2007\u202f\u3000\ufeff"
"""Characters that are removed around texts, the same ones in polars and in Python."""
_LARGEST = 2**63
_EXACT = 2.0**53
_ISO = re.compile(
    r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{3}(?:\d{3})?)?)?(?:Z|[+-]\d{2}:\d{2})?)?", re.ASCII
)


class TableNeededError(Exception):
    """A row that only the table form can answer, or refuse with the right words."""


def cell_reader(declared: Column) -> Callable[[Any], Any] | None:
    """A function that converts a cell to its declared type; None if only the table form reads such a column.

    The function returns int, float, bool, str, or datetime (without a zone, or in UTC), None where the cell is missing,
    and raises `TableNeededError` for all that needs a second look.

    Args:
        declared: Declaration of the column.
    """
    if declared.type == "datetime":
        return None if declared.format is not None else read_moment
    return {"int": _whole_number, "float": _number, "bool": _truth, "str": _text}[declared.type]


def read_moment(cell: Any) -> datetime | None:
    """A point in time, of a datetime or of text in ISO 8601.

    Args:
        cell: The cell.

    Returns:
        A datetime without a zone, or in UTC.

    Raises:
        TableNeededError: It is something else.
    """
    if cell is None:
        return None
    if type(cell) is str and _ISO.fullmatch(cell):
        try:
            moment = datetime.fromisoformat(cell)
            return moment if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise TableNeededError from error
    if type(cell) is datetime:
        if cell.tzinfo is None or cell.tzinfo is UTC:
            return cell
        if str(cell.tzinfo) == "UTC":
            return cell.replace(tzinfo=UTC)
    raise TableNeededError


def _number(cell: Any) -> float | None:
    kind = type(cell)
    if kind is float:
        if math.isfinite(cell):
            return cell  # type: ignore[no-any-return]
        if math.isnan(cell):
            return None
    elif cell is None:
        return None
    elif kind is int and -_LARGEST <= cell < _LARGEST:
        return float(cell)
    raise TableNeededError


def _whole_number(cell: Any) -> int | None:
    kind = type(cell)
    if kind is int:
        if -_LARGEST <= cell < _LARGEST:
            return cell  # type: ignore[no-any-return]
    elif cell is None:
        return None
    elif kind is float:
        if math.isnan(cell):
            return None
        if abs(cell) < _EXACT and cell.is_integer():
            return int(cell)
    raise TableNeededError


def _truth(cell: Any) -> bool | None:
    if cell is None or type(cell) is bool:
        return cell
    if type(cell) is int and cell in (0, 1):
        return bool(cell)
    raise TableNeededError


def text_cell(cell: Any) -> str | None:
    """A cell of a column whose texts an encoder reads; the table form counts whole numbers among them.

    Args:
        cell: The cell.

    Raises:
        TableNeededError: It is no text.
    """
    if cell is None or type(cell) is str:
        return cell
    raise TableNeededError


def _text(cell: Any) -> str | None:
    if cell is None or type(cell) is str:
        return cell
    if type(cell) is int and -_LARGEST <= cell < _LARGEST:
        return str(cell)
    raise TableNeededError
