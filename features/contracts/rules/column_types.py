"""Column types of contracts, and the parsing of text columns, as CSV files have them, into these types."""

from typing import Literal

import polars as pl

from features.table_reader import NULL_WORDS

TypeName = Literal["any", "int", "float", "bool", "str", "date", "datetime", "time", "duration"]
"""Type of a column; `float` accepts whole numbers too."""

_TIMES = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d")
_ZONED_TIMES = ("%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M%#z")


def type_name(dtype: pl.DataType) -> TypeName:
    """Narrowest type of a contract that accepts a polars type; `any` for nested ones and empty columns.

    Args:
        dtype: Type of a column.
    """
    if dtype.is_integer():
        return "int"
    if dtype.is_numeric():
        return "float"
    names: dict[type[pl.DataType], TypeName] = {
        pl.Boolean: "bool", pl.String: "str", pl.Categorical: "str", pl.Enum: "str",
        pl.Date: "date", pl.Datetime: "datetime", pl.Time: "time", pl.Duration: "duration",
    }  # fmt: skip
    return names.get(dtype.base_type(), "any")  # type: ignore[call-overload, no-any-return]


def accepts(name: TypeName, dtype: pl.DataType) -> bool:
    """Whether a column of a polars type is of a type of a contract; columns without any value are of every type.

    Args:
        name: Type of the contract.
        dtype: Type of the column.
    """
    actual = type_name(dtype)
    return name in ("any", actual) or (name == "float" and actual == "int") or dtype == pl.Null


def is_text(dtype: pl.DataType) -> bool:
    """Whether cells are text, plain or as categories."""
    return type_name(dtype) == "str"


def parsed(text: pl.Expr, name: TypeName, *, time_format: str | None = None, time_zone: str | None = None) -> pl.Expr:
    """Parses a text column; cells that cannot be parsed, and words for a missing value, become null.

    Args:
        text: Text column.
        name: Type to parse.
        time_format: Format of dates and timestamps in chrono's notation; None parses ISO 8601.
        time_zone: Zone of the parsed timestamps, whose cells then state their offset; None if no cell states one.
    """
    cells = text.str.strip_chars()
    match name:
        case "int":
            return cells.cast(pl.Int64, strict=False)
        case "float":
            return pl.when(~missing_word(text)).then(cells).cast(pl.Float64, strict=False)
        case "bool":
            lower = cells.str.to_lowercase()
            return pl.when(lower.is_in(["true", "false"])).then(lower == "true")
        case "date":
            return cells.str.to_date(time_format or "%Y-%m-%d", strict=False)
        case "datetime":
            return _timestamps(cells, time_format, time_zone)
        case "time":
            return cells.str.to_time(time_format or "%H:%M:%S%.f", strict=False)
        case _:
            return text


def missing_word(text: pl.Expr) -> pl.Expr:
    """Whether a cell of a text column stands for a missing number, truth value or time.

    Args:
        text: Text column.
    """
    return text.str.strip_chars().is_in(list(NULL_WORDS))


def _timestamps(cells: pl.Expr, time_format: str | None, time_zone: str | None) -> pl.Expr:
    if time_format is None:
        cells = cells.str.replace("T", " ", literal=True)
    formats = (time_format,) if time_format else _TIMES if time_zone is None else _ZONED_TIMES
    times = [cells.str.to_datetime(one, strict=False, time_unit="us") for one in formats]
    parsed_times = pl.coalesce(times) if len(times) > 1 else times[0]
    return parsed_times if time_zone is None else parsed_times.dt.convert_time_zone(time_zone)
