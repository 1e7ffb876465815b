"""Rules on rows: a single row breaks them, by itself or beside earlier rows."""

import math
from typing import Literal

import polars as pl
from typing_extensions import override

from features.contracts.rules.base_rule import BaseRule, ColumnRule, Scalar, check_columns, check_values

Operator = Literal["<", "<=", "==", "!=", ">=", ">"]


class Range(ColumnRule, frozen=True, kw_only=True, tag="range"):
    """Values from `min` to `max`. Missing values pass; infinite ones break it.

    Attributes:
        column: Numbers, dates or timestamps.
        min: Lower bound, a number or an ISO 8601 text; None for none.
        max: Upper bound.
        min_excluded: Values must be larger than `min`.
        max_excluded: Values must be smaller than `max`.
    """

    min: float | int | str | None = None
    max: float | int | str | None = None
    min_excluded: bool = False
    max_excluded: bool = False

    def __post_init__(self) -> None:
        if self.min is None and self.max is None:
            raise ValueError(f"{self.title}: give min, max or both")
        for name, bound, excluded in (("min", self.min, self.min_excluded), ("max", self.max, self.max_excluded)):
            if isinstance(bound, float) and not math.isfinite(bound):
                raise ValueError(f"{self.title}: {name}: {bound} given, leave it out for no bound")
            if excluded and bound is None:
                raise ValueError(f"{self.title}: {name}_excluded given without {name}")
        if self.min is not None and self.max is not None:
            if isinstance(self.min, str) != isinstance(self.max, str):
                raise ValueError(f"{self.title}: min {self.min!r} and max {self.max!r} are of two types")
            if not isinstance(self.min, str) and not isinstance(self.max, str) and self.min > self.max:
                raise ValueError(f"{self.title}: min {self.min} is larger than max {self.max}")


class Unique(BaseRule, frozen=True, kw_only=True, tag="unique"):
    """No row repeats the values of an earlier one. Rows with a missing value in a column are not compared.

    Attributes:
        columns: One column or several, whose values together are unique.
    """

    columns: tuple[str, ...]

    def __post_init__(self) -> None:
        check_columns("unique", self.columns)

    @property
    @override
    def columns_read(self) -> tuple[str, ...]:
        return self.columns


class Allowed(ColumnRule, frozen=True, kw_only=True, tag="allowed"):
    """Values of a list. Missing values pass.

    Attributes:
        column: Texts, whole numbers or truth values.
        values: The allowed ones.
    """

    values: tuple[Scalar, ...]

    def __post_init__(self) -> None:
        check_values(self.title, self.values)


class Pattern(ColumnRule, frozen=True, kw_only=True, tag="pattern"):
    """Texts that a regular expression matches from the first to the last character. Missing values pass.

    Attributes:
        column: Texts.
        regex: Regular expression in Rust's syntax: no look-around, no back-references.
    """

    regex: str

    def __post_init__(self) -> None:
        try:
            pl.select(pl.lit("").str.contains(self.whole_cell))
        except pl.exceptions.PolarsError as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"{self.title}: {self.regex!r} is not a regular expression: {reason}") from error

    @property
    def whole_cell(self) -> str:
        """The expression, anchored at both ends."""
        return rf"\A(?:{self.regex})\z"


class Monotone(BaseRule, frozen=True, kw_only=True, tag="monotone"):
    """Values that never fall below one of an earlier row. Missing values are passed over.

    Attributes:
        column: Timestamps, dates or numbers.
        by: Columns of the entity, whose rows are compared with one another; a missing entity is one of its own.
        strict: Equal values break the rule too.
    """

    column: str
    by: tuple[str, ...] = ()
    strict: bool = False

    def __post_init__(self) -> None:
        if self.by:
            check_columns("monotone by", self.by)

    @property
    @override
    def columns_read(self) -> tuple[str, ...]:
        return (self.column, *self.by)


class Compare(BaseRule, frozen=True, kw_only=True, tag="compare"):
    """Relation between two columns of a row. Rows where one is missing pass.

    Attributes:
        left: First column.
        operator: Relation that holds.
        right: Second column, of the same kind: numbers, times or texts.
    """

    left: str
    operator: Operator
    right: str

    @property
    @override
    def columns_read(self) -> tuple[str, ...]:
        return (self.left, self.right)

    @property
    @override
    def title(self) -> str:
        return self.name or f"compare({self.left} {self.operator} {self.right})"
