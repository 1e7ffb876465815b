"""Model request: what a client asks of a model, however its body was written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    import polars as pl

    from lightning_app.packaging.runtime.rows import StreamState
    from lightning_app.serving.inference.stream_turn import StreamTurn

Columns: TypeAlias = Mapping[str, Sequence[Any]]
"""Column name, or input name, to one value per row."""


@dataclass(slots=True)
class ModelRequest:
    """A request for one model.

    Attributes:
        table: Columns, or a polars table; None if there are several tables.
        tables: Several tables by name; None if there is one.
        num_rows: Rows of the table, or of all tables.
        orient: How a JSON answer is written: as the request was.
        at: Which answers to raw rows are asked for; None for the default of the package.
        state: State of streams after the request before; None starts anew.
        notes: What was filled while the body was read.
        turn: Where the state comes from and goes to; None for a request without one.
    """

    table: "Columns | pl.DataFrame | None"
    num_rows: int
    tables: "Mapping[str, Columns | pl.DataFrame] | None" = None
    orient: Literal["records", "columns"] = "records"
    at: str | list[str] | None = None
    state: "StreamState | None" = None
    notes: Sequence[str] = ()
    turn: "StreamTurn | None" = None
