"""Mark of a stored view: the definitions of its rows, and the time up to which they are complete."""

import hashlib
from typing import Any

import msgspec

from features.definitions import Definitions
from features.store.clock import as_datetime

FORMAT = 1


class ViewMark(msgspec.Struct, frozen=True, kw_only=True):
    """Description of the stored rows of a view.

    Attributes:
        format: Format of the rows.
        digest: Digest of all that the rows depend on, `view_digest`.
        definitions: Digest of all definitions.
        until: Microseconds up to which events count that were available.
        zoned: Whether times have a zone, UTC.
        entities: Number of rows.
        events: Number of events that they are computed from.
        unknown_values: Values of an entity that was never seen.
        unknown_reasons: Their reason codes.
    """

    format: int
    digest: str
    definitions: str
    until: int
    zoned: bool
    entities: int
    events: int
    unknown_values: list[Any]
    unknown_reasons: list[int]

    def to_text(self) -> str:
        """The mark as JSON."""
        return msgspec.json.encode(self).decode()

    @property
    def until_text(self) -> str:
        """The time up to which events count."""
        return as_datetime(self.until, zoned=self.zoned).isoformat(sep=" ")


def read_mark(text: str, *, place: str) -> ViewMark:
    """Reads a mark.

    Args:
        text: JSON.
        place: The view and its store, for messages.

    Raises:
        ValueError: It was written by a newer version.
    """
    number = msgspec.json.decode(text).get("format", 0)
    if number != FORMAT:
        raise ValueError(f"{place} is of format {number}, this version reads {FORMAT}: materialize it again, --replace")
    return msgspec.json.decode(text, type=ViewMark)


def view_digest(definitions: Definitions, view: str) -> str:
    """sha256 of what the rows of a view depend on: its features of history, its source, its keys.

    Descriptions, owners, units, and where the file of the source lies may change without the rows becoming wrong.

    Args:
        definitions: The definitions.
        view: Name of the view.
    """
    content = definitions.views[view]
    assert content.source is not None
    source = msgspec.to_builtins(definitions.sources[content.source])
    parts = {
        "features": {name: msgspec.to_builtins(feature) for name, feature in content.history.items()},
        "ttl": content.ttl,
        "source": {key: part for key, part in source.items() if key not in ("path", "csv", "owner", "until")},
        "keys": definitions.entities[content.entity].keys if content.entity else {},
        "order": list(content.history),
    }
    return hashlib.sha256(msgspec.json.encode(_meaning(parts), order="sorted")).hexdigest()


def _meaning(part: Any) -> Any:
    """Definitions without the texts that are for people, and without what holds while the store is down."""
    if isinstance(part, dict):
        return {key: _meaning(inner) for key, inner in part.items() if key not in ("description", "unit", "default")}
    return part
