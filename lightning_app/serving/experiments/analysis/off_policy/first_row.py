"""First row of a journalled request: what decides its arm."""

from typing import Any

import msgspec

from lightning_app.serving.journal.export.decode import JSON, UndecodedError, decode_request


class _Records(msgspec.Struct):
    records: list[dict[str, Any]]


_records = msgspec.json.Decoder(_Records)


def first_row(media_type: str | None, body: bytes) -> dict[str, Any] | None:
    """Columns of the first row of a request; None if it has none that can be read.

    Args:
        media_type: Media type; None is JSON.
        body: The body.
    """
    if media_type is None or media_type == JSON:
        try:
            records = _records.decode(body).records
            return records[0] if records else None
        except (msgspec.DecodeError, ValueError):
            pass
    try:
        decoded = decode_request(bytes(body), media_type or JSON)
    except UndecodedError:
        return None
    row: dict[str, Any] = {}
    for name, values in decoded.columns.items():
        if len(values):
            row[name] = values[0] if isinstance(values, list) else values[0].as_py()
    return row or None
