"""KFoldSplit and TimeFolds: the splits of cross-validation, one fold per fit."""

import numpy as np
import polars as pl
from typing_extensions import override

from datamodules.tabular.splits import TableRows, TableSplit, column_of, start_of_tie
from datamodules.tabular.strata import folds, group_shares, groups_of, shares, strata_of
from features.definitions.columns_read import TIME


class KFoldSplit(TableSplit):
    """Cross-validation: one fold tests, a share of the other rows validates, the rest train.

    Over all indices every row tests exactly once.

    Args:
        index: The fold that tests, from 0.
        num_folds: Number of folds.
        val: Share of the other rows, or of their groups, that validates.
        seed: Seed of the folds and of the validation rows.
        stratify: Column whose values all folds have alike, e.g. that of the label; numbers by tenths of the rows.
        group: Column whose rows of one value stay together, e.g. a patient.
        published: Protocol whose test rows are left out altogether: the folds are those of its other rows.
    """

    def __init__(
        self,
        *,
        index: int = 0,
        num_folds: int = 5,
        val: float = 0.15,
        seed: int = 0,
        stratify: str | None = None,
        group: str | None = None,
        published: TableSplit | None = None,
    ) -> None:
        check_fold(index, num_folds, val)
        self.index, self.num_folds, self.val, self.seed = index, num_folds, val, seed
        self.stratify, self.group, self.published = stratify, group, published

    @override
    def split(self, rows: pl.DataFrame) -> TableRows:
        chosen = np.arange(len(rows))
        if self.published is not None:
            parts = self.published.split(rows)
            chosen = np.sort(np.concatenate([parts.train, parts.val]))
        rows = rows[chosen]
        strata = np.zeros(len(rows), dtype=np.int64)
        if self.stratify is not None:
            strata = strata_of(column_of(rows, self.stratify, key="stratify"))
        groups = None if self.group is None else groups_of(column_of(rows, self.group, key="group"))
        units = len(rows) if groups is None else int(groups.max(initial=-1)) + 1
        if units < self.num_folds:
            of = "rows" if groups is None else f"different {self.group}"
            raise ValueError(f"data.split.num_folds: {self.num_folds} given, there are {units} {of}")
        rng = np.random.default_rng(self.seed)
        tests = folds(strata, groups, self.num_folds, rng) == self.index
        others = np.flatnonzero(~tests)
        rng = np.random.default_rng([self.seed, self.index])
        if groups is None:
            validates = shares(strata[others], (self.val,), rng) == 0
        else:
            left = np.unique(groups[others], return_inverse=True)[1]
            validates = group_shares(strata[others], left, self.val, rng)
        return TableRows(chosen[others[~validates]], chosen[others[validates]], chosen[np.flatnonzero(tests)])

    @override
    def describe(self) -> str:
        mixed = "" if self.stratify is None else f", with the same mix of {self.stratify}"
        whole = "" if self.group is None else f", each {self.group} in one of them"
        within = "" if self.published is None else f" of the rows that do not test in: {self.published.describe()}"
        return (
            f"fold {self.index} of {self.num_folds} tests{mixed}{whole}; {self.val:g} of the others validate, seed "
            f"{self.seed}{within}"
        )


class TimeFolds(TableSplit):
    """Forward chaining: each block of time tests a model of all rows before it.

    The rows in order of time are cut into one block more than there are folds; the first never tests. Rows of the same
    time stay together.

    Args:
        index: The fold, from 0: block `index + 1` tests.
        num_folds: Number of folds.
        val: Share of the rows before the test block, the latest of them, that validates.
        gap: Rows left out before validation and before test, for labels that look ahead.
    """

    def __init__(self, *, index: int = 0, num_folds: int = 5, val: float = 0.15, gap: int = 0) -> None:
        check_fold(index, num_folds, val)
        if gap < 0:
            raise ValueError(f"data.split.gap: {gap} given, 0 or more rows are needed")
        self.index, self.num_folds, self.val, self.gap = index, num_folds, val, gap

    @override
    def split(self, rows: pl.DataFrame) -> TableRows:
        times = column_of(rows, TIME, key="column").to_numpy()
        order = np.argsort(times, kind="stable")
        blocks = self.num_folds + 1
        edges = [start_of_tie(times[order], len(order) * block // blocks) for block in range(blocks)] + [len(order)]
        if len(set(edges)) < len(edges):
            raise ValueError(
                f"data.split.num_folds: {self.num_folds} given, the rows have too few different times; take fewer"
            )
        start, end = edges[self.index + 1], edges[self.index + 2]
        before = max(start - self.gap, 0)
        cut = start_of_tie(times[order], int((1 - self.val) * before))
        parts = (order[: max(cut - self.gap, 0)], order[cut:before], order[start:end])
        return TableRows(*(np.sort(part) for part in parts))

    @override
    def describe(self) -> str:
        gap = f", {self.gap} rows left out between them" if self.gap else ""
        return (
            f"by time: block {self.index + 1} of {self.num_folds + 1} tests, {self.val:g} of the rows before it "
            f"validate{gap}"
        )


def check_fold(index: int, num_folds: int, val: float) -> None:
    """Raises `ValueError` unless a fold can be made.

    Args:
        index: The fold.
        num_folds: Number of folds.
        val: Share of validation rows.
    """
    if num_folds < 2:
        raise ValueError(f"data.split.num_folds: {num_folds} given, at least 2 are needed")
    if not 0 <= index < num_folds:
        raise ValueError(f"data.split.index: {index} given, 0 to {num_folds - 1} is allowed")
    if not 0 < val < 1:
        raise ValueError(f"data.split.val: {val:g} given, a share between 0 and 1 is needed")
