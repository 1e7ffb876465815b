"""Contract findings: rules of the data contract that requests of a window violate."""

from datetime import UTC, datetime

import polars as pl

from features.contracts import Contract
from lightning_app.monitoring.report.structs import ContractFinding, Window


def contract_findings(contract: Contract, requests: pl.DataFrame, window: Window) -> list[ContractFinding]:
    """Checks the requests of a window.

    Args:
        contract: The contract.
        requests: Columns of the requests.
        window: When they arrived.

    Raises:
        ValueError: The contract cannot be applied to these columns.
    """
    verdict = contract.check(requests, now=datetime.fromtimestamp(window.until, UTC))
    return [
        ContractFinding(
            window=window,
            rule=broken.rule,
            column=_column(broken.rule),
            rows=verdict.num_rows,
            violations=broken.num_rows or verdict.num_rows,
        )
        for broken in verdict.broken()
    ]


def _column(rule: str) -> str | None:
    """`age` of `range(age)`."""
    name = rule.partition("(")[2].rpartition(")")[0].partition(",")[0]
    return name or None
