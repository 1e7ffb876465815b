"""Verdict of a data contract on the tables of a snapshot."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from features.contracts import Contract
from features.contracts.files.table_file import scan_table, unreadable
from features.versions.local_store import sha256_of_file
from features.versions.manifest import ContractVerdict


def check_contract(contract: str | Path, tables: Sequence[Path]) -> ContractVerdict:
    """Checks tables, below each other, as `data check` does.

    Args:
        contract: YAML or JSON file.
        tables: CSV or parquet files.

    Raises:
        ValueError: There is no table, or they have different columns.
    """
    rules = Contract.load(contract)
    if not tables:
        raise ValueError(f"contract {contract}: there is no table that it could be checked on")
    try:
        frame = pl.concat([scan_table(str(table)) for table in tables])
        verdict = rules.check(frame)
    except pl.exceptions.PolarsError as error:
        raise unreadable(str(tables[0].parent if len(tables) > 1 else tables[0]), error) from error
    return ContractVerdict(
        sha256=sha256_of_file(Path(contract)),
        passed=verdict.passed,
        broken={result.rule: result.num_rows for result in verdict.broken()},
    )
