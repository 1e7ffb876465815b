"""Contract check of scoring jobs: which rows of a table are rejected, and why, before any row is predicted."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pyarrow as pa

from features.contracts import Contract
from features.contracts.evaluation import with_reasons
from features.contracts.files.table_file import scan_table
from lightning_app.errors import UsageError
from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.runtime.raw_contract import bad_rows
from lightning_app.packaging.runtime.requests.raw_request import is_raw
from lightning_app.scoring.answering import ReasonColumns


@dataclass(frozen=True)
class ContractCheck:
    """Rows of a table that break its contract.

    Attributes:
        rejected: Row number (from 0) to reason.
        held: Row number to the values of the row, as JSON.
        notes: Broken rules that reject no row, in words.
        num_rows: Rows of the table; None if no contract was checked.
    """

    rejected: Mapping[int, str] = field(default_factory=dict)
    held: Mapping[int, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    num_rows: int | None = None

    def apply(self, answer: pa.Table, first: int, reasons: ReasonColumns) -> pa.Table:
        """Rejects the rows of a part that break the contract.

        Args:
            answer: Answers with columns of reasons.
            first: Number of its first row.
            reasons: Names of these columns.
        """
        rows = [row for row in range(first, first + len(answer)) if row in self.rejected] if self.rejected else []
        for name, values in ((reasons.reason, self.rejected), (reasons.held, self.held)) if rows else ():
            column = answer[name].to_pylist()
            for row in rows:
                column[row - first] = values[row]
            place = answer.schema.get_field_index(name)
            answer = answer.set_column(
                place, answer.schema.field(name), pa.array(column, answer.schema.field(name).type)
            )
        return answer


def chosen_contract(
    path: str | None, own: Contract | None, manifest: Manifest, names: Sequence[str]
) -> Contract | None:
    """The contract that a job checks: the given one, else that of the package if the table holds raw rows.

    Args:
        path: YAML or JSON file; None for that of the package.
        own: That of the package; None without one.
        manifest: Manifest of the package.
        names: Columns of the table.
    """
    if path is not None:
        return Contract.load(path)
    return own if own is not None and is_raw(names, manifest) else None


def check_tables(
    contract: Contract | None, paths: Sequence[Path], *, scan: Callable[[Path], pl.LazyFrame] = scan_table
) -> ContractCheck:
    """Checks tables as one, as a stream.

    Args:
        contract: The contract; None checks nothing.
        paths: The tables.
        scan: Opens a table, with text cells as they are written.

    Raises:
        UsageError: The table breaks a rule that concerns it as a whole, or cannot be read.
    """
    if contract is None:
        return ContractCheck()
    try:
        return check_rows(contract, pl.concat([scan(path) for path in paths], how="vertical_relaxed"))
    except pl.exceptions.PolarsError as error:
        raise UsageError(f"data: cannot be checked against {contract.name}: {error}") from error


def check_rows(contract: Contract, table: pl.LazyFrame) -> ContractCheck:
    """Checks a table.

    Args:
        contract: The contract.
        table: The table, read as a stream.

    Raises:
        UsageError: The table breaks a rule that concerns it as a whole.
    """
    rejected, notes, num_rows = bad_rows(contract, table)
    listed = pl.DataFrame({"row": list(rejected)}, schema={"row": pl.Int64}).with_columns(reasons=pl.lit(""))
    held = with_reasons(table, listed)  # two columns, then those of the table
    values = (json.dumps(row, default=str) for row in held.drop(held.columns[:2]).iter_rows(named=True))
    return ContractCheck(rejected, dict(zip(rejected, values, strict=True)), notes, num_rows)
