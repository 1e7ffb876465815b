"""RowSource: a table of rows, or a file of rows for each split, with the protocol that splits them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from datamodules.tabular.row_files import RowFiles
from datamodules.tabular.splits import TableRows, TableSplit
from datamodules.tabular.text_table import read_text_table
from features.definitions import CsvFormat
from features.sources import ROW
from features.versions.references import pinned


@dataclass(frozen=True)
class RowSource:
    """Rows and their split.

    Attributes:
        rows: A table, see `read_text_table`, or a file for each split; None for rows that are in no table.
        split: The split protocol; None if there is a file for each split.
    """

    rows: str | RowFiles | Path | None
    split: TableSplit | None

    def __post_init__(self) -> None:
        if isinstance(self.rows, RowFiles):
            self.rows.check_split(self.split)
        elif self.split is None:
            raise ValueError("data.split: none given, e.g. RandomSplit; only rows in a file per split need none")

    @property
    def name(self) -> str:
        """Names of the files, for reports."""
        assert self.rows is not None
        if isinstance(self.rows, RowFiles):
            return ", ".join(self.rows.names.values())
        return Path(pinned(str(self.rows))).name

    def read(
        self, *, csv: CsvFormat | None, root: str | Path | None, needed: Collection[str]
    ) -> tuple[pl.DataFrame, dict[str, int]]:
        """Reads the rows as one table.

        Args:
            csv: How text files are written; None for plain CSV files.
            root: The data root, see `data_root`.
            needed: Columns that each of several files has to have.

        Returns:
            table: All rows.
            sizes: Number of rows of each file by the name of its split; none of a single table.

        Raises:
            FileNotFoundError: A file does not exist.
            ValueError: A file cannot be read, or a needed column is in some files only.
        """
        assert self.rows is not None
        if isinstance(self.rows, RowFiles):
            return self.rows.read(csv=csv, root=root, needed=needed)
        return read_text_table(self.rows, csv=csv, root=root, key="data.rows"), {}

    def split_rows(self, rows: pl.DataFrame, sizes: Mapping[str, int]) -> TableRows:
        """Assigns rows to splits.

        Args:
            rows: The rows, with their number in the table and their time.
            sizes: See `read`.

        Raises:
            ValueError: The protocol does not fit the rows.
        """
        if isinstance(self.rows, RowFiles):
            return self.rows.split(rows[ROW].to_numpy().astype(np.int64), rows, sizes, self.split)
        assert self.split is not None
        return self.split.split(rows)

    def describe_split(self) -> str:
        """The protocol in words, for the report."""
        if isinstance(self.rows, RowFiles):
            return self.rows.describe(self.split)
        assert self.split is not None
        return self.split.describe()
