"""Export of predictions as a Parquet file, in bounded memory: parts first, then one file with the types of all."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from lightning_app.atomic_write import replacing
from lightning_app.serving.journal.export.row_parts import (
    OF_JOURNAL,
    ExportReport,
    row_parts,
    united_schema,
    with_schema,
)
from lightning_app.serving.journal.export.rows import META, OUTCOME
from lightning_app.serving.journal.stores.protocol import JournalReader, Selection


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
        parts = row_parts(reader, selection, report, with_outcomes=with_outcomes, with_shadows=with_shadows)
        paths = _write_parts(parts, Path(folder))
        if not paths:
            raise ValueError(f"journal: {reader.url} holds no such predictions{_why(report)}")
        schema = united_schema([_read(path).schema for path in paths], report)
        names = _final_names(schema.names, outcome_name, report)
        final = pa.schema([field.with_name(name) for field, name in zip(schema, names, strict=True)])
        with replacing(output) as partial, parquet.ParquetWriter(partial, final) as writer:
            for path in paths:
                writer.write_table(with_schema(_read(path), schema).rename_columns(names))
                path.unlink()
    return report


def _write_parts(parts: Iterator[pa.Table], folder: Path) -> list[Path]:
    paths: list[Path] = []
    for table in parts:
        paths.append(folder / f"{len(paths)}.arrow")
        with pa.ipc.new_file(paths[-1], table.schema) as writer:
            writer.write_table(table)
    return paths


def _read(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()


def _final_names(columns: list[str], outcome_name: str | None, report: ExportReport) -> list[str]:
    """Columns of the journal lose their prefix, but where requests have a column of that name."""
    others = {name for name in columns if name not in OF_JOURNAL}
    if outcome_name in others:
        raise ValueError(f"outcome-as: {outcome_name!r} given, the requests have a column of this name; take another")
    names = []
    for name in columns:
        if name in others:
            names.append(name)
            continue
        short = outcome_name if name == OUTCOME and outcome_name is not None else name.removeprefix(META)
        if short in others:
            report.notes.append(f"{short}: a column of the requests; what the journal knows is in {META}{short}")
            short = META + short
        names.append(short)
    return names


def _why(report: ExportReport) -> str:
    reasons = [f"{count:,} left out: {reason}" for reason, count in report.left_out.items()]
    if report.num_without_shadow:
        reasons.append(f"no shadow was asked {report.num_without_shadow:,} of the requests")
    if report.num_without_outcome:
        reasons.append(f"{report.num_without_outcome:,} rows have no outcome yet")
    return f" ({'; '.join(reasons)})" if reasons else ""
