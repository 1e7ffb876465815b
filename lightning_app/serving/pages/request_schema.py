"""Request schema: the JSON bodies that a package takes, from the signature in its manifest."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from lightning_app.packaging import Package
from lightning_app.packaging.format.raw_input import RawColumn
from lightning_app.packaging.format.signature import TensorSpec
from lightning_app.packaging.runtime.row_ids import PASSED, bounded
from lightning_app.packaging.runtime.text.tokenizer import TEXT, TOKENS
from lightning_app.serving.pages.known_values import MOST_CHOICES, KnownValues, known_values

Schema: TypeAlias = dict[str, Any]
"""A JSON schema of the 2020-12 draft, as OpenAPI 3.1 takes it."""
_SHOWN = 12
_ID: Schema = {
    "type": ["string", "integer", "number", "boolean"],
    "description": "Copied to the answer; no model reads it.",
}


def request_schema(package: Package, *, most_rows: int) -> Schema:
    """Schema of a JSON body: exactly one of `records`, `columns` and `tables`.

    Args:
        package: A loaded package.
        most_rows: Most rows of a request.
    """
    forms: list[Schema] = []
    tables = _raw_tables(package)
    rows = [*([] if None not in tables else [tables[None]]), *_input_rows(package)]
    if None not in tables and tables:
        forms.append(_tables_form({str(name): row for name, row in tables.items()}, most_rows))
    forms += [_body("records", _one_of([_records(row, most_rows) for row in rows]), "One object per row.")]
    forms += [_body("columns", _one_of([_columns(row, most_rows) for row in rows]), "One list per column.")]
    if package.manifest.state:
        for form in forms:
            form["properties"]["state"] = _state()
    return {"oneOf": forms}


def _state() -> Schema:
    return {
        "type": "string",
        "minLength": 1,
        "description": "State that the answer before returned; left out at the start of a stream.",
    }


def _body(key: str, content: Schema, description: str) -> Schema:
    return {
        "title": key,
        "description": description,
        "type": "object",
        "additionalProperties": False,
        "required": [key],
        "properties": {key: content},
    }


def _tables_form(tables: Mapping[str, "_Row"], most_rows: int) -> Schema:
    properties = {
        name: {
            "oneOf": [
                _body("records", _records(row, most_rows), "One object per row."),
                _body("columns", _columns(row, most_rows), "One list per column."),
            ]
        }
        for name, row in tables.items()
    }
    content = {
        "type": "object",
        "additionalProperties": False,
        "required": list(tables),
        "properties": properties,
    }
    return _body("tables", content, f"The tables {' and '.join(tables)}.")


class _Row:
    """Columns of a row: schema of each value, those that a row needs, and whether others may be sent."""

    def __init__(self, title: str, values: Mapping[str, Schema], required: Sequence[str], *, is_open: bool) -> None:
        self.title = title
        self.values = values
        self.required = required
        self.is_open = is_open


def _records(row: _Row, most_rows: int) -> Schema:
    record: Schema = {"type": "object", "required": list(row.required), "properties": dict(row.values)}
    if not row.is_open:
        record["additionalProperties"] = False
    return {"title": row.title, "type": "array", "minItems": 1, "maxItems": most_rows, "items": record}


def _columns(row: _Row, most_rows: int) -> Schema:
    columns: Schema = {
        "title": row.title,
        "type": "object",
        "required": list(row.required),
        "properties": {
            name: {"type": "array", "minItems": 1, "maxItems": most_rows, "items": value}
            for name, value in row.values.items()
        },
    }
    if not row.is_open:
        columns["additionalProperties"] = False
    return columns


def _raw_tables(package: Package) -> dict[str | None, _Row]:
    """Raw rows by name of their table; None names the only one."""
    spec = package.manifest.raw_input
    if spec is None:
        return {}
    known = known_values(package)
    rows: dict[str | None, _Row] = {}
    for table in dict.fromkeys(column.table for column in spec.columns):
        columns = [column for column in spec.columns if column.table == table]
        rows[table] = _Row(
            "Raw rows" if table is None else f"Raw rows of {table}",
            {column.name: raw_column_schema(column, known.get(column.name)) for column in columns},
            [column.name for column in columns if column.required],
            is_open=True,  # other columns are not read, and a note of the answer says so
        )
    return rows


def raw_column_schema(column: RawColumn, known: KnownValues | None) -> Schema:
    """Schema of a value in a raw column; null is missing.

    Args:
        column: The column.
        known: What training has seen of it.
    """
    types = {
        "number": ["number", "null"],
        "whole number": ["integer", "null"],
        "boolean": ["boolean", "null"],
        "text": ["string", "null"],
        "timestamp": ["string", "integer", "null"],
    }[column.type]
    if column.type == "text":
        types = ["string", "integer", "null"]
    schema: Schema = {"type": types, "description": _words(column.role, column.unit)}
    if known is not None and known.choices:
        schema["examples"] = list(known.choices[:_SHOWN])
        more = f" and {len(known.choices) - _SHOWN} more" if len(known.choices) > _SHOWN else ""
        more = more if len(known.choices) < MOST_CHOICES else " and more"
        schema["description"] += f"; in training: {', '.join(known.choices[:_SHOWN])}{more}; others count as unknown"
    elif known is not None:
        schema["examples"] = [known.example]
    return schema


def _input_rows(package: Package) -> list[_Row]:
    """Rows of inputs of the graph: whole inputs by name, and named columns where an input has them."""
    inputs = [*zip(package.predictor.inputs, _bounds(package), strict=True)]
    names = {spec.name for spec, _ in inputs}
    ids = {name: _ID for name in PASSED if name not in names}
    by_input = {spec.name: _nested(_described(spec, bound), spec.shape[1:]) for spec, bound in inputs}
    rows = [_Row("Inputs of the model", {**by_input, **ids}, list(by_input), is_open=False)]
    if any(spec.columns is not None and len(spec.shape) == 2 for spec, _ in inputs):
        values: dict[str, Schema] = {}
        for spec, bound in inputs:
            if spec.columns is not None and len(spec.shape) == 2:
                values.update(dict.fromkeys(spec.columns, _described(spec, bound)))
            else:
                values[spec.name] = by_input[spec.name]
        taken = {name: schema for name, schema in ids.items() if name not in values}
        rows.insert(0, _Row("Named columns", {**values, **taken}, list(values), is_open=False))
    if package.manifest.tokenizer is not None and TOKENS in by_input:
        others = {name: schema for name, schema in by_input.items() if name != TOKENS}
        text = {"type": "string", "minLength": 1, "description": "Text, split into tokens as in training."}
        rows.insert(0, _Row("Text", {TEXT: text, **others, **ids}, [TEXT, *others], is_open=False))
    if package.manifest.node_ids is not None:
        node = {"type": ["string", "integer"], "description": "Id of a node of the graph that the package contains."}
        by_id = {name: node if name in package.manifest.node_ids.inputs else by_input[name] for name in by_input}
        rows = [_Row("Ids of nodes", {**by_id, **ids}, list(by_id), is_open=False)]
    return rows


def _bounds(package: Package) -> list[int | None]:
    """Number of allowed values of each input, also where an old manifest does not state it."""
    stated = {spec.name: spec.num_values for spec in bounded(package.manifest).inputs}
    return [stated.get(spec.name) for spec in package.predictor.inputs]


def _described(spec: TensorSpec, num_values: int | None) -> Schema:
    number = _number(spec.dtype)
    if num_values is not None:
        number |= {"minimum": 0, "maximum": num_values - 1}
    return {**number, "description": _words(spec.dtype, spec.unit)}


def _number(dtype: str) -> Schema:
    if dtype == "bool":
        return {"type": "boolean"}
    if "int" in dtype:
        integers = np.iinfo(dtype)
        return {"type": "integer", "minimum": int(integers.min), "maximum": int(integers.max)}
    most = float(np.finfo(dtype).max)
    return {"type": ["number", "boolean"], "minimum": -most, "maximum": most}  # true and false count as 1 and 0


def _nested(value: Schema, sizes: Sequence[int | str]) -> Schema:
    """A value within lists, one per axis."""
    for size in reversed(sizes):
        bounds = {"minItems": size, "maxItems": size} if isinstance(size, int) else {}
        value = {"type": "array", **bounds, "items": value}
    return value


def _one_of(schemas: Sequence[Schema]) -> Schema:
    return schemas[0] if len(schemas) == 1 else {"anyOf": list(schemas)}


def _words(*parts: str | None) -> str:
    return ", ".join(part for part in parts if part)
