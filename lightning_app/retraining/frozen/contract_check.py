"""Contract check: a data contract on the rows that are about to be frozen; a violated one blocks the cycle."""

import hashlib
from datetime import datetime
from pathlib import Path

import msgspec
import polars as pl
from msgspec import Struct

from features.contracts import Contract
from features.versions.manifest import ContractVerdict
from lightning_app.packaging import Package
from lightning_app.retraining.frozen.errors import BrokenContractError, FreezeError
from lightning_app.retraining.frozen.labelled_rows import request_columns


class CheckedRows(Struct, kw_only=True):
    """Rows that keep a contract.

    Attributes:
        table: The rows, without those that rules of severity `quarantine` move aside.
        quarantined: Number of those.
        verdict: Verdict; None without a contract.
        notes: Broken rules that only warn.
    """

    table: pl.DataFrame
    quarantined: int = 0
    verdict: ContractVerdict | None = None
    notes: tuple[str, ...] = ()


def contract_of(path: str | None, package: Package | None) -> Contract | None:
    """The contract that counts: that of the policy, else that of the champion's package.

    Args:
        path: File of the policy.
        package: Package of the champion.

    Raises:
        FreezeError: The file is no contract.
    """
    if path is None:
        return None if package is None else package.contract
    try:
        return Contract.load(Path(path))
    except (OSError, ValueError) as error:
        raise FreezeError(f"data.contract: {error}") from error


def check_rows(table: pl.DataFrame, contract: Contract | None, *, label: str, cut: datetime) -> CheckedRows:
    """Checks rows.

    Args:
        table: Mature rows.
        contract: The contract; None checks nothing.
        label: Column of the labels, which is checked if the contract names it.
        cut: When the rows are frozen; ages are measured at it.

    Raises:
        BrokenContractError: They violate it; names the first rule, its rows, and one of them.
    """
    if contract is None:
        return CheckedRows(table=table)
    names = [name for name in request_columns(table) if not name.startswith("journal.") or name == label]
    split = contract.split(table.select(names), now=cut)
    errors = split.verdict.broken("error")
    if errors:
        more = f" (and {len(errors) - 1} more broken rules)" if len(errors) > 1 else ""
        raise BrokenContractError(f"contract {contract.name}: {errors[0].describe()}{more}")
    moved = split.quarantined.get_column("row") if len(split.quarantined) else pl.Series([], dtype=pl.Int64)
    verdict = ContractVerdict(
        sha256=digest_of_contract(contract),
        passed=True,
        broken={result.rule: result.num_rows for result in split.verdict.broken()},
    )
    kept = table.filter(~pl.int_range(len(table), eager=True).is_in(moved.implode())) if len(moved) else table
    notes = tuple(f"contract {contract.name}: {one.describe()}" for one in split.verdict.broken("warn"))
    return CheckedRows(table=kept, quarantined=len(moved), verdict=verdict, notes=notes)


def digest_of_contract(contract: Contract) -> str:
    """sha256 of a contract, whatever its file looks like.

    Args:
        contract: The contract.
    """
    return hashlib.sha256(msgspec.json.encode(contract.to_data(), order="deterministic")).hexdigest()
