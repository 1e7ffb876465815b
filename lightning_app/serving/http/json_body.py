"""JSON body: records, columns or tables; strict, because a silently dropped key is a wrong answer."""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from lightning_app.packaging.format.signature import MAX_RANK
from lightning_app.serving.http.errors import HttpError
from lightning_app.serving.inference.model_request import Columns

FORMS = ("records", "columns", "tables")
_MOST_GAPS, _CELLS_PER_CELL = 2**18, 16
"""Cells that a table may have more than its records: with a key of its own in each row, a small body would be huge."""
_SPACED_COLON = re.compile(rb'"[ \t\r\n]+:')
_SHOWN = 20
_decode = msgspec.json.Decoder().decode


def decode_json(body: bytes) -> dict[str, Any]:
    """Decodes an object without duplicate keys.

    Args:
        body: UTF-8 JSON.

    Raises:
        HttpError: It is no JSON, no object, or has a duplicate key.
    """
    try:
        content = _decode(body)
        num_keys = _num_keys(content) if type(content) is dict else 0
    except RecursionError as error:
        raise HttpError(400, "bad_json", "body: nested too deeply", field="body") from error
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:  # a ValidationError is a DecodeError
        raise HttpError(400, "bad_json", f"body: {_reason(error)}", field="body") from error
    if type(content) is not dict:
        raise HttpError(400, "bad_json", f"body: an object with {', '.join(FORMS)} needed", field="body")
    # msgspec keeps the last of two equal keys. Each key that is followed by its colon at once is counted here; a colon
    # elsewhere, or a space before one, only leads to the slow way.
    if body.count(b'":') != num_keys or _SPACED_COLON.search(body):
        _refuse_duplicates(body)
    return content


def columns_of(form: str, content: Any, *, where: str) -> tuple[Columns, int, list[str]]:
    """Columns of a table in JSON.

    Args:
        form: `records` or `columns`.
        content: The table.
        where: Place in the body, for messages.

    Returns:
        columns: The columns, maybe without rows; null where a record does not have the key of another.
        num_rows: Number of rows.
        notes: Which keys some records do not have.

    Raises:
        HttpError: It is no table.
    """
    if form == "columns":
        return *_columns(content, where), []
    if type(content) is not list:
        raise HttpError(422, "bad_request", f"{where}: a list of objects needed", field=where)
    names: dict[str, None] = {}
    is_even = True
    for row, record in enumerate(content):
        if type(record) is not dict:
            raise HttpError(422, "bad_request", f"{where}[{row}]: an object needed", field=f"{where}[{row}]")
        if record.keys() != names.keys():
            is_even = not row
            names.update(dict.fromkeys(record))
    if not names:
        raise HttpError(422, "bad_request", f"{where}: no rows with columns", field=where)
    num_cells = len(names) * len(content)
    if not is_even and num_cells > _MOST_GAPS + _CELLS_PER_CELL * sum(map(len, content)):
        message = f"{where}: {len(names):,} keys in {len(content):,} rows, of which most rows lack most"
        raise HttpError(422, "bad_request", message, field=where)
    columns = {name: [record.get(name) for record in content] for name in names}
    for name, values in columns.items():
        _check_cells(values, f"{where}: {name}", name)
    return columns, len(content), [] if is_even else [_gaps(content, names, where)]


def _gaps(records: Sequence[dict[str, Any]], names: Iterable[str], where: str) -> str:
    """The note on keys that some records do not have."""
    counts = {name: sum(name not in record for record in records) for name in names}
    some = [f"{name} in {count:,}" for name, count in counts.items() if count]
    shown = ", ".join(some[:_SHOWN]) + " ..." * (len(some) > _SHOWN)
    return f"{where}: keys that are not in all of {len(records):,} rows are missing values there: {shown}"


def _columns(content: Any, where: str) -> tuple[Columns, int]:
    if type(content) is not dict or not content:
        raise HttpError(422, "bad_request", f"{where}: an object with a list for each column needed", field=where)
    num_rows: int | None = None
    for name, values in content.items():
        if type(values) is not list:
            raise HttpError(422, "bad_request", f"{where}: {name}: a list needed", field=name)
        if num_rows is not None and len(values) != num_rows:
            raise HttpError(
                422, "bad_request", f"{where}: {name}: {len(values)} values, {num_rows} in columns before", field=name
            )
        num_rows = len(values)
        _check_cells(values, f"{where}: {name}", name)
    assert num_rows is not None
    return content, num_rows


def _check_cells(values: Sequence[Any], where: str, name: str) -> None:
    """Refuses objects, which no model takes, whole numbers beyond 64 bits, and lists deeper than any tensor."""
    lists = []
    for value in values:
        kind = type(value)
        if kind is dict:
            raise HttpError(422, "bad_request", f"{where}: an object given, a value or a list needed", field=name)
        if kind is int and not -(2**63) <= value < 2**64:
            raise HttpError(422, "bad_request", f"{where}: a whole number beyond 64 bits given", field=name)
        if kind is list:
            lists.append(value)
    if lists:
        _check_lists(lists, where, name)


def _check_lists(lists: list[Any], where: str, name: str) -> None:
    """Refuses objects in lists, and more than MAX_RANK levels: the time that a table takes grows with their cube."""
    for _ in range(MAX_RANK):
        inner: list[Any] = []
        for values in lists:
            kinds = set(map(type, values))
            if dict in kinds:
                raise HttpError(422, "bad_request", f"{where}: an object given, a value or a list needed", field=name)
            if list in kinds:
                inner += [value for value in values if type(value) is list]
        if not inner:
            return
        lists = inner
    raise HttpError(422, "bad_request", f"{where}: lists of more than {MAX_RANK} levels given", field=name)


def _num_keys(content: dict[str, Any]) -> int:
    """Number of keys of all objects where objects are allowed."""
    count = len(content)
    for value in content.values():
        kind = type(value)
        if kind is dict:
            count += _num_keys(value)
        elif kind is list and value and type(value[0]) is dict:
            count += sum(len(item) for item in value if type(item) is dict)
    return count


def _refuse_duplicates(body: bytes) -> None:
    def refuse(pairs: list[tuple[str, Any]]) -> None:
        names: set[str] = set()
        for name, _ in pairs:
            if name in names:
                raise HttpError(400, "duplicate_key", f"{name}: given twice in one object", field=name)
            names.add(name)

    try:
        json.loads(body, object_pairs_hook=refuse)
    except (RecursionError, ValueError) as error:
        raise HttpError(400, "bad_json", f"body: {_reason(error)}", field="body") from error


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
