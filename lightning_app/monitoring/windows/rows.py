"""Rows of a window: what a model answered, with what was learned later, as one table in memory."""

from collections.abc import Sequence

import polars as pl
import pyarrow as pa
from msgspec import Struct

from lightning_app.monitoring.report.structs import Window
from lightning_app.serving.journal.export.row_parts import (
    OF_JOURNAL,
    ExportReport,
    row_parts,
    united_schema,
    with_schema,
)
from lightning_app.serving.journal.export.rows import INPUT, PREDICTION
from lightning_app.serving.journal.stores.protocol import JournalReader, Selection


class WindowRows(Struct, kw_only=True):
    """Answered rows.

    Attributes:
        table: Columns of the requests under their own names, `prediction.NAME`, and those of the journal:
            `journal.request_id`, `journal.row`, `journal.time`, `journal.version`, `journal.digest`, `journal.arm`,
            `journal.probability`, `journal.entity`, `journal.latency_ms`, `journal.degraded`, `journal.outcome`,
            `journal.reward`, `journal.outcome_time`, ... Empty, without columns, if nothing was answered.
        report: What was read, and what was left out.
        share: Share of the requests that were read.
    """

    table: pl.DataFrame
    report: ExportReport
    share: float = 1.0

    @property
    def monitored(self) -> pl.DataFrame:
        """What a drift reference knows: columns of requests and answers, and `outcome`."""
        table = self.table
        own = [name for name in table.columns if name in OF_JOURNAL and name != "journal.outcome"]
        table = table.drop(own)
        if "journal.outcome" in table.columns:
            taken = "outcome" in table.columns
            table = table.drop("journal.outcome") if taken else table.rename({"journal.outcome": "outcome"})
        return table

    @property
    def requests(self) -> pl.DataFrame:
        """Columns of the requests alone."""
        answers = [name for name in self.table.columns if name.startswith((PREDICTION, INPUT))]
        return self.table.drop([*answers, *(name for name in self.table.columns if name in OF_JOURNAL)])

    def of_version(self, digest: str) -> "WindowRows":
        """Rows that one version answered.

        Args:
            digest: Digest of its package.
        """
        table = self.table
        if table.width:
            table = table.filter(pl.col("journal.digest") == digest)
        return WindowRows(table=table, report=self.report, share=self.share)


def read_rows(
    reader: JournalReader, model: str, window: Window, *, share: float = 1.0, by_row: bool = False
) -> WindowRows:
    """Reads the rows that a model answered in a window.

    Args:
        reader: The journal.
        model: Name of the model.
        window: The window, by the time at which requests arrived.
        share: Share of the requests that are read, chosen by a hash of their id.
        by_row: Whether to leave out requests whose rows do not correspond to those of the answer.

    Raises:
        JournalError: The journal cannot be read.
    """
    report = ExportReport(left_out={}, notes=[])
    selection = Selection(model=model, since=window.since, until=window.until)
    parts = list(row_parts(reader, selection, report, by_row=by_row, share=share))
    return WindowRows(table=_united(parts, report), report=report, share=share)


def together(windows: Sequence[WindowRows]) -> WindowRows:
    """Rows of several windows.

    Args:
        windows: The windows, in the order of time.
    """
    report = ExportReport(left_out={}, notes=[])
    for window in windows:
        report.num_rows += window.report.num_rows
        report.num_predictions += window.report.num_predictions
        report.num_listed += window.report.num_listed
        report.num_unmatched += window.report.num_unmatched
        for reason, count in window.report.left_out.items():
            report.left_out[reason] = report.left_out.get(reason, 0) + count
        report.notes += [note for note in window.report.notes if note not in report.notes]
    tables = [window.table for window in windows if window.table.width]
    share = min((window.share for window in windows), default=1.0)
    return WindowRows(table=_concatenated(tables, report), report=report, share=share)


def _united(parts: Sequence[pa.Table], report: ExportReport) -> pl.DataFrame:
    if not parts:
        return pl.DataFrame()
    schema = united_schema([part.schema for part in parts], report)
    table = pl.from_arrow(pa.concat_tables([with_schema(part, schema) for part in parts]))
    assert isinstance(table, pl.DataFrame)
    return table


def _concatenated(tables: Sequence[pl.DataFrame], report: ExportReport) -> pl.DataFrame:
    if not tables:
        return pl.DataFrame()
    parts = [table.to_arrow() for table in tables]
    return _united(parts, report)
