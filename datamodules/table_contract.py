"""TableContract: the data contract of a table that a data module reads, and the file of rows that are moved aside."""

import hashlib
import secrets
from pathlib import Path

import polars as pl

from datamodules.sources import data_root
from features.contracts import Contract, Verdict
from features.table_reader import row_name


class TableContract:
    """Checks a table when it is read: refuses it, or moves bad rows to a file.

    Args:
        contract: YAML or JSON file; relative to the working directory, else below the data root.
        quarantine: Parquet file of the rows that rules of severity `quarantine` move aside, with their reasons; None
            refuses a table with such rows.
        key: Config key of the source, for messages.
    """

    def __init__(self, contract: str | Path, *, quarantine: str | Path | None, key: str) -> None:
        if quarantine is not None and Path(quarantine).suffix != ".parquet":
            raise ValueError(f"{key}.quarantine: {quarantine} given, a name that ends in .parquet is needed")
        self._path = Path(contract)
        self._quarantine = None if quarantine is None else Path(quarantine)
        self._key = key
        self._notes: list[str] = []

    @classmethod
    def given(cls, contract: str | Path | None, *, quarantine: str | Path | None, key: str) -> "TableContract | None":
        """The contract of a source; None if its arguments name none.

        Args:
            contract: See the class.
            quarantine: See the class.
            key: See the class.

        Raises:
            ValueError: A file for bad rows is given without a contract.
        """
        if contract is None and quarantine is not None:
            raise ValueError(f"{key}.quarantine: {quarantine} given without {key}.contract")
        return None if contract is None else cls(contract, quarantine=quarantine, key=key)

    def load(self, *, root: str | Path | None) -> Contract:
        """Reads the contract.

        Args:
            root: The data root, see `data_root`.

        Raises:
            ValueError: The file does not exist, or is no contract.
        """
        return Contract.load(self._file(root))

    def sha256(self, *, root: str | Path | None) -> str:
        """Checksum of the file, for fingerprints of data.

        Args:
            root: The data root, see `data_root`.
        """
        return hashlib.sha256(self._file(root).read_bytes()).hexdigest()

    def texts(self, *, root: str | Path | None) -> list[str]:
        """Columns that the contract declares as text, so that `007` of a CSV file keeps its zeros.

        Args:
            root: The data root, see `data_root`.
        """
        return [name for name, column in self.load(root=root).columns.items() if column.type == "str"]

    def keep(self, table: pl.DataFrame, *, file: Path, root: str | Path | None) -> pl.DataFrame:
        """Checks a table.

        Args:
            table: All rows of the file, in file order.
            file: The file, for messages.
            root: The data root, see `data_root`.

        Returns:
            The table without the rows that are moved aside.

        Raises:
            ContractError: The table breaks a rule of severity `error`.
            ValueError: Rows would be moved aside, but no file for them is given.
        """
        good, bad, verdict = self.load(root=root).split(table)
        verdict.raise_errors(str(file), row_name=lambda row: row_name(str(file), row))
        self._notes = _warnings(verdict)
        if len(bad):
            self._move(bad, verdict, file)
        return good

    def notes(self) -> list[str]:
        """Rows moved aside and warnings of the last check, one line each."""
        return list(self._notes)

    def _move(self, bad: pl.DataFrame, verdict: Verdict, file: Path) -> None:
        broken = verdict.broken("quarantine")
        if self._quarantine is None:
            first = broken[0].describe(lambda row: row_name(str(file), row))
            raise ValueError(
                f"{self._key}.quarantine: none given, and {len(bad):,} rows of {file} break {verdict.contract} "
                f"({first}); name a .parquet file that takes them"
            )
        self._quarantine.parent.mkdir(parents=True, exist_ok=True)
        partial = self._quarantine.with_name(f".{secrets.token_hex(4)}.{self._quarantine.name}")
        try:
            bad.write_parquet(partial)
            partial.replace(self._quarantine)
        finally:
            partial.unlink(missing_ok=True)
        counts = ", ".join(f"{one.rule} {one.num_rows:,}" for one in broken)
        moved = f"{len(bad):,} of {verdict.num_rows:,} rows moved to {self._quarantine} ({counts})"
        self._notes.append(f"contract {verdict.contract}: {moved}")

    def _file(self, root: str | Path | None) -> Path:
        candidates = [self._path.expanduser(), data_root(root) / self._path]
        file = next((candidate for candidate in candidates if candidate.is_file()), None)
        if file is None:
            looked = " and ".join(map(str, candidates))
            raise ValueError(f"{self._key}.contract: {self._path} does not exist; looked for {looked}")
        return file


def _warnings(verdict: Verdict) -> list[str]:
    return [f"contract {verdict.contract}: {one.describe()}" for one in verdict.broken("warn")]
