"""Comparison table: rows of `lightning-app compare` for a terminal and for a Markdown page."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from lightning_app.commands.xu_selection import is_xu_protocol


@dataclass(frozen=True)
class Row:
    """Result of one config, averaged over seeds or splits.

    Attributes:
        name: Stem of the config file.
        parameters: Number of fitted parameters.
        metrics: Metric name to mean value; validation and test metrics.
        spread: Metric name to standard deviation over seeds or splits; empty for a single fit.
        fit_seconds: Mean wall-clock seconds per fit.
        cpu_seconds: Mean CPU seconds per fit.
        folders: Run folders, one per seed or split.
        protocol: Name of the protocol, None if it has none.
        epoch: Epoch selected by the mean curve over folds, from 0; None under other protocols.
        split: See `Protocol`.
    """

    name: str
    parameters: int
    metrics: dict[str, float]
    spread: dict[str, float]
    fit_seconds: float
    cpu_seconds: float
    folders: list[str]
    protocol: str | None = None
    epoch: int | None = None
    split: int | None = None


def as_table(rows: Sequence[Row]) -> Table:
    """Renders the rows for a terminal."""
    table = Table(caption=_caption(rows) or None)
    for index, column in enumerate(_columns(rows)):
        table.add_column(column, justify="left" if index == 0 else "right")
    for row in rows:
        table.add_row(*_cells(row, rows))
    return table


def as_markdown(rows: Sequence[Row]) -> str:
    """Renders the rows for a Markdown page."""
    columns = _columns(rows)
    lines = [columns, ["---"] * len(columns), *(_cells(row, rows) for row in rows)]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"
    caption = _caption(rows)
    return f"{table}\n{caption}\n" if caption else table


def _caption(rows: Sequence[Row]) -> str:
    """Name of the protocol, and how its numbers may be interpreted."""
    protocol, count = rows[0].protocol, len(rows[0].folders)
    if protocol is None:
        return ""
    if is_xu_protocol(protocol):
        return (
            f"Protocol {protocol}: an upper bound. Mean over {count} folds at the epoch where that mean is best, which "
            "the graphs that it is measured on choose; not comparable with protocols that hold them out."
        )
    split = "" if rows[0].split is None else f", split {rows[0].split} only"
    return f"Protocol {protocol}{split}" + ("." if count == 1 else f", mean ± standard deviation of {count} fits.")


def _columns(rows: Sequence[Row]) -> list[str]:
    return ["model", "parameters", *_shown(rows), *(["epoch"] if _has_epochs(rows) else []), "fit CPU s"]


def _has_epochs(rows: Sequence[Row]) -> bool:
    return rows[0].epoch is not None


def _shown(rows: Sequence[Row]) -> list[str]:
    """Test metrics that all rows have; without the loss, because models may be trained on different losses."""
    names = [name for name in rows[0].metrics if name.startswith("test/") and name != "test/loss"]
    return [name for name in names if all(name in row.metrics for row in rows)]


def _cells(row: Row, rows: Sequence[Row]) -> list[str]:
    def cell(name: str) -> str:
        spread = f" ± {row.spread[name]:.4f}" if name in row.spread else ""
        return f"{row.metrics[name]:.4f}{spread}"

    epoch = [str(row.epoch)] if _has_epochs(rows) else []
    return [row.name, f"{row.parameters:,}", *(cell(name) for name in _shown(rows)), *epoch, f"{row.cpu_seconds:.1f}"]
