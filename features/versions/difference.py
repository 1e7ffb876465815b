"""Difference of two tables: schema, rows, and the distribution of each column."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import polars as pl

from features.versions.distribution import ColumnChange, compare_column

_COLUMNS_AT_ONCE = 8
_EXAMPLES = 3


@dataclass(frozen=True)
class RowChanges:
    """Rows that differ between the tables A and B.

    Attributes:
        before: Rows of A.
        after: Rows of B.
        added: Rows of B that A does not have: by key, else by the values of `compared`, as often as they occur.
        removed: Rows of A that B does not have.
        changed: Rows of the same key with other values in `compared`; None without a key.
        compared: Columns whose values are compared: those of both tables with one type, or with two types of numbers.
        examples: Keys of some rows that were added, removed and changed.
    """

    before: int
    after: int
    added: int
    removed: int
    changed: int | None
    compared: list[str]
    examples: dict[str, list[dict[str, object]]]


@dataclass(frozen=True)
class TableDifference:
    """What changed from A to B.

    Attributes:
        added: Columns of B only, and their types.
        removed: Columns of A only, and their types.
        retyped: Columns of both with another type: the one in A and the one in B.
        rows: Rows.
        columns: Columns of both with one type, or with two types of numbers.
    """

    added: dict[str, str]
    removed: dict[str, str]
    retyped: dict[str, tuple[str, str]]
    rows: RowChanges
    columns: list[ColumnChange]

    @property
    def same(self) -> bool:
        """Whether the tables have the same columns and rows, in any order."""
        rows = self.rows.added or self.rows.removed or self.rows.changed
        return not (self.added or self.removed or self.retyped or rows)


def compare_tables(a: pl.LazyFrame, b: pl.LazyFrame, *, key: Sequence[str] = ()) -> TableDifference:
    """Compares two tables.

    Args:
        a: The table before.
        b: The table after.
        key: Columns that identify a row, in both tables.

    Raises:
        ValueError: A key column is missing or of two types, or a key is null or not unique.
    """
    before, after = a.collect_schema(), b.collect_schema()
    retyped = {
        name: (str(before[name]), str(after[name])) for name in before if after.get(name, before[name]) != before[name]
    }
    numbers = [name for name in retyped if before[name].is_numeric() and after[name].is_numeric()]
    a, b = (frame.with_columns(pl.col(numbers).cast(pl.Float64)) for frame in (a, b))
    shared = [name for name in before if name in after and (name not in retyped or name in numbers)]
    for name in key:
        if name not in shared:
            reason = "has two types" if name in retyped else "is not in both tables"
            raise ValueError(f"key: column {name!r} {reason}; both have {', '.join(shared) or 'none'}")
    values = [name for name in shared if name not in key]
    rows, changed = _by_key(a, b, list(key), values) if key else (_by_values(a, b, shared), {})
    return TableDifference(
        added={name: str(kind) for name, kind in after.items() if name not in before},
        removed={name: str(kind) for name, kind in before.items() if name not in after},
        retyped=retyped,
        rows=rows,
        columns=[replace(column, changed=changed.get(column.column)) for column in _columns(a, b, shared)],
    )


def _columns(a: pl.LazyFrame, b: pl.LazyFrame, names: Sequence[str]) -> Iterator[ColumnChange]:
    """A few columns at a time, so that memory does not grow with the width of the tables."""
    for start in range(0, len(names), _COLUMNS_AT_ONCE):
        some = names[start : start + _COLUMNS_AT_ONCE]
        one, other = a.select(some).collect(), b.select(some).collect()
        yield from (compare_column(one[name], other[name]) for name in some)


def _by_values(a: pl.LazyFrame, b: pl.LazyFrame, names: list[str]) -> RowChanges:
    counts = []
    for frame, count in ((a, "a"), (b, "b")):
        hashed = pl.struct(names).hash() if names else pl.lit(0, pl.UInt64)
        rows = frame.select(hashed.alias("row")) if names else frame.select(pl.first()).select(hashed.alias("row"))
        counts.append(rows.group_by("row").agg(pl.len().cast(pl.Int64).alias(count)))
    both = counts[0].join(counts[1], on="row", how="full", coalesce=True).with_columns(pl.col("a", "b").fill_null(0))
    total = both.select(
        before=pl.col("a").sum(),
        after=pl.col("b").sum(),
        added=(pl.col("b") - pl.col("a")).clip(lower_bound=0).sum(),
        removed=(pl.col("a") - pl.col("b")).clip(lower_bound=0).sum(),
    ).collect(engine="streaming")
    return RowChanges(**total.row(0, named=True), changed=None, compared=names, examples={})


def _by_key(a: pl.LazyFrame, b: pl.LazyFrame, key: list[str], values: list[str]) -> tuple[RowChanges, dict[str, int]]:
    before, after = _check_key(a, key, "A"), _check_key(b, key, "B")
    renamed = b.select(*key, *(pl.col(name).alias(f"{name}\0") for name in values))
    both = a.select(*key, *values).join(renamed, on=key, how="inner")
    differs = {name: pl.col(name).ne_missing(pl.col(f"{name}\0")) for name in values}
    any_differs = pl.any_horizontal(*differs.values()) if differs else pl.lit(value=False)
    matched, changed, *by_column = (
        both.select(
            pl.len().alias("0"),
            any_differs.sum().alias("1"),
            *(test.sum().alias(str(place)) for place, test in enumerate(differs.values(), 2)),
        )
        .collect(engine="streaming")
        .row(0)
    )
    keys = {
        "added": b.select(key).join(a.select(key), on=key, how="anti"),
        "removed": a.select(key).join(b.select(key), on=key, how="anti"),
        "changed": both.filter(any_differs).select(key),
    }
    examples = {name: frame.head(_EXAMPLES).collect().rows(named=True) for name, frame in keys.items()}
    rows = RowChanges(
        before=before,
        after=after,
        added=after - matched,
        removed=before - matched,
        changed=int(changed or 0),
        compared=values,
        examples={name: rows for name, rows in examples.items() if rows},
    )
    return rows, {name: int(count or 0) for name, count in zip(differs, by_column, strict=True)}


def _check_key(frame: pl.LazyFrame, key: list[str], table: str) -> int:
    """Number of rows of a table whose key is known and unique."""
    groups = frame.select(key).group_by(key).len("rows of the key")
    worst = groups.filter(pl.any_horizontal(pl.col(key).is_null()) | (pl.col("rows of the key") > 1)).head(1).collect()
    if len(worst):
        *example, rows = worst.row(0)
        reason = "is null" if None in example else f"occurs {rows:,} times"
        raise ValueError(
            f"key: {', '.join(map(str, example))} {reason} in {table}; a key names one row: give more columns"
        )
    return int(frame.select(pl.len()).collect().item())
