"""Row parts: answered rows of the journal as Arrow tables, part by part, with names that start with `journal.`."""

import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pyarrow as pa

from lightning_app.serving.journal.export.columns import TableBuilder, is_text, united_type, with_type
from lightning_app.serving.journal.export.decode import UndecodedError
from lightning_app.serving.journal.export.rows import (
    META,
    META_TYPES,
    OUTCOME,
    OUTCOME_TIME,
    OUTCOME_TIME_TYPE,
    PREDICTION,
    REWARD,
    SHADOW,
    SHADOW_TYPES,
    rows_of,
)
from lightning_app.serving.journal.export.single_row import single_row
from lightning_app.serving.journal.sampling import is_sampled
from lightning_app.serving.journal.stores.protocol import JournalReader, Selection

_PART_BYTES = 2**23
_LAST = (OUTCOME, REWARD, OUTCOME_TIME)
OF_JOURNAL = frozenset((*(META + name for name in META_TYPES | SHADOW_TYPES), *_LAST))
"""Columns that are the journal's own."""


class ExportReport(msgspec.Struct, kw_only=True):
    """What was exported.

    Attributes:
        num_rows: Rows of the file.
        num_predictions: Requests that they come from.
        num_listed: Requests whose rows do not correspond to those of the answer: one row each, with lists.
        num_without_shadow: Requests that were left out because no shadow was asked.
        num_without_outcome: Rows that were left out because they have no outcome yet.
        num_unmatched: Outcomes of rows that the answer does not have.
        left_out: Requests that were left out, by reason.
        notes: What else a reader of the file should know.
    """

    num_rows: int = 0
    num_predictions: int = 0
    num_listed: int = 0
    num_without_shadow: int = 0
    num_without_outcome: int = 0
    num_unmatched: int = 0
    left_out: dict[str, int]
    notes: list[str]


def row_parts(
    reader: JournalReader,
    selection: Selection,
    report: ExportReport,
    *,
    with_outcomes: bool = False,
    with_shadows: bool = False,
    by_row: bool = False,
    share: float = 1.0,
) -> Iterator[pa.Table]:
    """Reads answered rows.

    Args:
        reader: The journal.
        selection: Which predictions.
        report: What was read and left out is added to it.
        with_outcomes: Whether to leave out rows without an outcome or a reward.
        with_shadows: Whether to read what shadows answered, and to leave out requests that they were not asked.
        by_row: Whether to leave out requests whose rows do not correspond to those of the answer.
        share: Share of the requests that are read, chosen by a hash of their id.

    Yields:
        Parts, none of them empty; their columns and types may differ.

    Raises:
        JournalError: The journal cannot be read.
    """
    left_out: Counter[str] = Counter(report.left_out)
    mixed: set[str] = set()
    for predictions in reader.predictions(selection, most_bytes=_PART_BYTES):
        if share < 1:
            # Not the hash of the journal's own sample, of which the same share would be everything.
            predictions = [one for one in predictions if is_sampled(f"rows:{one.request_id}", share)]
        ids = [prediction.request_id for prediction in predictions]
        outcomes, shadows = reader.outcomes(ids), reader.shadows(ids) if with_shadows else {}
        builder = TableBuilder()
        with _without_collection():
            for prediction in predictions:
                of_prediction = outcomes.get(prediction.request_id, ())
                shadow = shadows.get(prediction.request_id)
                if with_shadows and shadow is None:
                    report.num_without_shadow += 1
                    continue
                if shadow is None and (record := single_row(prediction, of_prediction)) is not None:
                    builder.add_record(record)
                    report.num_predictions += 1
                    continue
                try:
                    rows = rows_of(prediction, of_prediction, shadow)
                except UndecodedError as error:
                    left_out[str(error)] += 1
                    continue
                if by_row and rows.is_listed:
                    left_out["one answer to many rows"] += 1
                    continue
                builder.add(rows.columns, rows.num_rows)
                report.num_predictions += 1
                report.num_listed += rows.is_listed
                report.num_unmatched += rows.num_unmatched
            report.left_out = dict(left_out)
            if not builder.num_rows:
                continue
            table = builder.table()
            report.notes += [_mixed_note(name) for name in sorted(builder.mixed - mixed)]
            mixed |= builder.mixed
            del builder
        if with_outcomes:
            known = table.filter(_has_outcome(table))
            report.num_without_outcome += table.num_rows - known.num_rows
            table = known
        if table.num_rows:
            report.num_rows += table.num_rows
            yield table


def united_schema(schemas: list[pa.Schema], report: ExportReport) -> pa.Schema:
    """Columns of all parts: those of the journal, of requests, of answers, then outcomes; each with one type.

    Args:
        schemas: Schemas of the parts.
        report: Columns with values of several types are added to its notes.
    """
    types: dict[str, list[pa.DataType]] = {}
    for schema in schemas:
        for field in schema:
            types.setdefault(field.name, []).append(field.type)
    known = {META + name: kind for name, kind in (META_TYPES | SHADOW_TYPES).items()}
    known[OUTCOME_TIME] = OUTCOME_TIME_TYPE
    meta = [name for name in known if name in types and name not in _LAST]
    others = [name for name in types if name not in (*meta, *_LAST)]
    of_request = [name for name in others if not name.startswith((PREDICTION, SHADOW))]
    of_answers = [name for prefix in (PREDICTION, SHADOW) for name in others if name.startswith(prefix)]
    fields = []
    for name in (*meta, *of_request, *of_answers, *_LAST):
        kind = known[name] if name in known else united_type(types[name])
        if name not in known and pa.types.is_string(kind) and any(not is_text(part) for part in types[name]):
            report.notes += [note for note in [_mixed_note(name)] if note not in report.notes]
        fields.append(pa.field(name, kind))
    return pa.schema(fields)


def with_schema(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """A part with the columns and types of all parts; what it lacks is null.

    Args:
        table: The part.
        schema: As of `united_schema`.
    """
    columns = [
        with_type(table.column(field.name).combine_chunks(), field.type)
        if field.name in table.column_names
        else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def _has_outcome(table: pa.Table) -> pa.Array:
    return pa.compute.or_(pa.compute.is_valid(table[OUTCOME]), pa.compute.is_valid(table[REWARD]))


@contextmanager
def _without_collection() -> Iterator[None]:
    """Disables garbage collection, which would search the many small lists of a part again and again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _mixed_note(name: str) -> str:
    return f"{name.removeprefix(META)}: values of several types, written as text"
