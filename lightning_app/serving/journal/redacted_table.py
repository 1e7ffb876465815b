"""Arrow and Parquet bodies without columns that must not be written."""

from collections.abc import Callable, Collection
from io import BytesIO
from typing import Any, Protocol


class _Remove(Protocol):
    def __call__(self, value: Any, *, hashed: bool) -> None: ...


def redacted_table(
    content: bytes,
    *,
    is_parquet: bool,
    is_stream: bool,
    dropped: Collection[str],
    hashed: Collection[str],
    hash_of: Callable[[Any], str | None],
    removed: _Remove,
) -> bytes:
    """A table in its format, without columns and with hashes of columns.

    Args:
        content: The table.
        is_parquet: Whether it is Parquet; it is Arrow otherwise.
        is_stream: Whether Arrow is a stream; it is a file otherwise.
        dropped: Columns to drop.
        hashed: Columns to hash.
        hash_of: Hash of a value.
        removed: Called with the values that were taken out.

    Raises:
        pyarrow.ArrowInvalid: It is no table.
    """
    import pyarrow as pa
    from pyarrow import parquet

    if is_parquet:
        table = parquet.read_table(BytesIO(content))
    else:
        reader = pa.ipc.open_stream(content) if is_stream else pa.ipc.open_file(content)
        table = reader.read_all()
    touched = [name for name in table.column_names if name in dropped or name in hashed]
    if not touched:
        return content
    for name in touched:
        values = table.column(name).to_pylist()
        removed(values, hashed=name not in dropped)
        place = table.column_names.index(name)
        if name in dropped:
            table = table.remove_column(place)
        else:
            table = table.set_column(place, name, pa.array([hash_of(value) for value in values], pa.string()))
    table = table.replace_schema_metadata(None)  # pandas describes columns there
    sink = BytesIO()
    if is_parquet:
        parquet.write_table(table, sink)
    else:
        new = pa.ipc.new_stream(sink, table.schema) if is_stream else pa.ipc.new_file(sink, table.schema)
        with new as writer:
            writer.write_table(table)
    return sink.getvalue()
