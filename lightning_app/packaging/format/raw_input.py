"""Raw input of a package: the columns that its users supply, and the file with the preparation of their rows."""

from dataclasses import dataclass, fields
from typing import Any

from lightning_app.packaging.format.errors import PackageError
from lightning_app.packaging.format.fields import (
    exact_keys,
    file_name_field,
    is_whole,
    name_field,
    need,
    one_of,
    texts_field,
)

COLUMN_TYPES = ("number", "whole number", "boolean", "text", "timestamp")


@dataclass(frozen=True)
class RawColumn:
    """A column of the tables that a package answers.

    Attributes:
        name: Name in the table.
        type: One of `COLUMN_TYPES`.
        role: What it is for, e.g. `time`, `series`, `target`.
        unit: Unit of the values in words, or the format of a time; None if there is none.
        required: Whether every table needs the column.
        table: Name of its table, where a request has several; None for a single table.
    """

    name: str
    type: str
    role: str
    unit: str | None = None
    required: bool = True
    table: str | None = None


@dataclass(frozen=True)
class RawInputSpec:
    """Description of the raw rows that a package answers.

    Attributes:
        kind: Kind of the preparation, a key of `packaging.runtime.raw_kinds.KINDS`.
        file: File of the package with the preparation, JSON.
        files: Further files of the package that the preparation reads, e.g. `tokenizer.json`.
        columns: Columns of a table.
        min_rows: Smallest number of rows that can be answered.
        rows_of: What `min_rows` counts, e.g. `rows of each series up to the forecast`.
        stored_views: Views of features whose history can come from an online store instead of the table: all that are
            read, or none.
    """

    kind: str
    file: str
    columns: tuple[RawColumn, ...]
    min_rows: int
    rows_of: str
    stored_views: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    @property
    def all_files(self) -> tuple[str, ...]:
        """Files of the package that the preparation is read from."""
        return (self.file, *self.files)


def needed_rows(spec: RawInputSpec) -> str:
    """The smallest number of rows in words."""
    return f"{spec.min_rows:,} {spec.rows_of}"


def read_raw_input(field: Any) -> RawInputSpec | None:
    """Checks the manifest field `raw_input`.

    Args:
        field: Value of the field; None if the package takes nothing but the inputs of its graph.

    Raises:
        PackageError: The field is invalid.
    """
    if field is None:
        return None
    if isinstance(field, dict):
        # Missing in packages of the first version of schema 3, and in all of it.
        field = {"stored_views": [], "files": [], **field}
    exact_keys(field, tuple(spec.name for spec in fields(RawInputSpec)), "raw_input")
    columns = field["columns"]
    need(isinstance(columns, list) and bool(columns), "raw_input.columns", "a list of columns", columns)
    need(is_whole(field["min_rows"]) and field["min_rows"] >= 0, "raw_input.min_rows", "a count", field["min_rows"])
    need(isinstance(field["rows_of"], str), "raw_input.rows_of", "text", field["rows_of"])
    spec = RawInputSpec(
        kind=name_field(field["kind"], "raw_input.kind"),
        file=file_name_field(field["file"], "raw_input.file"),
        columns=tuple(_column(column, f"raw_input.columns[{index}]") for index, column in enumerate(columns)),
        min_rows=field["min_rows"],
        rows_of=field["rows_of"],
        stored_views=texts_field(field["stored_views"], "raw_input.stored_views") or (),
        files=tuple(
            file_name_field(name, "raw_input.files") for name in texts_field(field["files"], "raw_input.files") or ()
        ),
    )
    names = [(column.table or "", column.name) for column in spec.columns]
    if twins := sorted({name for name in names if names.count(name) > 1}):
        raise PackageError(f"raw_input.columns: {twins[0][1]!r} given twice, a name of its own for each column needed")
    return spec


def _column(field: Any, key: str) -> RawColumn:
    if isinstance(field, dict):
        field = {"table": None, **field}  # missing in packages of a single table
    exact_keys(field, tuple(spec.name for spec in fields(RawColumn)), key)
    for name in ("name", "role"):
        need(isinstance(field[name], str) and bool(field[name]), f"{key}.{name}", "text", field[name])
    for name in ("unit", "table"):
        need(isinstance(field[name], str | None), f"{key}.{name}", "text", field[name])
    need(isinstance(field["required"], bool), f"{key}.required", "true or false", field["required"])
    one_of(field["type"], COLUMN_TYPES, f"{key}.type")
    return RawColumn(**field)
