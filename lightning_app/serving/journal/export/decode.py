"""Decoding of journalled bodies: from JSON, Arrow or Parquet to columns."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any, TypeAlias

import msgspec
import pyarrow as pa
from pyarrow import parquet

from lightning_app.serving.journal.export.binary_tensors import OCTETS, with_data

JSON = "application/json"
ARROW_STREAM = "application/vnd.apache.arrow.stream"
ARROW_FILE = "application/vnd.apache.arrow.file"
PARQUET = "application/vnd.apache.parquet"

Values: TypeAlias = "list[Any] | pa.Array"
Table: TypeAlias = dict[str, Values]
"""Values of each column; Arrow arrays keep their types."""


class UndecodedError(ValueError):
    """A body that cannot be taken apart into columns; says what it is."""


class Decoded(msgspec.Struct):
    """Columns of a body.

    Attributes:
        columns: The columns; of a request with several tables, `TABLE.COLUMN`.
        num_rows: Rows; -1 of several tables.
    """

    columns: Table
    num_rows: int


def decode_request(body: bytes, media_type: str) -> Decoded:
    """Columns of a request.

    Args:
        body: The body.
        media_type: Its media type.

    Raises:
        UndecodedError: It is of another format.
    """
    if _kind(media_type) == OCTETS:
        body = _with_data(body, media_type)
    elif _kind(media_type) != JSON:
        return _decode_table(body, media_type)
    content = _decode_json(body)
    if "tables" in content and isinstance(content["tables"], dict):
        if len(content["tables"]) == 1:
            return _of_form(next(iter(content["tables"].values())))
        columns: Table = {}
        for name, inner in content["tables"].items():
            decoded = _of_form(inner)
            columns |= {f"{name}.{column}": values for column, values in decoded.columns.items()}
        return Decoded(columns, -1)
    return _of_form(content)


def decode_answer(answer: bytes, media_type: str) -> Decoded:
    """Columns of an answer.

    Args:
        answer: The body.
        media_type: Its media type.

    Raises:
        UndecodedError: It is of another format.
    """
    if _kind(media_type) == OCTETS:
        answer = _with_data(answer, media_type)
    elif _kind(media_type) != JSON:
        return _decode_table(answer, media_type)
    content = _decode_json(answer)
    predictions = content.get("predictions", content)
    if isinstance(predictions, list):
        return _of_form({"records": predictions})
    if "outputs" in predictions:
        return _of_form({"inputs": predictions["outputs"]})
    return _of_form({"columns": predictions})


def decode_stream(content: bytes) -> Decoded:
    """Columns of an Arrow stream.

    Args:
        content: The stream.

    Raises:
        UndecodedError: It is none.
    """
    return _decode_table(content, ARROW_STREAM)


def _kind(media_type: str) -> str:
    return media_type.partition(";")[0].strip().lower()


def _with_data(content: bytes, media_type: str) -> bytes:
    try:
        return with_data(content, media_type)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UndecodedError("no tensors, or left out because its columns could not be dropped or hashed") from error


def _decode_json(body: bytes) -> dict[str, Any]:
    try:
        content = msgspec.json.decode(body)
    except (msgspec.DecodeError, ValueError) as error:
        raise UndecodedError("no JSON, or left out because its columns could not be dropped or hashed") from error
    if not isinstance(content, dict):
        raise UndecodedError("JSON without named columns")
    return content


def _of_form(content: Mapping[str, Any]) -> Decoded:
    if isinstance(records := content.get("records"), list):
        names = dict.fromkeys(name for record in records for name in record)
        return Decoded({name: [record.get(name) for record in records] for name in names}, len(records))
    if isinstance(columns := content.get("columns"), dict):
        return Decoded(dict(columns), len(next(iter(columns.values()), ())))
    if isinstance(tensors := content.get("inputs"), list):
        rows = {tensor["name"]: _tensor_rows(tensor) for tensor in tensors}
        return Decoded(dict(rows), len(next(iter(rows.values()), ())))
    raise UndecodedError("JSON without named columns")


def _tensor_rows(tensor: Mapping[str, Any]) -> list[Any]:
    """Rows of a tensor of the inference protocol, whose data may be flat."""
    if "data" not in tensor:
        raise UndecodedError("binary tensors")
    values: Sequence[Any] = tensor["data"]
    shape: list[int] = tensor["shape"]
    while values and isinstance(values[0], list):
        values = [value for row in values for value in row]
    for size in reversed(shape[1:]):
        values = [list(values[begin : begin + size]) for begin in range(0, len(values), max(size, 1))]
    return list(values)


def _decode_table(body: bytes, media_type: str) -> Decoded:
    kind = _kind(media_type)
    try:
        if kind == PARQUET:
            table = parquet.read_table(BytesIO(body))
        elif kind == ARROW_STREAM:
            table = pa.ipc.open_stream(body).read_all()
        elif kind == ARROW_FILE:
            table = pa.ipc.open_file(body).read_all()
        else:
            raise UndecodedError(f"bodies of {kind}")
    except pa.ArrowException as error:
        raise UndecodedError(f"no {kind}, or left out because its columns could not be dropped or hashed") from error
    return Decoded({name: _whole(table.column(name)) for name in table.column_names}, table.num_rows)


def _whole(column: "pa.ChunkedArray") -> "pa.Array":
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks == 1 else pa.concat_arrays(array.chunks)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_large_string(array.type) or pa.types.is_string_view(array.type):
        array = array.cast(pa.string())  # other encodings of the same type
    return array
