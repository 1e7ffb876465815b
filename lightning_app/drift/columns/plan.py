"""ColumnPlan: how one column of a table is watched, as numbers or as categories."""

from typing import Literal

import polars as pl
from msgspec import Struct

from lightning_app.drift.columns.nested import (
    LABEL,
    LABEL_PART,
    as_flat_lists,
    flatten_structs,
    has_labels,
    inner_type,
    list_depth,
)
from lightning_app.drift.result import Kind

MAX_CATEGORIES = 100
MAX_ELEMENTS = 8
"""Lists of a fixed length up to this are watched element by element."""
_MAX_LABELS = 32
_SENTENCE = 4
"""Words from which on cells that differ are texts, however few they are."""
_MAX_CATEGORY_LENGTH = 256


class ColumnPlan(Struct, frozen=True, kw_only=True):
    """One monitored column.

    Attributes:
        name: Its name; `SOURCE` or `SOURCE.PART`.
        source: Column of the table.
        part: Part of a text or list: `length`, `words`, `size`, `mean`, `sd`, `last`, the position of an element, or
            `label=NAME` for the number of elements of a label.
        kind: How its values are counted.
        source_kind: What the column of the table holds.
        dtype: Its Polars type when it was planned.
    """

    name: str
    source: str
    part: str | None
    kind: Literal["number", "category"]
    source_kind: Kind
    dtype: str


def monitored_columns(table: pl.DataFrame) -> tuple[list[ColumnPlan], dict[str, str]]:
    """Decides how each column of a table is watched.

    Numbers and categories are watched as they are, texts by their length, lists by length, mean, spread and last
    value, short lists of a fixed length element by element, structs field by field, lists of structs with a `label` by
    their length and how many have each label.

    Args:
        table: Requests, answers and outcomes, a row each.

    Returns:
        The plans, and why other columns are left out.
    """
    plans: list[ColumnPlan] = []
    left_out: dict[str, str] = {}
    for series in flatten_structs(table).iter_columns():
        found = _plans_of(series)
        if isinstance(found, str):
            left_out[series.name] = found
        else:
            plans += found
    return plans, left_out


def _plans_of(series: pl.Series) -> list[ColumnPlan] | str:
    dtype = series.dtype
    if dtype.is_numeric() or dtype == pl.Duration:
        return [_plan(series, "number", "number")]
    if dtype in (pl.Boolean, pl.Categorical, pl.Enum, pl.Null):
        return [_plan(series, "category", "category")]
    if dtype == pl.String:
        if _is_text(series):
            return [_plan(series, "number", "text", part) for part in ("length", "words")]
        return [_plan(series, "category", "category")]
    if dtype.is_temporal():
        return "times are not watched"
    if isinstance(dtype, pl.List | pl.Array):
        return _list_plans(series)
    return f"values of the type {dtype} are not watched"


def _list_plans(series: pl.Series) -> list[ColumnPlan]:
    dtype = series.dtype
    inner, depth = inner_type(dtype), list_depth(dtype)
    values = series.drop_nulls()
    if depth > 1 and inner.is_numeric():
        values = as_flat_lists(values)
    lengths = values.arr.len() if isinstance(values.dtype, pl.Array) else values.list.len()
    fixed = int(lengths[0]) if len(lengths) and lengths.n_unique() == 1 else None
    if not inner.is_numeric() and inner != pl.Boolean:
        if depth == 1 and fixed == 1 and not inner.is_temporal():  # the one row of an answer to several rows
            return [_plan(series, "category", "list", "0")]
        return [_plan(series, "number", "list", part) for part in ("length", *_label_parts(values))]
    if depth > 1 and (fixed is None or fixed > MAX_ELEMENTS):
        return [_plan(series, "number", "list", part) for part in ("length", "size", "mean", "sd")]
    if fixed is not None and 1 <= fixed <= MAX_ELEMENTS:
        return [_plan(series, "number", "vector", str(position)) for position in range(fixed)]
    kind: Kind = "list" if fixed is None else "vector"
    return [_plan(series, "number", kind, part) for part in ("length", "mean", "sd", "last")]


def _label_parts(lists: pl.Series) -> list[str]:
    """Parts that count the elements of each label, where lists hold structs with a field `label`, such as entities."""
    if not has_labels(lists.dtype):
        return []
    labels = lists.list.eval(pl.element().struct.field(LABEL)).explode().drop_nulls().unique().sort()
    return [f"{LABEL_PART}{label}" for label in labels] if len(labels) <= _MAX_LABELS else []


def _plan(
    series: pl.Series, kind: Literal["number", "category"], source_kind: Kind, part: str | None = None
) -> ColumnPlan:
    name = series.name if part is None else f"{series.name}.{part}"
    return ColumnPlan(
        name=name, source=series.name, part=part, kind=kind, source_kind=source_kind, dtype=str(series.dtype)
    )


def _is_text(series: pl.Series) -> bool:
    values = series.drop_nulls()
    if values.is_empty():
        return False
    distinct = values.n_unique()
    longest = values.str.len_chars().max()
    assert isinstance(longest, int)
    if distinct <= len(values) / 2:
        return longest > _MAX_CATEGORY_LENGTH
    words = values.str.count_matches(r"\S+").mean()
    assert isinstance(words, float)
    return distinct > MAX_CATEGORIES or longest > _MAX_CATEGORY_LENGTH or words >= _SENTENCE
