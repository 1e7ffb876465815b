"""Texts of values, independent of the version of polars, and functions of distinct values."""

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Any

import polars as pl


def map_values(column: pl.Series, function: Callable[[Any], Any], dtype: Any) -> pl.Series:
    """Applies a Python function once per distinct value; nulls stay null.

    Args:
        column: The values.
        function: Function of one value.
        dtype: Type of its answers.
    """
    if len(column) <= 16:
        few = [None if value is None else function(value) for value in column]
        return pl.Series(column.name, few, dtype=dtype)
    distinct = column.drop_nulls().unique()
    answers = pl.Series([function(value) for value in distinct], dtype=dtype)
    return column.replace_strict(distinct, answers, default=None, return_dtype=dtype)


def texts_of(column: pl.Series) -> pl.Series:
    """Texts of values: text as it is, whole numbers in decimals, `true` and `false`, others as Python writes them.

    Args:
        column: The values.
    """
    if column.dtype == pl.String:
        return column
    return map_values(column, text_of, pl.String)


def text_of(value: Any) -> str:
    """Text of one value, see `texts_of`.

    Args:
        value: The value, not None.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, datetime) else repr(value)


def bucket_of(text: str, *, buckets: int, salt: int = 0) -> int:
    """64 bits of BLAKE2b of a text modulo a number of buckets.

    Args:
        text: The text.
        buckets: Number of buckets.
        salt: Changes which texts share a bucket.
    """
    digest = hashlib.blake2b(text.encode(), digest_size=8, salt=salt.to_bytes(8, "little", signed=True)).digest()
    return int.from_bytes(digest, "little") % buckets
