"""Markdown tables."""

from collections.abc import Sequence
from typing import Any

from sweeps.space.names import value_name
from sweeps.space.parameter import Parameter


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table.

    Args:
        head: Titles of the columns.
        rows: Cells of each row.
    """
    lines = ["| " + " | ".join(text.replace("|", "\\|") for text in row) + " |" for row in (head, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]])


def cell(value: Any, parameter: Parameter | None = None) -> str:
    """A value in a cell, as a config would write it, but shorter.

    Args:
        value: The value.
        parameter: Whose value it is; None for what does not vary.
    """
    return "null" if value is None else value_name(value, parameter)
