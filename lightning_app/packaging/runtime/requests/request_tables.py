"""Tables of raw rows in a request: columns as a table, several tables by name. Polars is imported only for them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lightning_app.packaging.format.errors import RequestError
from lightning_app.packaging.runtime.frames import as_frame

if TYPE_CHECKING:
    import polars as pl


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
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
        why = (str(error).strip() or type(error).__name__).splitlines()[0][:500]
        raise RequestError(f"request: its columns are no table: {why}") from error


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
