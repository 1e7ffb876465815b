"""Building of the drift reference of a package from monitored rows: the two files that a package carries."""

import io
from collections.abc import Mapping
from typing import Any

import msgspec
import polars as pl

from lightning_app.drift.answers.answer_form import answer_form
from lightning_app.drift.answers.held_out import held_out_facts
from lightning_app.drift.columns.nested import inner_type
from lightning_app.drift.reference import REFERENCE_FILE, SAMPLE_FILE, Reference, build_reference, build_sample
from lightning_app.drift.reference.build import SAMPLE_ROWS
from lightning_app.drift.result import Role
from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.monitored.importance import column_importance
from lightning_app.packaging.monitored.plain_types import as_journalled
from lightning_app.packaging.monitored.rows import OUTCOME, PREDICTION, MonitoredRows, values_per_row
from lightning_app.packaging.runtime.row_ids import PASSED, node_inputs

_SAMPLE_VALUES = 2**20
"""Most numbers in the sample."""
_ROW_VALUES = 4096
"""Most numbers of a column in a row of the sample; columns with more are left out of it."""
_REASON = "names a row of the answer"


def drift_reference(rows: MonitoredRows, manifest: Manifest) -> Reference:
    """The reference of held-out rows, with what they say of the model's errors, and the importance of its columns.

    Args:
        rows: The rows.
        manifest: Of the package.
    """
    rows = rows.in_order()
    table = as_journalled(rows.table())
    left_out = {**_names_of_rows(rows, manifest), **rows.left_out}
    form = answer_form(manifest.outputs, manifest.labels)
    facts = None if form is None or rows.outcome is None else held_out_facts(table, form)
    plain: Mapping[str, Any] | None = None if facts is None else msgspec.to_builtins(facts)
    is_class = form is not None and form.kind == "classes"
    reference = build_reference(
        table,
        roles={name: role for name, role in _roles(rows).items() if name not in left_out},
        importance=None if form is None else column_importance(rows, form),
        errors=None if is_class else plain,
        calibration=plain if is_class else None,
    )
    return msgspec.structs.replace(reference, left_out={**reference.left_out, **left_out})


def drift_sample(rows: MonitoredRows, reference: Reference) -> pl.DataFrame:
    """Some of the rows as they are, without columns that are not watched or whose cells are large.

    Args:
        rows: The rows.
        reference: Their reference.
    """
    table = as_journalled(rows.in_order().table())
    watched = {column.plan.source for column in reference.columns}
    sizes = {series.name: values_per_row(series) for series in table if series.name in watched}
    kept = [name for name, size in sizes.items() if size <= _ROW_VALUES and not _is_text_list(table.schema[name])]
    per_row = max(1.0, sum(sizes[name] for name in kept))
    return build_sample(table.select(kept), rows=max(1, min(SAMPLE_ROWS, int(_SAMPLE_VALUES / per_row))))


def drift_files(rows: MonitoredRows, reference: Reference) -> dict[str, bytes]:
    """Content of the files of a package, by name.

    Args:
        rows: The held-out rows.
        reference: Their reference.
    """
    buffer = io.BytesIO()
    drift_sample(rows, reference).write_parquet(buffer, compression="zstd")
    return {REFERENCE_FILE: reference.to_bytes(), SAMPLE_FILE: buffer.getvalue()}


def _is_text_list(dtype: pl.DataType) -> bool:
    return dtype.is_nested() and inner_type(dtype) == pl.String  # of which no more than the length is watched


def _roles(rows: MonitoredRows) -> dict[str, Role]:
    roles: dict[str, Role] = dict.fromkeys(rows.requests.columns, "input")
    roles |= {PREDICTION + name: "prediction" for name in rows.answers.columns}
    return roles | ({} if rows.outcome is None else {OUTCOME: "outcome"})


def _names_of_rows(rows: MonitoredRows, manifest: Manifest) -> dict[str, str]:
    """Columns of answers that no model answers: ids, times and steps."""
    names = {*PASSED, "step", *node_inputs(manifest), *rows.requests.columns}
    names -= {spec.name for spec in manifest.outputs}
    return {PREDICTION + name: _REASON for name in rows.answers.columns if name in names}
