"""Distribution of a column in two tables: nulls, range, population stability index, share of new categories."""

from dataclasses import dataclass

import numpy as np
import polars as pl

_MOST_CATEGORIES = 50
_BINS = 10
_SMALLEST_SHARE = 1e-4


@dataclass(frozen=True)
class ColumnChange:
    """A column of both tables, A and B.

    Attributes:
        column: Its name.
        nulls: Share of nulls in A and in B; NaN counts as null.
        ranges: Smallest and largest value in A and in B, as text; None for text, nested and empty columns.
        psi: Population stability index of B against A, without nulls: 0 for the same shares, above 0.2 a clear shift.
            By deciles of A for numbers, by value for few values; None for times and for many categories.
        new_categories: Share of B's values that do not occur in A, for text; else None.
        changed: Rows with another value, if rows are matched by a key; else None.
    """

    column: str
    nulls: tuple[float, float]
    ranges: tuple[str, str] | None
    psi: float | None
    new_categories: float | None
    changed: int | None = None

    @property
    def differs(self) -> bool:
        """Whether anything of it differs between the tables."""
        ranges = self.ranges is not None and self.ranges[0] != self.ranges[1]
        drift = (self.psi or 0.0) > 1e-9 or (self.new_categories or 0.0) > 0
        return self.nulls[0] != self.nulls[1] or ranges or drift or bool(self.changed)


def compare_column(a: pl.Series, b: pl.Series) -> ColumnChange:
    """Compares the values of a column.

    Args:
        a: Values in A.
        b: Values in B, of the same type.
    """
    one, other = _values(a), _values(b)
    kind = a.dtype
    ranged = (kind.is_numeric() or kind.is_temporal()) and (len(one) > 0 or len(other) > 0)
    psi = None
    if len(one) and len(other) and not kind.is_temporal() and not kind.is_nested():
        psi = (
            _psi_of_categories(one, other) if _few(one) else _psi_of_numbers(one, other) if kind.is_numeric() else None
        )
    categories = kind in (pl.String, pl.Categorical, pl.Enum)
    return ColumnChange(
        column=a.name,
        nulls=(1 - len(one) / max(len(a), 1), 1 - len(other) / max(len(b), 1)),
        ranges=(_range(one), _range(other)) if ranged else None,
        psi=psi,
        new_categories=_share_of_new(one, other) if categories and len(other) else None,
    )


def _values(column: pl.Series) -> pl.Series:
    known = column.drop_nulls()
    return known.drop_nans() if known.dtype.is_float() else known


def _range(values: pl.Series) -> str:
    if not len(values):
        return "none"
    ends = (values.min(), values.max())
    return " .. ".join(f"{end:.6g}" if isinstance(end, float) else str(end) for end in ends)


def _few(values: pl.Series) -> bool:
    return values.n_unique() <= (_MOST_CATEGORIES if values.dtype == pl.String else 2 * _BINS)


def _share_of_new(one: pl.Series, other: pl.Series) -> float:
    return 1 - float(other.is_in(one.unique().implode()).mean() or 0.0)  # type: ignore[arg-type]


def _psi_of_categories(one: pl.Series, other: pl.Series) -> float:
    """All values that A does not have are one category."""
    name = one.name
    before = one.value_counts(name="a")
    after = other.value_counts(name="b")
    both = before.join(after, on=name, how="left").fill_null(0)
    unseen = len(other) - int(both["b"].sum())
    return _psi(np.append(both["a"].to_numpy(), 0), np.append(both["b"].to_numpy(), unseen))


def _psi_of_numbers(one: pl.Series, other: pl.Series) -> float:
    first, second = one.cast(pl.Float64).to_numpy(), other.cast(pl.Float64).to_numpy()
    edges = np.unique(np.quantile(first, np.linspace(0, 1, _BINS + 1)[1:-1]))
    counts = [
        np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
        for values in (first, second)
    ]
    return _psi(counts[0], counts[1])


def _psi(one: np.ndarray, other: np.ndarray) -> float:
    occupied = (one > 0) | (other > 0)
    p, q = (np.maximum(counts[occupied] / counts.sum(), _SMALLEST_SHARE) for counts in (one, other))
    return float(((q - p) * np.log(q / p)).sum())
