"""Columns of a user's tables as tensors: ids, features, labels, times and splits."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor

from datamodules import table_reader
from datamodules.table_reader import number_columns, row_name
from features.graphs.features import feature_array
from features.graphs.ids import id_column, node_numbers, numbers_of

__all__ = [
    "class_labels",
    "feature_columns",
    "feature_matrix",
    "id_column",
    "node_classes",
    "node_numbers",
    "numbers_of",
    "read_table",
    "split_masks",
    "table_path",
    "times",
]

_SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


def table_path(path: str | Path, *, root: str | Path | None, key: str = "data.graph") -> Path:
    """Locates a table: the path itself, then below the data root."""
    return table_reader.table_path(path, root=root, key=key)


def read_table(
    path: str | Path,
    *,
    root: str | Path | None,
    needed: Sequence[str | None],
    ids: Sequence[str | None],
    key: str = "data.graph",
) -> pl.DataFrame:
    """Reads a parquet or CSV file.

    Args:
        path: The file, see `table_path`.
        root: The data root.
        needed: Required columns; None entries are ignored.
        ids: Columns with ids, read as text from a CSV file so that `007` keeps its zeros.
        key: Config key of the path, for messages.
    """
    texts = [name for name in ids if name is not None]
    file = table_path(path, root=root, key=key)
    # The columns of other tables, such as pairs, have names that are not chosen.
    advice = "; arguments of the source (`id`, `source`, `target`, `label`, ...) name the columns"
    return table_reader.read_table(file, texts=texts, needed=needed, advice=advice if key == "data.graph" else "")


def feature_columns(
    frame: pl.DataFrame,
    features: Sequence[str] | None,
    *,
    taken: Sequence[str | None],
    exclude: Sequence[str],
    file: str,
    key: str = "data.graph.exclude",
    may_be_none: bool = False,
) -> list[str]:
    """Names of the feature columns; None takes every column without another role, apart from `exclude`.

    Args:
        frame: The table.
        features: Names of the features, or None.
        taken: Columns with another role.
        exclude: Columns to leave out if `features` is None.
        file: The file, for messages.
        key: Config key of `exclude`, for messages.
        may_be_none: Whether a table without any is accepted.
    """
    if features is None and may_be_none and not set(frame.columns) - {*taken, *exclude}:
        return []
    if features is None:
        return number_columns(frame, file=file, taken=taken, exclude=exclude, key=key, booleans=True)
    if exclude:
        raise ValueError(f"{key}: {list(exclude)} given beside the features {list(features)}; give one of the two")
    for name in features:
        if name not in frame.columns:
            raise ValueError(f"{file}: no column {name!r}; it has {', '.join(frame.columns)}")
    return list(features)


def feature_matrix(frame: pl.DataFrame, features: Sequence[str], *, file: str, complete: bool = True) -> Tensor:
    """Converts numeric or boolean columns to float32 (N, F).

    Args:
        frame: Its rows in file order.
        features: Names of the columns.
        file: The file, for messages.
        complete: Raise on missing and infinite values; otherwise missing values are NaN.
    """
    return torch.from_numpy(feature_array(frame, features, file=file, complete=complete))


def node_classes(nodes: pl.DataFrame, label: str | None, *, file: str) -> tuple[Tensor, list[str]]:
    """`class_labels` of a column; without one, -1 for each node and no names."""
    if label is None:
        return torch.full((len(nodes),), -1), []
    return class_labels(nodes[label], file=file)


def class_labels(labels: pl.Series, *, file: str) -> tuple[Tensor, list[str]]:
    """Class indices int64 (N,) by sorted label, and the class names; empty and negative labels become -1."""
    if labels.dtype == pl.Boolean:
        labels = labels.cast(pl.Int8)
    elif labels.dtype in (pl.Categorical, pl.Enum):
        labels = labels.cast(pl.String)
    if labels.dtype.is_integer():
        labels = labels.set(labels < 0, None)
    elif labels.dtype == pl.String:
        labels = labels.set(labels.str.strip_chars() == "", None)  # parquet distinguishes empty text from null
    else:
        raise ValueError(f"{file}: label {labels.name!r} holds {labels.dtype}; classes are integers or texts")
    names = labels.drop_nulls().unique().sort()
    if not len(names):
        raise ValueError(f"{file}: label {labels.name!r} is empty in every row")
    numbers = pl.DataFrame({"label": names, "number": np.arange(len(names))})
    indices = pl.DataFrame({"label": labels}).join(numbers, on="label", how="left", maintain_order="left")["number"]
    return torch.from_numpy(indices.fill_null(-1).to_numpy().astype(np.int64)), [str(name) for name in names]


def times(column: pl.Series, *, file: str) -> Tensor:
    """Converts times to int64 (N,): integers unchanged, dates and timestamps as microseconds since 1970."""
    if column.null_count():
        raise ValueError(f"{file}: {column.name!r} is empty in {row_name(file, column.is_null().arg_max() or 0)}")
    if column.dtype == pl.String:
        try:
            column = column.str.to_datetime(time_unit="us")
        except pl.exceptions.PolarsError as error:
            raise ValueError(f"{file}: {column.name!r} holds texts that are not ISO 8601 times ({error})") from error
    if column.dtype.is_temporal():
        column = column.cast(pl.Datetime("us"))
    elif not column.dtype.is_integer():
        raise ValueError(f"{file}: {column.name!r} holds {column.dtype}; times are integers, dates or timestamps")
    return torch.from_numpy(column.cast(pl.Int64).to_numpy().copy())


def split_masks(column: pl.Series, *, file: str) -> dict[str, Tensor]:
    """`train_mask`, `val_mask` and `test_mask`, bool (N,), from a column of `train`, `val` (`validation`), `test`."""
    texts = column.cast(pl.String).str.to_lowercase()
    texts = texts.set(texts.str.strip_chars() == "", None)
    wrong = texts.is_not_null() & ~texts.is_in(list(_SPLITS))
    if wrong.any():
        raise ValueError(
            f"{file}: {column.name!r} holds {column.filter(wrong)[0]!r}; "
            "allowed are train, val, test, and empty for nodes that are in none"
        )
    splits = texts.replace(_SPLITS).fill_null("").to_numpy()
    return {f"{split}_mask": torch.from_numpy(splits == split) for split in ("train", "val", "test")}
