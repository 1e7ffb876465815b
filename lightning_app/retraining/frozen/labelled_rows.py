"""Labelled rows: those of the journal and of history tables, with what is known of them in columns `journal.NAME`."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl
from msgspec import Struct

from features.sources import Notes
from features.sources.times import read_times
from features.versions.references import scan_data
from lightning_app.monitoring.report.structs import Window
from lightning_app.monitoring.windows.rows import read_rows
from lightning_app.retraining.config.policy import DataPolicy
from lightning_app.retraining.frozen.errors import FreezeError
from lightning_app.retraining.frozen.frozen_set import EVENT
from lightning_app.serving.journal.export.rows import INPUT, META, OUTCOME, OUTCOME_TIME, PREDICTION, SHADOW
from lightning_app.serving.journal.stores.protocol import JournalReader

TIME_TYPE = pl.Datetime("us", "UTC")
REQUEST_ID, ROW, PROBABILITY = f"{META}request_id", f"{META}row", f"{META}probability"
VERSION = f"{META}version"
TIME = f"{META}time"
FACTS: dict[str, pl.DataType | type[pl.DataType]] = {
    REQUEST_ID: pl.String, ROW: pl.Int64, TIME: TIME_TYPE, VERSION: pl.Int64, f"{META}arm": pl.String,
    PROBABILITY: pl.Float64, OUTCOME_TIME: TIME_TYPE, EVENT: TIME_TYPE,
}  # fmt: skip
"""What is known of a row beside its columns and its outcome."""


class LabelledRows(Struct, kw_only=True):
    """Rows with their outcomes, as far as these are known.

    Attributes:
        table: Columns of the requests, `FACTS`, and `journal.outcome`.
        left_out: Requests that have no rows, by reason.
        notes: What a reader of the rows has to know.
    """

    table: pl.DataFrame
    left_out: dict[str, int]
    notes: list[str]


def journal_rows(reader: JournalReader, model: str, data: DataPolicy, *, since: float, cut: float) -> LabelledRows:
    """Answered rows of a model, with and without outcome.

    Args:
        reader: The journal.
        model: Name of the model.
        data: Names of the label and of the time.
        since: First time of a request, Unix seconds.
        cut: First time that is not read any more.

    Raises:
        JournalError: The journal cannot be read.
        FreezeError: The requests have no column with the time of the event.
    """
    rows = read_rows(reader, model, Window(since=since, until=cut), by_row=True)
    notes, left_out = list(rows.report.notes), dict(rows.report.left_out)
    if rows.report.num_unmatched:
        notes.append(f"journal: {rows.report.num_unmatched:,} outcomes of rows that the answer does not have")
    if unknown := reader.num_unknown_outcomes():
        notes.append(f"journal: {unknown:,} outcomes of requests that it does not hold")
    if not rows.table.width:
        return LabelledRows(table=_empty(), left_out=left_out, notes=notes)
    requests = rows.requests
    if data.outcome in requests.columns:
        notes.append(f"{data.outcome}: a column of the requests too; the outcomes take its place")
        requests = requests.drop(data.outcome)
    times = rows.table[TIME].cast(TIME_TYPE)
    event = times if data.time is None else _times(requests, data.time, "the requests", notes)
    if data.time is None and "time" not in requests.columns:
        requests = requests.with_columns(times.alias("time"))
    known = rows.table.select(
        *(pl.col(name).cast(kind) for name, kind in FACTS.items() if name != EVENT), pl.col(OUTCOME)
    )
    table = known.with_columns(event.alias(EVENT)).hstack(requests)
    return LabelledRows(table=table, left_out=left_out, notes=notes)


def history_rows(path: str, data: DataPolicy) -> LabelledRows:
    """Labelled rows of a table.

    It has the columns of the requests and the label; `outcome_time`, when the label became known; and `request_id` and
    `row` if its rows are those of journalled requests, whose labels it corrects.

    Args:
        path: A file, folder, or snapshot.
        data: Names of the label and of the time.

    Raises:
        FreezeError: The table cannot be read, or lacks the label or the time.
    """
    try:
        table = scan_data(path).collect()
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise FreezeError(f"data.history: {path} cannot be read: {error}") from error
    notes: list[str] = []
    name, time = Path(path).name, data.time or "time"
    if data.outcome not in table.columns:
        raise FreezeError(
            f"data.history: {name} has no column {data.outcome!r}, the label; it has {', '.join(table.columns)}"
        )
    if time not in table.columns and "request_id" not in table.columns:
        why = "" if data.time else " (data.time is null, so that it is the time of the request)"
        raise FreezeError(f"data.history: {name} has no column {time!r}{why}; it has {', '.join(table.columns)}")
    facts = {OUTCOME: table[data.outcome]}
    for column, fact in ((time, EVENT), ("outcome_time", OUTCOME_TIME)):
        if column in table.columns:
            facts[fact] = _times(table, column, name, notes)
    for column, fact in (("request_id", REQUEST_ID), ("row", ROW)):
        if column in table.columns and "request_id" in table.columns:
            facts[fact] = table[column].cast(FACTS[fact])
    if REQUEST_ID in facts and ROW not in facts:
        facts[ROW] = pl.Series([0] * len(table), dtype=pl.Int64)
    own = {data.outcome, "outcome_time", "reward", *(("request_id", "row") if REQUEST_ID in facts else ())}
    answers = (PREDICTION, INPUT, SHADOW, META)
    requests = table.drop(one for one in table.columns if one in own or one.startswith(answers))
    known = pl.DataFrame({fact: values.alias(fact) for fact, values in facts.items()})
    known = known.with_columns(pl.lit(None, kind).alias(fact) for fact, kind in FACTS.items() if fact not in facts)
    return LabelledRows(table=known.hstack(requests), left_out={}, notes=notes)


def together(parts: Sequence[LabelledRows]) -> LabelledRows:
    """All rows below each other; columns that differ in type become text, which is noted.

    Args:
        parts: The rows.
    """
    notes = [note for part in parts for note in part.notes]
    tables = [part.table for part in parts if len(part.table)]
    kinds: dict[str, list[pl.DataType]] = {}
    for table in tables:
        for name, kind in table.schema.items():
            if kind != pl.Null:
                kinds.setdefault(name, []).append(kind)
    mixed = {name for name, found in kinds.items() if not _fit(found)}
    notes += [f"{name.removeprefix(META)}: values of several types, written as text" for name in sorted(mixed)]
    texts = [
        table.with_columns(pl.col(name).cast(pl.String) for name in table.columns if name in mixed) for table in tables
    ]
    left_out: dict[str, int] = {}
    for part in parts:
        for reason, count in part.left_out.items():
            left_out[reason] = left_out.get(reason, 0) + count
    whole = pl.concat(texts, how="diagonal_relaxed") if texts else _empty()
    return LabelledRows(table=whole, left_out=left_out, notes=notes)


def request_columns(table: pl.DataFrame) -> list[str]:
    """Columns of the requests.

    Args:
        table: Labelled rows.
    """
    return [name for name in table.columns if name not in FACTS and name != OUTCOME]


def _fit(kinds: Sequence[pl.DataType]) -> bool:
    return len(set(kinds)) == 1 or all(kind.is_numeric() for kind in kinds) or all(kind.is_nested() for kind in kinds)


def _times(table: pl.DataFrame, column: str, place: str, notes: list[str]) -> pl.Series:
    if column not in table.columns:
        raise FreezeError(f"data.time: {place} have no column {column!r}; they have {', '.join(table.columns)}")
    oddities = Notes()
    try:
        times = read_times(
            table[column], place=f"data.time: {column} of {place}", time_format=None, time_zone="UTC", notes=oddities
        )
    except ValueError as error:
        raise FreezeError(str(error)) from error
    notes += oddities.lines()
    return times.cast(TIME_TYPE)


def _empty() -> pl.DataFrame:
    return pl.DataFrame(schema={**FACTS, OUTCOME: pl.Null})
