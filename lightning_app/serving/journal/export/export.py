"""Export of predictions as a Parquet file, in bounded memory: parts first, then one file with the types of all."""

import gc
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pyarrow as pa
from pyarrow import parquet

from lightning_app.atomic_write import replacing
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
from lightning_app.serving.journal.stores.protocol import JournalReader, Selection

_PART_BYTES = 2**23
_OUTCOME_NAMES = {OUTCOME: "outcome", REWARD: "reward", OUTCOME_TIME: "outcome_time"}


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


def export(
    reader: JournalReader,
    output: Path,
    selection: Selection,
    *,
    with_outcomes: bool = False,
    with_shadows: bool = False,
    outcome_name: str | None = None,
) -> ExportReport:
    """Writes a training set: one row per answered row, with what was asked, answered and learned later.

    Args:
        reader: The journal.
        output: Parquet file to write.
        selection: Which predictions.
        with_outcomes: Whether to leave out rows without an outcome or a reward.
        with_shadows: Whether to write what shadows answered, and to leave out requests that they were not asked.
        outcome_name: Name of the column of outcomes; None takes `outcome`.

    Raises:
        JournalError: The journal cannot be read.
        ValueError: There is nothing to write, or `outcome_name` is a column of the requests.
    """
    report = ExportReport(left_out={}, notes=[])
    with tempfile.TemporaryDirectory(dir=output.absolute().parent, prefix=f".{output.name}.") as folder:
        parts = _write_parts(reader, Path(folder), selection, with_outcomes, with_shadows, report)
        if not parts:
            raise ValueError(f"journal: {reader.url} holds no such predictions{_why(report)}")
        schema, names = _schema(parts, outcome_name, report)
        final = pa.schema([field.with_name(name) for field, name in zip(schema, names, strict=True)])
        with replacing(output) as partial, parquet.ParquetWriter(partial, final) as writer:
            for path in parts:
                table = _read(path)
                columns = [
                    with_type(table.column(field.name).combine_chunks(), field.type)
                    if field.name in table.column_names
                    else pa.nulls(table.num_rows, field.type)
                    for field in schema
                ]
                writer.write_table(pa.table(columns, schema=final))
                path.unlink()
    return report


def _write_parts(
    reader: JournalReader,
    folder: Path,
    selection: Selection,
    with_outcomes: bool,
    with_shadows: bool,
    report: ExportReport,
) -> list[Path]:
    parts: list[Path] = []
    left_out: Counter[str] = Counter()
    mixed: set[str] = set()
    for predictions in reader.predictions(selection, most_bytes=_PART_BYTES):
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
                builder.add(rows.columns, rows.num_rows)
                report.num_predictions += 1
                report.num_listed += rows.is_listed
                report.num_unmatched += rows.num_unmatched
            if not builder.num_rows:
                continue
            table = builder.table()
            mixed |= builder.mixed
            del builder
        if with_outcomes:
            known = table.filter(_has_outcome(table))
            report.num_without_outcome += table.num_rows - known.num_rows
            table = known
        if table.num_rows:
            report.num_rows += table.num_rows
            parts.append(folder / f"{len(parts)}.arrow")
            with pa.ipc.new_file(parts[-1], table.schema) as writer:
                writer.write_table(table)
    report.left_out = dict(left_out)
    report.notes += [_mixed_note(name) for name in sorted(mixed)]
    return parts


def _has_outcome(table: pa.Table) -> pa.Array:
    return pa.compute.or_(pa.compute.is_valid(table[OUTCOME]), pa.compute.is_valid(table[REWARD]))


def _read(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()


def _schema(parts: list[Path], outcome_name: str | None, report: ExportReport) -> tuple[pa.Schema, list[str]]:
    """Types of all parts, under the names of the parts; and the final names."""
    types: dict[str, list[pa.DataType]] = {}
    for path in parts:
        with pa.memory_map(str(path)) as source:
            for field in pa.ipc.open_file(source).schema:
                types.setdefault(field.name, []).append(field.type)
    known = {META + name: kind for name, kind in (META_TYPES | SHADOW_TYPES).items()}
    meta = [name for name in known if name in types]
    known[OUTCOME_TIME] = OUTCOME_TIME_TYPE
    last = list(_OUTCOME_NAMES)
    others = [name for name in types if name not in (*meta, *last)]
    of_request = [name for name in others if not name.startswith((PREDICTION, SHADOW))]
    of_answers = [name for prefix in (PREDICTION, SHADOW) for name in others if name.startswith(prefix)]
    order = [*meta, *of_request, *of_answers, *last]
    fields = []
    for name in order:
        kind = known[name] if name in known else united_type(types[name])
        if name not in meta and pa.types.is_string(kind) and any(not is_text(part) for part in types[name]):
            report.notes += [note for note in [_mixed_note(name)] if note not in report.notes]
        fields.append(pa.field(name, kind))
    own = _OUTCOME_NAMES | {OUTCOME: outcome_name or _OUTCOME_NAMES[OUTCOME]}
    if outcome_name in others:
        raise ValueError(f"outcome-as: {outcome_name!r} given, the requests have a column of this name; take another")
    names = []
    for name in order:
        short = own.get(name, name.removeprefix(META))
        if name.startswith(META) and short in others:
            report.notes.append(f"{short}: a column of the requests; what the journal knows is in {META}{short}")
            short = META + short
        names.append(short)
    return pa.schema(fields), names


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


def _why(report: ExportReport) -> str:
    reasons = [f"{count:,} left out: {reason}" for reason, count in report.left_out.items()]
    if report.num_without_shadow:
        reasons.append(f"no shadow was asked {report.num_without_shadow:,} of the requests")
    if report.num_without_outcome:
        reasons.append(f"{report.num_without_outcome:,} rows have no outcome yet")
    return f" ({'; '.join(reasons)})" if reasons else ""
