"""Index table: the rows of a table that an index takes, with their ids, and texts or embeddings."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from features.contracts.files.table_file import reading, scan_table
from lightning_app.errors import UsageError, nearest
from lightning_app.packaging.runtime.values import Array
from lightning_app.retrieval.index_folder import file_sha256


@dataclass(frozen=True)
class IndexTable:
    """Rows to index.

    Attributes:
        name: Name and sha256 of the file.
        rows: Columns `id` and `text`.
        vectors: Embeddings of the rows, float32 (N, E), where the table holds them.
        missing: Rows of the table without a text, or without an embedding, which are left out.
    """

    name: tuple[str, str]
    rows: pl.DataFrame
    vectors: Array | None
    missing: int

    @classmethod
    def read(cls, path: Path, *, column: str, id_column: str | None, is_embedding: bool = False) -> "IndexTable":
        """Reads a table.

        Args:
            path: parquet, CSV or Arrow file.
            column: Column of the texts, or of lists of numbers.
            id_column: Column of the ids; None for the number of the row, from 0.
            is_embedding: Whether `column` holds embeddings; a column `text` beside it is kept.

        Raises:
            UsageError: The table lacks a column, has an id twice or a row without one, or no text.
            ValueError: The file is no table.
        """
        table = scan_table(path)
        names = table.collect_schema().names()
        for key, name in (("column", column), ("id", id_column)):
            if name is not None and name not in names:
                raise UsageError(
                    f"{key}: {path} has no column {name!r}{nearest(name, names)}; it has {', '.join(names)}"
                )
        ids = pl.int_range(pl.len()) if id_column is None else pl.col(id_column)
        texts = pl.col("text") if is_embedding and "text" in names else pl.lit(None, pl.String)
        wanted = {"id": ids, "text": texts if is_embedding else pl.col(column)}
        if is_embedding:
            wanted["embedding"] = pl.col(column)
        frame = reading(path, lambda: table.select(**wanted).collect())
        _check_ids(frame["id"], path, id_column)
        if frame.schema["text"] != pl.String:
            raise UsageError(f"column: {column!r} of {path} holds {frame.schema['text']}, texts are needed")
        there = (
            frame["embedding"].is_not_null() if is_embedding else frame["text"].fill_null("").str.strip_chars() != ""
        )
        kept = frame.filter(there)
        if kept.is_empty():
            raise UsageError(f"column: no row of {path} has a value in {column!r}")
        return cls(
            name=(path.name, file_sha256(path)),
            rows=kept.select("id", "text"),
            vectors=_vectors(kept["embedding"], path, column) if is_embedding else None,
            missing=len(frame) - len(kept),
        )


def _check_ids(ids: pl.Series, path: Path, id_column: str | None) -> None:
    if missing := ids.null_count():
        raise UsageError(
            f"id: {missing:,} rows of {path} have no {id_column!r}; the first is row {ids.is_null().arg_max()}"
        )
    if ids.dtype.is_nested() or ids.dtype.is_float():
        raise UsageError(f"id: {id_column!r} of {path} holds {ids.dtype}, whole numbers or texts are needed")
    if twice := ids.is_duplicated().sum():
        first = ids.filter(ids.is_duplicated())[0]
        raise UsageError(f"id: {id_column!r} of {path} has {twice:,} rows with the id of another, e.g. {first!r}")


def _vectors(column: pl.Series, path: Path, name: str) -> Array:
    if not isinstance(column.dtype, pl.List | pl.Array) or not column.dtype.inner.is_numeric():  # type: ignore[union-attr]
        raise UsageError(f"column: {name!r} of {path} holds {column.dtype}, lists of numbers are needed")
    lists = column.cast(pl.List(pl.Float32))
    sizes = lists.list.len().unique().sort().to_list()
    if len(sizes) != 1 or not sizes[0]:
        raise UsageError(
            f"column: {name!r} of {path} holds lists of {sizes[0]} to {sizes[-1]} numbers, one size needed"
        )
    vectors = lists.explode().to_numpy().reshape(len(lists), -1)
    if not np.isfinite(vectors).all():
        row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
        raise UsageError(f"column: {name!r} of {path} holds numbers that are not finite, first in row {row}")
    return vectors
