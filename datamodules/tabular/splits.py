"""Splits of a table into training, validation and test rows."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import polars as pl
from typing_extensions import override

from datamodules.tabular.strata import shares, strata_of
from datamodules.tabular.text_table import TextFormat, read_text_table
from features.definitions.columns_read import TIME
from features.definitions.messages import nearest

Folds: TypeAlias = tuple[str, dict[str, Any]]
"""Class of the split of a cross-validation, and its arguments without `index`."""


@dataclass(frozen=True)
class TableRows:
    """Positions of the rows of each split, int64, ascending.

    Attributes:
        train: Training rows.
        val: Validation rows.
        test: Test rows.
    """

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray


class TableSplit(ABC):
    """A split protocol.

    Attributes:
        stratify: Column whose values all splits have alike; None if there is none.
    """

    stratify: str | None = None

    @abstractmethod
    def split(self, rows: pl.DataFrame) -> TableRows:
        """Assigns rows to splits.

        Args:
            rows: The rows, with their time in the column `time`.

        Raises:
            ValueError: A column is missing.
        """

    @abstractmethod
    def describe(self) -> str:
        """The protocol in words, for the report."""

    def folds(self, *, num_folds: int, stratify: str | None) -> Folds | None:  # noqa: ARG002
        """The cross-validation that goes with the protocol.

        Args:
            num_folds: Number of folds.
            stratify: Column of the label, if it has classes.

        Returns:
            None if the protocol says which rows test, so that there is nothing to fold.
        """
        return None


class TimeSplit(TableSplit):
    """The earliest rows train, the latest test. Rows of the same time stay together.

    Args:
        train: Share of training rows.
        val: Share of validation rows; the rest tests.
        gap: Rows left out before validation and before test, for labels that look ahead.
    """

    def __init__(self, *, train: float = 0.7, val: float = 0.15, gap: int = 0) -> None:
        _check_shares(train, val)
        if gap < 0:
            raise ValueError(f"data.split.gap: {gap} given, 0 or more rows are needed")
        self.train, self.val, self.gap = train, val, gap

    @override
    def split(self, rows: pl.DataFrame) -> TableRows:
        times = rows[TIME].to_numpy()
        if len(times) and times.min() == times.max():
            raise ValueError("data.split: TimeSplit given, all rows have the same time; take RandomSplit or GroupSplit")
        order = np.argsort(times, kind="stable")
        total = len(order)
        ends = [start_of_tie(times[order], int(share * total)) for share in (self.train, self.train + self.val)]
        parts = (order[: ends[0]], order[ends[0] + self.gap : ends[1]], order[ends[1] + self.gap :])
        return TableRows(*(np.sort(part) for part in parts))

    @override
    def describe(self) -> str:
        gap = f", {self.gap} rows left out between them" if self.gap else ""
        return f"by time: {self.train:g} train, {self.val:g} validation, the rest test{gap}"

    @override
    def folds(self, *, num_folds: int, stratify: str | None) -> Folds:
        return "TimeFolds", {"num_folds": num_folds, "val": self.val / (self.train + self.val), "gap": self.gap}


class RangeSplit(TableSplit):
    """Ranges of rows in order of time, for protocols that say so; rows in no range are left out.

    Args:
        train: First training row and the one after the last.
        val: Those of validation.
        test: Those of the test.
    """

    def __init__(self, *, train: tuple[int, int], val: tuple[int, int], test: tuple[int, int]) -> None:
        for name, (start, end) in (("train", train), ("val", val), ("test", test)):
            if not 0 <= start < end:
                raise ValueError(f"data.split.{name}: rows {start} to {end} given, an ascending range is needed")
        self.train, self.val, self.test = tuple(train), tuple(val), tuple(test)

    @override
    def split(self, rows: pl.DataFrame) -> TableRows:
        order = np.argsort(rows[TIME].to_numpy(), kind="stable")
        last = max(end for _, end in (self.train, self.val, self.test))
        if last > len(order):
            raise ValueError(f"data.split: rows up to {last:,} given, the table has {len(order):,} with a label")
        return TableRows(*(np.sort(order[start:end]) for start, end in (self.train, self.val, self.test)))

    @override
    def describe(self) -> str:
        ranges = (("train", self.train), ("validation", self.val), ("test", self.test))
        return f"by time: {', '.join(f'rows {start:,} to {end:,} {name}' for name, (start, end) in ranges)}"


class RandomSplit(TableSplit):
    """Rows at random.

    Args:
        train: Share of training rows.
        val: Share of validation rows; the rest tests.
        seed: Seed.
        stratify: Column whose values all splits have alike, e.g. that of the label; numbers by tenths of the rows.
    """

    def __init__(self, *, train: float = 0.7, val: float = 0.15, seed: int = 0, stratify: str | None = None) -> None:
        _check_shares(train, val)
        self.train, self.val, self.seed, self.stratify = train, val, seed, stratify

    @override
    def split(self, rows: pl.DataFrame) -> TableRows:
        rng = np.random.default_rng(self.seed)
        if self.stratify is None:
            return _by_shares(rng.permutation(len(rows)), self.train, self.val)
        part = shares(strata_of(column_of(rows, self.stratify, key="stratify")), (self.train, self.val), rng)
        return TableRows(*(np.flatnonzero(part == place) for place in range(3)))

    @override
    def describe(self) -> str:
        mixed = "" if self.stratify is None else f", with the same mix of {self.stratify}"
        return f"at random, seed {self.seed}: {self.train:g} train, {self.val:g} validation, the rest test{mixed}"

    @override
    def folds(self, *, num_folds: int, stratify: str | None) -> Folds:
        val = self.val / (self.train + self.val)
        return "KFoldSplit", {
            "num_folds": num_folds,
            "val": val,
            "seed": self.seed,
            "stratify": self.stratify or stratify,
        }


class GroupSplit(TableSplit):
    """Groups at random: all rows of a patient, a customer, ... are in the same split.

    Args:
        column: Column of the groups.
        train: Share of training groups.
        val: Share of validation groups; the rest test.
        seed: Seed.
    """

    def __init__(self, *, column: str, train: float = 0.7, val: float = 0.15, seed: int = 0) -> None:
        _check_shares(train, val)
        self.column, self.train, self.val, self.seed = column, train, val, seed

    @override
    def split(self, rows: pl.DataFrame) -> TableRows:
        numbers = column_of(rows, self.column).rank("dense").fill_null(0).to_numpy().astype(np.int64)
        order = np.random.default_rng(self.seed).permutation(int(numbers.max(initial=0)) + 1)
        groups = _by_shares(order, self.train, self.val)
        return TableRows(*(np.flatnonzero(np.isin(numbers, part)) for part in (groups.train, groups.val, groups.test)))

    @override
    def describe(self) -> str:
        return (
            f"by {self.column} at random, seed {self.seed}: {self.train:g} of them train, {self.val:g} validation, "
            "the rest test"
        )

    @override
    def folds(self, *, num_folds: int, stratify: str | None) -> Folds:
        val = self.val / (self.train + self.val)
        arguments = {"num_folds": num_folds, "val": val, "seed": self.seed, "stratify": stratify}
        return "KFoldSplit", {**arguments, "group": self.column}


class ListedSplit(TableSplit):
    """Rows whose key is listed in a file test; the keys of the others are split at random.

    Args:
        column: Column of the key.
        test: File with the keys of the test rows, CSV or parquet; looked for below `$LIGHTNING_APP_DATA` too.
        test_column: Column of the keys in that file; None for the same name.
        csv: How the file is written, as `csv` of a source; None for a plain CSV file.
        val: Share of validation keys among the others.
        seed: Seed.
    """

    def __init__(
        self,
        *,
        column: str,
        test: str | Path,
        test_column: str | None = None,
        csv: TextFormat | None = None,
        val: float = 0.15,
        seed: int = 0,
    ) -> None:
        _check_shares(1 - val, val)
        self.column, self.test, self.test_column = column, test, test_column or column
        self.csv = None if csv is None else csv.definition()
        self.val, self.seed = val, seed

    @override
    def split(self, rows: pl.DataFrame) -> TableRows:
        keys = column_of(rows, self.column).cast(pl.String)
        table = read_text_table(self.test, csv=self.csv, root=None, key="data.split.test")
        if self.test_column not in table.columns:
            raise ValueError(
                f"data.split.test_column: {self.test} has no column {self.test_column!r}"
                f"{nearest(self.test_column, table.columns)}"
            )
        listed = table[self.test_column].cast(keys.dtype if keys.dtype == pl.String else pl.String)
        if rows.schema[self.column].is_integer():  # 00042 is 42
            listed = listed.cast(pl.Int64, strict=False).cast(pl.String)
        is_test = keys.is_in(listed.drop_nulls().unique().implode()).fill_null(value=False).to_numpy()
        if not is_test.any():
            raise ValueError(f"data.split.test: no {self.column} of the rows is in {self.test}")
        others = keys.filter(~is_test).unique().sort()
        order = np.random.default_rng(self.seed).permutation(len(others))
        is_val = (
            keys.is_in(others.gather(order[: int(self.val * len(order))]).implode()).fill_null(value=False).to_numpy()
        )
        return TableRows(*(np.flatnonzero(mask) for mask in (~is_test & ~is_val, is_val, is_test)))

    @override
    def describe(self) -> str:
        return (
            f"{self.column} in {Path(self.test).name} test; of the others {self.val:g} validation at random, "
            f"seed {self.seed}"
        )


def _check_shares(train: float, val: float) -> None:
    if not 0 < train < 1 or not 0 <= val < 1 or train + val > 1:
        raise ValueError(
            f"data.split: train {train:g} and val {val:g} given, shares that add up to at most 1 are needed"
        )


def _by_shares(order: np.ndarray, train: float, val: float) -> TableRows:
    first, second = int(train * len(order)), int((train + val) * len(order))
    return TableRows(*(np.sort(part) for part in (order[:first], order[first:second], order[second:])))


def start_of_tie(times: np.ndarray, position: int) -> int:
    """First of the rows that have the time of a row, so that no time is cut in two.

    Args:
        times: Ascending times.
        position: Of the row.
    """
    return int(np.searchsorted(times, times[position])) if position < len(times) else position


def column_of(rows: pl.DataFrame, name: str, *, key: str = "column") -> pl.Series:
    """A column that a split protocol names.

    Args:
        rows: The rows.
        name: Name of the column.
        key: Argument of the split, for messages.

    Raises:
        ValueError: There is no such column.
    """
    if name not in rows.columns:
        raise ValueError(f"data.split.{key}: the rows have no column {name!r}{nearest(name, rows.columns)}")
    return rows[name]
