"""Tables of raw rows in a request: columns as a table, several tables by name. Polars is imported only for them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lightning_app.packaging.format.errors import RequestError
from lightning_app.packaging.runtime.frames import as_frame

if TYPE_CHECKING:
    import polars as pl

_KINDS = {str: "text", bool: "truth value", int: "number", float: "number"}


def table_of(columns: Mapping[str, Any]) -> "pl.DataFrame":
    """Converts columns to a table.

    Args:
        columns: Column name to a list or an array.

    Raises:
        RequestError: The columns are no table.
    """
    import polars as pl

    try:
        return pl.DataFrame(dict(columns))
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
        series = [_column(name, values) for name, values in columns.items()]
    try:
        return pl.DataFrame(series)
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
        raise RequestError(f"request: its columns are no table: {_reason(error)}") from error


def _column(name: str, values: Any) -> "pl.Series":
    """A column whose first value does not tell its type: JSON writes 100.0 as 100."""
    import polars as pl

    if isinstance(values, list | tuple) and {type(value) for value in values} - {type(None)} == {int, float}:
        values = [None if value is None else float(value) for value in values]
    try:
        return pl.Series(name, values)
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
        raise RequestError(f"{name}: {_mixed(values) or _reason(error)}") from error


def _mixed(values: Any) -> str | None:
    """What is wrong with a column of texts, numbers and truth values; None if it is anything else."""
    cells = [(row, value) for row, value in enumerate(values) if type(value) in _KINDS]
    other = next((cell for cell in cells if _KINDS[type(cell[1])] != _KINDS[type(cells[0][1])]), None)
    if other is None:
        return None
    (first, one), (row, two) = cells[0], other
    return (
        f"row {first} holds the {_KINDS[type(one)]} {repr(one)[:50]}, row {row} the {_KINDS[type(two)]} "
        f"{repr(two)[:50]}; write all values of a column as one type"
    )


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:500]


def tables_of(request: Mapping[str, Any]) -> "dict[str, pl.DataFrame]":
    """Converts the tables of a request.

    Args:
        request: Table name to a table, or to its columns.

    Raises:
        RequestError: A value is no table.
    """
    tables = {}
    for name, value in request.items():
        frame = table_of(value) if isinstance(value, Mapping) else as_frame(value)
        if frame is None:
            raise RequestError(f"{name}: {type(value).__name__} given, a table needed")
        tables[name] = frame
    return tables
