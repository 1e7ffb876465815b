"""RowFiles: rows in several files, one per split, as data sets are published."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from datamodules.tabular.splits import TableRows, TableSplit
from datamodules.tabular.text_table import read_text_table
from features.definitions import CsvFormat
from features.definitions.messages import nearest
from features.versions.references import pinned


@dataclass(frozen=True, kw_only=True)
class RowFiles:
    """Files of the rows of each split.

    Attributes:
        train: File of the training rows, as a single file of rows.
        test: File of the test rows.
        val: File of the validation rows; None cuts them from the training rows by `data.split`.
    """

    train: str
    test: str
    val: str | None = None

    @property
    def paths(self) -> dict[str, str]:
        """Files by the name of their split: training, validation if there is one, test."""
        return {"train": self.train, **({} if self.val is None else {"val": self.val}), "test": self.test}

    @property
    def names(self) -> dict[str, str]:
        """Names of the files, for reports."""
        return {split: Path(pinned(path)).name for split, path in self.paths.items()}

    def check_split(self, split: TableSplit | None) -> None:
        """Raises `ValueError` if there is a split protocol and nothing to split, or the other way round."""
        if split is None and self.val is None:
            raise ValueError(
                "data.split: none given, and data.rows names no val: give that file, or a split that cuts validation "
                "rows from the training file"
            )
        if split is not None and self.val is not None:
            raise ValueError(
                f"data.split: {type(split).__name__} given, but data.rows names all three files; leave out the split"
            )

    def read(
        self, *, csv: CsvFormat | None, root: str | Path | None, needed: Collection[str]
    ) -> tuple[pl.DataFrame, dict[str, int]]:
        """Reads the files as one table, the rows of each after those of the one before.

        Args:
            csv: How text files are written; None for plain CSV files.
            root: The data root, see `data_root`.
            needed: Columns that every file has to have.

        Returns:
            table: All rows; a column that a file does not have is missing in its rows.
            sizes: Number of rows of each file by the name of its split.

        Raises:
            FileNotFoundError: A file does not exist.
            ValueError: A file cannot be read, or a needed column is in some files only.
        """
        tables = {
            split: read_text_table(path, csv=csv, root=root, key=f"data.rows.{split}")
            for split, path in self.paths.items()
        }
        for split, table in tables.items():
            for name in sorted(needed):
                others = [other for other in tables if name in tables[other].columns]
                if others and name not in table.columns:
                    raise ValueError(
                        f"data.rows.{split}: {self.names[split]} has no column {name!r}, which "
                        f"{self.names[others[0]]} has{nearest(name, table.columns)}"
                    )
        sizes = {split: len(table) for split, table in tables.items()}
        try:
            return pl.concat(tables.values(), how="diagonal_relaxed"), sizes
        except pl.exceptions.PolarsError as error:
            raise ValueError(f"data.rows: {_difference(tables, self.names)}") from error

    def split(
        self, numbers: np.ndarray, rows: pl.DataFrame, sizes: Mapping[str, int], split: TableSplit | None
    ) -> TableRows:
        """Assigns rows to splits by their file.

        Args:
            numbers: Numbers of the rows in the table of all files.
            rows: The rows, with their time in the column `time`.
            sizes: Number of rows of each file.
            split: Protocol that cuts validation rows from the training rows; None if they have a file.

        Raises:
            ValueError: The protocol leaves rows of the training file for a test.
        """
        ends = np.cumsum([sizes[name] for name in self.paths])
        file = np.searchsorted(ends, numbers, side="right")
        parts = {name: np.flatnonzero(file == place) for place, name in enumerate(self.paths)}
        if split is None:
            return TableRows(parts["train"], parts["val"], parts["test"])
        cut = split.split(rows[parts["train"]])
        if len(cut.test):
            raise ValueError(
                f"data.split: {split.describe()}: {len(cut.test):,} rows of {self.names['train']} would test, but "
                "data.rows.test has the test rows; give shares of train and val that add up to 1"
            )
        return TableRows(parts["train"][cut.train], parts["train"][cut.val], parts["test"])

    def describe(self, split: TableSplit | None) -> str:
        """The protocol in words, for the report."""
        names = self.names
        if split is None:
            return f"as published: {names['train']} trains, {names['val']} validates, {names['test']} tests"
        return f"as published: {names['test']} tests; rows of {names['train']} {split.describe()}"


def _difference(tables: Mapping[str, pl.DataFrame], names: Mapping[str, str]) -> str:
    """The first column whose types do not go together."""
    first, *others = tables
    for other in others:
        for name in tables[first].columns:
            if name not in tables[other].columns:
                continue
            kinds = [tables[one].schema[name] for one in (first, other)]
            try:
                pl.concat([tables[one].select(name).head(1) for one in (first, other)], how="vertical_relaxed")
            except pl.exceptions.PolarsError:
                return (
                    f"column {name!r} is {kinds[0]} in {names[first]} and {kinds[1]} in {names[other]}; write all alike"
                )
    return "the types of the columns differ between the files"
