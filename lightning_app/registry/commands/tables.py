"""Tables of the registry commands."""

from collections.abc import Sequence

from rich.table import Table

from lightning_app.registry.promotion.gates import Verdict


def gates_table(verdicts: Sequence[Verdict]) -> Table:
    """Table of gate verdicts, one row per gate.

    Args:
        verdicts: Verdicts in the order of the rows.
    """
    table = Table("gate", "bound", "value", "verdict")
    for verdict in verdicts:
        table.add_row(verdict.gate, verdict.bound, verdict.value, "passed" if verdict.passed else "refused")
    return table
