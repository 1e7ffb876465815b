"""Tables for a terminal."""

from collections.abc import Sequence

from rich.table import Table

from lightning_app.registry.promotion.gates import Verdict


def gates_table(verdicts: Sequence[Verdict]) -> Table:
    """What each gate says.

    Args:
        verdicts: In the order of the lines.
    """
    table = Table("gate", "bound", "value", "verdict")
    for verdict in verdicts:
        table.add_row(verdict.gate, verdict.bound, verdict.value, "passed" if verdict.passed else "refused")
    return table
