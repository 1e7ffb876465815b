"""Ids of nodes and graphs: columns of ids, and the numbers that they are looked up as."""

import numpy as np
import polars as pl

from features.table_reader import row_name


def id_column(ids: pl.Series, *, file: str) -> pl.Series:
    """Normalises an id column to int64 or text, as used in predictions; see `node_numbers` for further checks."""
    if ids.dtype in (pl.Categorical, pl.Enum):
        return ids.cast(pl.String)
    if ids.dtype == pl.String:
        if (wrong := ids.str.contains("\0", literal=True).fill_null(value=False)).any():
            raise ValueError(f"{file}: {ids.name!r} holds a NUL character in {row_name(file, wrong.arg_max() or 0)}")
        return ids
    if not ids.dtype.is_integer():
        raise ValueError(f"{file}: {ids.name!r} holds {ids.dtype}; ids are whole numbers or texts")
    whole = ids.cast(pl.Int64, strict=False)
    if whole.null_count() > ids.null_count():
        row = (whole.is_null() & ids.is_not_null()).arg_max()
        assert row is not None
        row_text = row_name(file, row)
        raise ValueError(f"{file}: {ids.name!r} has {ids[row]} in {row_text}; give ids of 63 bits, or texts")
    return whole


def node_numbers(ids: pl.Series, *, file: str) -> pl.DataFrame:
    """Indices of ids: a table of `id` and `number` (0 to N - 1, in row order)."""
    if ids.null_count():
        raise ValueError(f"{file}: {ids.name!r} is empty in {row_name(file, ids.is_null().arg_max() or 0)}")
    if ids.is_duplicated().any():
        twice = ids.filter(ids.is_duplicated())[0]
        raise ValueError(f"{file}: {ids.name!r} has {twice!r} more than once; ids must differ")
    return pl.DataFrame({"id": ids, "number": np.arange(len(ids))})


def numbers_of(
    ids: pl.Series, numbers: pl.DataFrame, *, file: str, where: str, rows: np.ndarray | None = None
) -> np.ndarray:
    """Looks up the indices int64 (E,) of ids in the table of `node_numbers`.

    Args:
        ids: Ids to look up.
        numbers: See `node_numbers`.
        file: The file, for messages.
        where: Name of the table, for messages.
        rows: File rows of the ids, int64 (E,), if they were reordered.

    Raises:
        ValueError: An id is not in the table.
    """
    if ids.dtype.is_integer() and numbers.schema["id"] == pl.Int64:
        ids = ids.cast(pl.Int64, strict=False)
    if ids.dtype != numbers.schema["id"]:  # integers in one file, text in the other: compare as text
        ids, numbers = ids.cast(pl.String), numbers.with_columns(pl.col("id").cast(pl.String))
    indices = pl.DataFrame({"id": ids}).join(numbers, on="id", how="left", maintain_order="left")["number"]
    if indices.null_count():
        row = indices.is_null().arg_max()
        assert row is not None
        row_text = row_name(file, row if rows is None else int(rows[row]))
        raise ValueError(
            f"{file}: {ids.name!r} has {ids[row]!r} in {row_text}, which is not among {where}; remove the row or add "
            "the id"
        )
    return indices.to_numpy().astype(np.int64)
