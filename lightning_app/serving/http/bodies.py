"""Bodies of predictions: JSON, Arrow and Parquet to a model request."""

import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from lightning_app.serving.http.errors import HttpError
from lightning_app.serving.http.json_body import FORMS, columns_of, decode_json
from lightning_app.serving.inference.model_request import ModelRequest

if TYPE_CHECKING:
    import polars as pl

JSON = "application/json"
ARROW_STREAM = "application/vnd.apache.arrow.stream"
ARROW_FILE = "application/vnd.apache.arrow.file"
PARQUET = "application/vnd.apache.parquet"
MEDIA_TYPES = (JSON, ARROW_STREAM, ARROW_FILE, PARQUET)
_BYTES_PER_BYTE = 64
"""How much larger a compressed table may be than its body."""


def read_body(body: bytes, media_type: str, *, max_rows: int) -> tuple[ModelRequest, Any]:
    """Reads a body.

    Args:
        body: The body.
        media_type: One of `MEDIA_TYPES`.
        max_rows: Most rows of a request.

    Returns:
        request: The request.
        state: Content of the JSON key `state`, not read yet; None without one.

    Raises:
        HttpError: The body is malformed, or has too many rows.
    """
    if media_type == JSON:
        request, state = json_request(decode_json(body))
    elif media_type in MEDIA_TYPES:
        table = _read_table(body, media_type, max_rows)
        request, state = ModelRequest(table, len(table)), None
    else:
        raise HttpError(
            415, "media_type", f"Content-Type: {media_type!r} given, allowed: {', '.join(MEDIA_TYPES)}",
            field="Content-Type",
        )  # fmt: skip
    if request.num_rows > max_rows:
        raise HttpError(
            413, "too_many_rows", f"request: {request.num_rows:,} rows given, at most {max_rows:,} are allowed",
            field="request",
        )  # fmt: skip
    return request, state


def json_request(content: dict[str, Any]) -> tuple[ModelRequest, Any]:
    """A request from its decoded JSON.

    Args:
        content: Result of `decode_json`; the key `state` is taken out.

    Returns:
        request: The request.
        state: Content of the key `state`, not read yet; None without one.

    Raises:
        HttpError: It is no request.
    """
    state = content.pop("state", None)
    if len(content) != 1 or (form := next(iter(content))) not in FORMS:
        unknown = next((name for name in content if name not in FORMS), None)
        given = f"{unknown!r} given" if unknown is not None else f"{len(content)} of them given"
        message = f"body: {given}, exactly one of {', '.join(FORMS)} needed, and state if there is one"
        raise HttpError(422, "bad_request", message, field=unknown or "body")
    value = content[form]
    if form != "tables":
        table, num_rows, notes = columns_of(form, value, where=form)
        _refuse_empty(num_rows, form)
        return ModelRequest(table, num_rows, orient="columns" if form == "columns" else "records", notes=notes), state
    if type(value) is not dict or not value:
        raise HttpError(422, "bad_request", "tables: an object with a table for each name needed", field="tables")
    tables: dict[str, Mapping[str, Any]] = {}
    total = 0
    all_notes: list[str] = []
    for name, inner in value.items():
        where = f"tables.{name}"
        if type(inner) is not dict or len(inner) != 1 or (inner_form := next(iter(inner))) not in FORMS[:2]:
            raise HttpError(422, "bad_request", f"{where}: exactly one of records, columns needed", field=where)
        tables[name], num_rows, notes = columns_of(inner_form, inner[inner_form], where=f"{where}.{inner_form}")
        total += num_rows
        all_notes += notes
    _refuse_empty(total, form)  # one of the tables may be: graphs without edges
    return ModelRequest(None, total, tables=tables, notes=all_notes), state


def _refuse_empty(num_rows: int, form: str) -> None:
    if not num_rows:
        raise HttpError(422, "bad_request", f"{form}: no rows", field=form)


def _read_table(body: bytes, media_type: str, max_rows: int) -> "pl.DataFrame":
    import polars as pl

    readers: dict[str, Callable[[io.BytesIO], pl.DataFrame]] = {
        ARROW_STREAM: pl.read_ipc_stream,
        ARROW_FILE: lambda file: pl.read_ipc(file),
        PARQUET: lambda file: _read_parquet(file, max_rows),
    }
    try:
        table = readers[media_type](io.BytesIO(body))
    except HttpError:
        raise
    except BaseException as error:  # polars panics, which are no exceptions, on some damaged files
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise HttpError(400, "bad_table", f"body: no {media_type}: {reason}", field="body") from error
    if not len(table) or not table.width:
        raise HttpError(422, "bad_request", "body: the table has no rows", field="body")
    return table


def _read_parquet(file: io.BytesIO, max_rows: int) -> "pl.DataFrame":
    """Reads a table whose size is known before it is decompressed."""
    import polars as pl
    from pyarrow import parquet

    metadata = parquet.ParquetFile(file).metadata
    if metadata.num_rows > max_rows:
        raise HttpError(
            413, "too_many_rows", f"request: {metadata.num_rows:,} rows given, at most {max_rows:,} are allowed",
            field="request",
        )  # fmt: skip
    size = sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
    if size > _BYTES_PER_BYTE * max(len(file.getbuffer()), 4096):
        raise HttpError(413, "too_large", f"body: {size:,} bytes once decompressed", field="body")
    file.seek(0)
    return pl.read_parquet(file)
