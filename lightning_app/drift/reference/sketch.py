"""Sketch: counts of a window in the bins of a reference; sketches of several windows add up."""

import math
import sys
from typing import Self

from msgspec import Struct

_LARGEST = sys.float_info.max


class ColumnSketch(Struct, frozen=True, kw_only=True):
    """Counts of one monitored column.

    `rows` is the sum of `counts`, `missing`, `wrong_type`, `non_finite` and `absent`.

    Attributes:
        rows: Rows of the window.
        missing: Rows without a value.
        wrong_type: Rows with a value that cannot be read as what the column is.
        non_finite: Rows with NaN or infinity.
        absent: Rows of tables that do not have the column.
        unknown: Rows with a category that the reference does not have; they are also in the last bin.
        counts: Rows in each bin.
        mean: Mean of the numbers; 0 for categories.
        squares: Sum of squared distances from the mean.
        minimum: Smallest number.
        maximum: Largest number.
        below: Sum over the numbers below the first edge of their distance from it.
        above: Sum over the numbers above the last edge of their distance from it.
        dtypes: Types that the column had.
    """

    rows: int
    missing: int = 0
    wrong_type: int = 0
    non_finite: int = 0
    absent: int = 0
    unknown: int = 0
    counts: list[int]
    mean: float = 0.0
    squares: float = 0.0
    minimum: float | None = None
    maximum: float | None = None
    below: float = 0.0
    above: float = 0.0
    dtypes: list[str] = []

    @property
    def count(self) -> int:
        """Rows in bins."""
        return sum(self.counts)

    @property
    def unusable(self) -> int:
        """Rows in no bin."""
        return self.missing + self.wrong_type + self.non_finite + self.absent

    @property
    def sd(self) -> float | None:
        """Standard deviation of the numbers; None without numbers."""
        if self.minimum is None:
            return None
        return math.sqrt(self.squares / self.count)

    def __add__(self, other: Self) -> Self:
        """The sketch of both windows together."""
        if len(self.counts) != len(other.counts):
            raise ValueError(f"sketches of {len(self.counts)} and {len(other.counts)} bins cannot be added")
        mean, squares = _merged_moments(self, other)
        return type(self)(
            rows=self.rows + other.rows,
            missing=self.missing + other.missing,
            wrong_type=self.wrong_type + other.wrong_type,
            non_finite=self.non_finite + other.non_finite,
            absent=self.absent + other.absent,
            unknown=self.unknown + other.unknown,
            counts=[one + another for one, another in zip(self.counts, other.counts, strict=True)],
            mean=mean,
            squares=squares,
            minimum=min(_given(self.minimum, other.minimum), default=None),
            maximum=max(_given(self.maximum, other.maximum), default=None),
            below=finite(self.below + other.below),
            above=finite(self.above + other.above),
            dtypes=sorted({*self.dtypes, *other.dtypes}),
        )


class NewColumn(Struct, frozen=True, kw_only=True):
    """A column of a window that the reference does not have.

    Attributes:
        rows: Rows with a value.
        kind: What it holds, or would be left out for.
    """

    rows: int
    kind: str


class Sketch(Struct, frozen=True, kw_only=True):
    """Counts of a window.

    Attributes:
        bins: Digest of the bins of the reference; only sketches of the same bins add up.
        rows: Rows of the window.
        columns: By the name of the monitored column.
        new: Columns of the window that the reference does not have.
    """

    bins: str
    rows: int
    columns: dict[str, ColumnSketch]
    new: dict[str, NewColumn] = {}

    def __add__(self, other: Self) -> Self:
        """The sketch of both windows together."""
        if self.bins != other.bins:
            raise ValueError(f"sketches of different references ({self.bins}, {other.bins}) cannot be added")
        new = dict(self.new)
        for name, column in other.new.items():
            rows = column.rows + (new[name].rows if name in new else 0)
            new[name] = NewColumn(rows=rows, kind=column.kind)
        columns = {name: column + other.columns[name] for name, column in self.columns.items()}
        return type(self)(bins=self.bins, rows=self.rows + other.rows, columns=columns, new=new)


def finite(value: float) -> float:
    """A number that JSON has: the largest one instead of infinity, 0 instead of NaN (infinity minus infinity).

    Args:
        value: A number.
    """
    if math.isnan(value):
        return 0.0
    return min(max(value, -_LARGEST), _LARGEST)


def _merged_moments(one: ColumnSketch, other: ColumnSketch) -> tuple[float, float]:
    if one.minimum is None or other.minimum is None:
        return (other.mean, other.squares) if one.minimum is None else (one.mean, one.squares)
    share = other.count / (one.count + other.count)
    gap = finite(other.mean - one.mean)
    mean = finite(one.mean * (1 - share) + other.mean * share)
    return mean, finite(one.squares + other.squares + gap * gap * one.count * share)


def _given(*values: float | None) -> list[float]:
    return [value for value in values if value is not None]
