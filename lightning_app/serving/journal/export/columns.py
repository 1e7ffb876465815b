"""Columns of many bodies as one table: types are inferred, united, and kept where a body says them."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from lightning_app.serving.journal.export.decode import Values


class TableBuilder:
    """Rows whose columns differ from body to body; what a body lacks is null.

    Attributes:
        num_rows: Rows so far.
        mixed: Columns with values of several types, which `table` writes as text.
    """

    def __init__(self) -> None:
        self.num_rows = 0
        self.mixed: set[str] = set()
        self._parts: dict[str, list[tuple[int, Values]]] = {}
        self._records: list[dict[str, Any]] = []

    def add_record(self, record: dict[str, Any]) -> None:
        """Appends one row.

        Args:
            record: Value of each column.
        """
        self._records.append(record)
        self.num_rows += 1

    def add(self, columns: Mapping[str, Values], num_rows: int) -> None:
        """Appends rows.

        Args:
            columns: Values of each column.
            num_rows: Number of the rows.
        """
        self._add_records()
        for name, values in columns.items():
            self._parts.setdefault(name, []).append((self.num_rows, values))
        self.num_rows += num_rows

    def table(self) -> pa.Table:
        """The rows as a table."""
        self._add_records()
        return pa.table({name: self._column(name, parts) for name, parts in self._parts.items()})

    def _add_records(self) -> None:
        if not self._records:
            return
        records, self._records = self._records, []
        begin = self.num_rows - len(records)
        names: dict[str, None] = {}
        for record in records:
            if record.keys() != names.keys():
                names.update(dict.fromkeys(record))
        for name in names:
            self._parts.setdefault(name, []).append((begin, [record.get(name) for record in records]))

    def _column(self, name: str, parts: Sequence[tuple[int, Values]]) -> pa.Array:
        arrays: list[pa.Array] = []
        listed: list[Any] = []
        end = 0
        for begin, values in [*parts, (self.num_rows, [])]:
            listed += [None] * (begin - end)
            if isinstance(values, list):
                listed += values
            else:
                arrays += [array_of(listed), values]
                listed = []
            end = begin + len(values)
        arrays.append(array_of(listed))
        arrays = [array for array in arrays if len(array)] or arrays[:1]
        kind = united_type([array.type for array in arrays])
        if pa.types.is_string(kind) and not all(_are_texts(values) for _, values in parts):
            self.mixed.add(name)
        return pa.concat_arrays([with_type(array, kind) for array in arrays])


def array_of(values: list[Any]) -> pa.Array:
    """An array of plain values; a mixture of types becomes text.

    Args:
        values: The values.
    """
    for kind in (None, pa.uint64()):
        try:
            return pa.array(values, kind)
        except (pa.ArrowException, OverflowError, TypeError):
            continue
    return pa.array([_text(value) for value in values], pa.string())


def united_type(types: Sequence[pa.DataType]) -> pa.DataType:
    """The narrowest type that holds values of several types; text if nothing else does.

    Args:
        types: The types.
    """
    distinct = [kind for kind in dict.fromkeys(types) if not pa.types.is_null(kind)]
    if not distinct:
        return pa.null()
    if len(distinct) == 1:
        return distinct[0]
    if any(_is_list(kind) for kind in distinct):
        return pa.list_(united_type([kind.value_type if _is_list(kind) else kind for kind in distinct]))
    schemas = [pa.schema([("values", kind)]) for kind in distinct]
    try:
        return pa.unify_schemas(schemas, promote_options="permissive").field("values").type
    except pa.ArrowException:
        return pa.string()


def with_type(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """An array with a type of `united_type`.

    Args:
        array: The array.
        kind: The type.
    """
    if array.type == kind:
        return array
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), kind)
    if _is_list(kind):
        if not _is_list(array.type):  # a value beside lists is a list of one
            array = as_lists(array, 1)
        if pa.types.is_fixed_size_list(array.type):
            array = array.cast(pa.list_(array.type.value_type))
        if array.type == kind:
            return array
        values = with_type(array.flatten(), kind.value_type)
        sizes = pc.fill_null(pc.list_value_length(array), 0)
        offsets = pa.concat_arrays([pa.array([0], pa.int64()), pc.cumulative_sum(sizes.cast(pa.int64()))])
        whole = pa.ListArray.from_arrays(offsets.cast(pa.int32()), values, mask=pc.is_null(array))
        return whole.cast(kind)
    if pa.types.is_string(kind):
        return pa.array([_text(value) for value in array.to_pylist()], pa.string())
    return array.cast(kind)


def as_lists(array: pa.Array, size: int) -> pa.Array:
    """Consecutive values as lists.

    Args:
        array: The values.
        size: Values of each list.
    """
    offsets = pa.array(range(0, len(array) + 1, max(size, 1)), pa.int32())
    return pa.ListArray.from_arrays(offsets, array)


def is_text(kind: pa.DataType) -> bool:
    """Whether a type is text, or that of nulls.

    Args:
        kind: The type.
    """
    return pa.types.is_string(kind) or pa.types.is_null(kind)


def _are_texts(values: Values) -> bool:
    if isinstance(values, list):
        return all(value is None or isinstance(value, str) for value in values)
    return is_text(values.type)


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else msgspec.json.encode(value).decode()
