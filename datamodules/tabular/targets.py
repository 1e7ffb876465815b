"""Targets of rows: class indices or numbers, from the values of a label."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from features.definitions.messages import nearest

_MOST_CLASSES = 1000
_TRUTH = {"false", "true"}


def label_column(rows: pl.DataFrame, column: str, *, has_classes: bool, suffix: str = "") -> pl.Series:
    """Values of a label that is a column of the rows, null where unknown; texts that are all numbers become numbers.

    Args:
        rows: The rows.
        column: Name of the column.
        has_classes: Whether the classes are configured; texts stay texts then.
        suffix: Removed from texts that end with it.

    Raises:
        ValueError: There is no such column.
    """
    if column not in rows.columns:
        raise ValueError(f"data.label: the rows have no column {column!r}{nearest(column, rows.columns)}")
    values = rows[column]
    if values.dtype == pl.String:
        values = values.str.strip_chars().str.strip_suffix(suffix)
        values = values.set(values == "", None)
        if not has_classes:
            numbers = values.cast(pl.Float64, strict=False)
            return numbers if numbers.null_count() == values.null_count() else values
    return values


def near_numbers(values: pl.Series, *, label: str) -> str | None:
    """A line on a label of texts that are numbers but for a few, such as `12,5`, which make all of them classes.

    Args:
        values: Values of the label, see `label_column`.
        label: Its name.
    """
    if values.dtype != pl.String:
        return None
    odd = values.filter(values.is_not_null() & values.cast(pl.Float64, strict=False).is_null())
    known = len(values) - values.null_count()
    if not len(odd) or 2 * len(odd) >= known:
        return None
    return (
        f"label: {known - len(odd):,} of {known:,} values of {label!r} are numbers, but not {odd[0]!r}"
        f"{f' and {len(odd) - 1:,} more' if len(odd) > 1 else ''}, so that all of them are classes"
    )


def named_classes(classes: Sequence[str | int | bool]) -> tuple[str, ...]:
    """Names of configured classes, in their order.

    Raises:
        ValueError: There are fewer than two, or one is repeated.
    """
    names = tuple(str(name).lower() if isinstance(name, bool) else str(name) for name in classes)
    if len(set(names)) != len(names) or len(names) < 2:
        raise ValueError(f"data.classes: {list(names)} given, two or more different ones are needed")
    return names


def classes_of(values: pl.Series, *, label: str) -> tuple[str, ...]:
    """Names of the classes of a label, sorted; none if it is a number.

    Args:
        values: Values of the label.
        label: Its name, for messages.

    Raises:
        ValueError: There are too few or too many.
    """
    if values.dtype.is_numeric():
        return ()
    names = tuple(sorted(_texts(values).drop_nulls().unique().to_list()))
    if len(names) < 2 or len(names) > _MOST_CLASSES:
        raise ValueError(f"data.label: {label!r} has {len(names):,} values, 2 to {_MOST_CLASSES:,} are needed")
    return names


def target_array(values: pl.Series, classes: Sequence[str]) -> np.ndarray:
    """Target of each row: class index int64, or the number float64; -1 or NaN where it is unknown.

    Args:
        values: Values of the label (N,).
        classes: Names of the classes; none if the label is a number.

    Raises:
        ValueError: A value is not among the classes.
    """
    if not classes:
        return values.cast(pl.Float64).fill_null(np.nan).to_numpy(writable=True)
    texts = _texts(values)
    index = texts.replace_strict(list(classes), list(range(len(classes))), default=None, return_dtype=pl.Int64)
    wrong = index.is_null() & texts.is_not_null()
    if wrong.any():
        hint = "; YAML reads yes and no as truth values, write them in quotes" if set(classes) <= _TRUTH else ""
        raise ValueError(
            f"data.classes: the label {texts.filter(wrong)[0]!r} is not among {list(classes)}, {int(wrong.sum()):,} "
            f"rows have such labels{hint}"
        )
    return index.fill_null(-1).to_numpy(writable=True)


def _texts(values: pl.Series) -> pl.Series:
    """Classes as texts: whole numbers without a decimal point."""
    if values.dtype.is_float():
        whole = values.cast(pl.Int64, strict=False)
        if whole.cast(values.dtype).equals(values):
            values = whole
    return values.cast(pl.String)
