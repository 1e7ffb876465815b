"""Forms: what the page asks for to try a model, from its signature, prefilled with the package's sample."""

from typing import Any

from lightning_app.packaging import Package
from lightning_app.packaging.format.raw_input import RawColumn
from lightning_app.packaging.format.signature import MAX_VALUES, TensorSpec
from lightning_app.packaging.runtime.requests.raw_request import is_raw
from lightning_app.packaging.runtime.text.tokenizer import TEXT
from lightning_app.serving.pages.known_values import known_values
from lightning_app.serving.pages.sample_request import Sample

_RAW_TYPES = {"whole number": "integer", "timestamp": "text"}


def form_of(package: Package, sample: Sample | None) -> dict[str, Any]:
    """The form, and what the page needs to draw the answer.

    Args:
        package: A loaded package.
        sample: Its sample request; None leaves the form empty.

    Returns:
        `shape` (`rows`: each line of the table is a row; `tables`: several tables; `record`: one row of all parts),
        `parts` (`field`, `table`, `text`, `json`), `outputs` and `series`.
    """
    manifest = package.manifest
    content = {} if sample is None else sample.body
    columns = () if manifest.raw_input is None else manifest.raw_input.columns
    if any(column.table is not None for column in columns):
        shape = "tables"
        parts = [
            _raw_table(name, [column for column in columns if column.table == name], _rows(content, name))
            for name in dict.fromkeys(column.table for column in columns)
        ]
    else:
        rows = content.get("records", [])
        is_series = manifest.raw_input is not None and manifest.raw_input.kind in ("series", "panel")
        raw = bool(columns) and (not rows or is_raw(rows[0], manifest))
        if raw and (is_series or len(rows) > 1):
            shape, parts = "rows", [_raw_table(None, columns, rows)]
        else:
            record = rows[0] if rows else {}
            shape, parts = "record", _raw_fields(package, record) if raw else _inputs(package, record)
    return {"shape": shape, "parts": parts, "outputs": _outputs(package), "series": _series(package)}


def _rows(content: dict[str, Any], table: str | None) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = content.get("tables", {}).get(table, {}).get("records", [])
    return rows


def _raw_table(name: str | None, columns: Any, rows: list[dict[str, Any]]) -> dict[str, Any]:
    described = [_raw_column(column) for column in columns]
    names = [column["name"] for column in described]
    return {
        "kind": "table",
        "name": name,
        "columns": described,
        "rows": [[row.get(column) for column in names] for row in rows],
    }


def _raw_column(column: RawColumn) -> dict[str, Any]:
    return {
        "name": column.name,
        "type": _RAW_TYPES.get(column.type, column.type),
        "unit": column.unit,
        "role": column.role,
        "required": column.required,
    }


def _raw_fields(package: Package, record: dict[str, Any]) -> list[dict[str, Any]]:
    assert package.manifest.raw_input is not None
    known = known_values(package)
    return [
        {
            "kind": "field",
            **_raw_column(column),
            "choices": list(known[column.name].choices) if column.name in known else [],
            "value": record.get(column.name),
        }
        for column in package.manifest.raw_input.columns
    ]


def _inputs(package: Package, record: dict[str, Any]) -> list[dict[str, Any]]:
    """Parts of a row of inputs; the sample decides between text and tokens, columns and arrays."""
    parts: list[dict[str, Any]] = []
    if TEXT in record:
        parts.append({"kind": "text", "name": TEXT, "value": record[TEXT]})
    for spec in package.predictor.inputs:
        if TEXT in record and spec.name not in record:
            continue
        if spec.columns is not None and len(spec.shape) == 2 and spec.name not in record:
            parts += [_input_field(name, spec, record.get(name)) for name in spec.columns]
        elif len(spec.shape) == 1:
            parts.append(_input_field(spec.name, spec, record.get(spec.name)))
        elif len(spec.shape) == 3 and isinstance(spec.shape[2], int):
            names = spec.columns or [f"{index}" for index in range(spec.shape[2])]
            columns = [{**_input_field(name, spec, None), "required": True} for name in names]
            parts.append({"kind": "table", "name": spec.name, "columns": columns, "rows": record.get(spec.name, [])})
        else:
            sizes = " x ".join(str(size) for size in spec.shape[1:])
            hint = ", ".join(part for part in (f"{sizes} {spec.dtype}", spec.unit) if part)
            parts.append({"kind": "json", "name": spec.name, "hint": hint, "value": record.get(spec.name, [])})
    return parts


def _input_field(name: str, spec: TensorSpec, value: Any) -> dict[str, Any]:
    kind = "boolean" if spec.dtype == "bool" else "integer" if "int" in spec.dtype else "number"
    is_index = spec.num_values is not None and spec.num_values < MAX_VALUES  # a larger one is no bound of this model
    return {
        "kind": "field",
        "name": name,
        "type": "text" if isinstance(value, str) else kind,
        "unit": spec.unit,
        "role": None,
        "required": True,
        "min": 0 if is_index else None,
        "max": spec.num_values - 1 if spec.num_values is not None and is_index else None,
        "choices": [],
        "value": value,
    }


def _outputs(package: Package) -> list[dict[str, Any]]:
    return [
        {
            "name": spec.name,
            "unit": spec.unit,
            "columns": None if spec.columns is None else list(spec.columns),
            "levels": None if spec.levels is None else list(spec.levels),
            "labels": list(package.manifest.labels or ()) if spec.name == "probabilities" else None,
        }
        for spec in package.manifest.outputs
    ]


def _series(package: Package) -> dict[str, Any] | None:
    """Where a picture finds times, names and values of the past."""
    manifest = package.manifest
    if manifest.task not in ("forecast", "trajectory"):
        return None
    if manifest.raw_input is None:
        return {"time": None, "id": None, "values": None, "input": manifest.inputs[0].name}
    role = {column.role: column.name for column in manifest.raw_input.columns}
    values = [column.name for column in manifest.raw_input.columns if column.role == "target"]
    return {"time": role.get("time"), "id": role.get("series"), "values": values, "input": manifest.inputs[0].name}
