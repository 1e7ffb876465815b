"""Bodies of the client: records, columns and tables to bytes, and answers back in the same form."""

import io
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

JSON = "application/json"
ARROW_STREAM = "application/vnd.apache.arrow.stream"

Records: TypeAlias = Sequence[Mapping[str, Any]]
Columns: TypeAlias = Mapping[str, Any]


class Body(Struct, frozen=True):
    """An encoded request.

    Attributes:
        content: The body.
        media_type: Its media type.
        decode: Predictions of an answer: from JSON predictions, or from an Arrow body, to the form of the request.
    """

    content: bytes
    media_type: str
    decode: Callable[[Any], Any]


def encode(data: Any, *, tables: Mapping[str, Any] | None, state: Any) -> Body:
    """Encodes a request.

    Args:
        data: Records, columns (of lists or of numpy arrays), a polars table, or a table that speaks Arrow; None if
            there are `tables`.
        tables: Several tables by name, each as `data`.
        state: What the answer before returned; None without one.

    Raises:
        ValueError: The data has none of these forms.
    """
    if (data is None) == (tables is None):
        raise ValueError("predict: exactly one of data, tables needed")
    if tables is not None:
        plain = {name: {_form(table): _plain(table)} for name, table in tables.items()}
        return _json({"tables": plain}, state, _same)
    if hasattr(data, "__arrow_c_stream__") and state is None:
        return _table(data)
    is_of_arrays = isinstance(data, Mapping) and any(_is_array(values) for values in data.values())
    return _json({_form(data): _plain(data)}, state, _arrays if is_of_arrays else _same)


def to_json(content: Any) -> bytes:
    """JSON of plain values, and of arrays and scalars of numpy.

    Args:
        content: The values.

    Raises:
        ValueError: A value has no form in JSON.
    """
    return msgspec.json.encode(content, enc_hook=_encode_array)


def _form(data: Any) -> str:
    if isinstance(data, Mapping) or hasattr(data, "__arrow_c_stream__"):
        return "columns"
    if isinstance(data, Sequence) and not isinstance(data, str | bytes):
        return "records"
    raise ValueError(
        f"predict: {type(data).__name__} given; a list of records, a dictionary of columns, or a table needed"
    )


def _plain(data: Any) -> Any:
    """Records or columns for JSON."""
    if not hasattr(data, "__arrow_c_stream__"):
        return data
    if _is_polars(data):
        return data.to_dict(as_series=False)
    import pyarrow as pa

    return pa.table(data).to_pydict()


def _json(content: dict[str, Any], state: Any, decode: Callable[[Any], Any]) -> Body:
    if state is not None:
        content["state"] = state
    return Body(to_json(content), JSON, decode)


def _table(data: Any) -> Body:
    file = io.BytesIO()
    if _is_polars(data):
        data.write_ipc_stream(file)
        return Body(file.getvalue(), ARROW_STREAM, _polars_table)
    import pyarrow as pa

    table = pa.table(data)
    with pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    return Body(file.getvalue(), ARROW_STREAM, _arrow_table)


def _polars_table(content: bytes) -> Any:
    import polars as pl

    return pl.read_ipc_stream(io.BytesIO(content))


def _arrow_table(content: bytes) -> Any:
    import pyarrow as pa

    with pa.ipc.open_stream(content) as reader:
        return reader.read_all()


def _arrays(predictions: Any) -> Any:
    import numpy as np

    return {name: values if _is_ragged(values) else np.asarray(values) for name, values in predictions.items()}


def _same(predictions: Any) -> Any:
    return predictions


def _is_ragged(values: Sequence[Any]) -> bool:
    """Whether rows are lists of different lengths, which stay lists."""
    return len({len(row) if isinstance(row, list) else -1 for row in values}) > 1


def _is_polars(data: Any) -> bool:
    polars = sys.modules.get("polars")
    return polars is not None and isinstance(data, polars.DataFrame)


def _is_array(values: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(values, numpy.ndarray)


def _encode_array(value: Any) -> Any:
    """Arrays and scalars of numpy as plain values; NaN becomes null, as in JSON a missing value."""
    if _is_array(value) and value.dtype.kind == "f" and (abs(value) == float("inf")).any():
        raise ValueError("predict: JSON holds no infinite numbers; send a table")
    if hasattr(value, "tolist"):
        return value.tolist()
    raise ValueError(f"predict: a value of type {type(value).__name__} cannot be sent as JSON")
