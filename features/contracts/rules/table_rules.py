"""Rules on the table as a whole: shares, counts, age."""

import polars as pl
from typing_extensions import override

from features.contracts.rules.base_rule import BaseRule, ColumnRule, Scalar, check_share, check_values
from features.definitions.duration import Duration, microseconds


class Nulls(ColumnRule, frozen=True, kw_only=True, tag="nulls"):
    """Share of missing values (null, NaN) among all rows; 0 for an empty table.

    Attributes:
        column: Any column.
        max_share: Largest allowed share, from 0 to 1. With 0 the rule concerns single rows.
    """

    max_share: float = 0.0

    def __post_init__(self) -> None:
        check_share(self.title, self.max_share)
        self.check_severity()

    @property
    @override
    def marks_rows(self) -> bool:
        return self.max_share == 0


class UnknownShare(ColumnRule, frozen=True, kw_only=True, tag="unknown_share"):
    """Share of categories that are not in a vocabulary, among the values that are not missing; 0 if all are.

    Attributes:
        column: Texts, whole numbers or truth values.
        values: The vocabulary.
        max_share: Largest allowed share, from 0 to 1.
    """

    values: tuple[Scalar, ...]
    max_share: float

    def __post_init__(self) -> None:
        check_share(self.title, self.max_share)
        check_values(self.title, self.values)
        self.check_severity()

    @property
    @override
    def marks_rows(self) -> bool:
        return False


class Freshness(ColumnRule, frozen=True, kw_only=True, tag="freshness"):
    """Age of the newest row that does not lie in the future. A table without such a row breaks it.

    Attributes:
        column: Timestamps or dates.
        max_age: Largest age, e.g. `36h` or `2d`.
        time_zone: Zone of timestamps that state none.
    """

    max_age: Duration
    time_zone: str = "UTC"

    def __post_init__(self) -> None:
        try:
            microseconds(self.max_age)
        except ValueError as error:
            raise ValueError(f"{self.title}: max_age: {error}") from error
        try:
            pl.select(pl.lit(0).cast(pl.Datetime("us")).dt.replace_time_zone(self.time_zone))
        except pl.exceptions.PolarsError as error:
            raise ValueError(f"{self.title}: time_zone: {self.time_zone!r} is no zone such as Europe/Berlin") from error
        self.check_severity()

    @property
    @override
    def marks_rows(self) -> bool:
        return False


class RowCount(BaseRule, frozen=True, kw_only=True, tag="row_count"):
    """Number of rows.

    Attributes:
        min: Least allowed number.
        max: Largest allowed number; None for none.
    """

    min: int = 1
    max: int | None = None

    def __post_init__(self) -> None:
        if self.min < 0 or (self.max is not None and self.max < self.min):
            raise ValueError(f"{self.title}: min {self.min}, max {self.max} given, 0 <= min <= max is needed")
        self.check_severity()

    @property
    @override
    def columns_read(self) -> tuple[str, ...]:
        return ()

    @property
    @override
    def title(self) -> str:
        return self.name or "row_count"

    @property
    @override
    def marks_rows(self) -> bool:
        return False
