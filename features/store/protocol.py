"""Protocol of online stores: rows of bytes by view and key, and one text per view that describes them.

A store knows nothing of features. A row is replaced as a whole, so that a reader sees it before or after, never in
between; the mark of a view is written last. What is written in one `writing` block appears at its end, all at once
where the store has transactions (SQLite, PostgreSQL), row by row in Redis.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol


class Row(NamedTuple):
    """Row of an entity.

    Attributes:
        key: Key of the entity as text.
        payload: Values of its features.
        fingerprint: Number that changes with the events of the entity, 64 bits with a sign.
    """

    key: str
    payload: bytes
    fingerprint: int


class Stored(NamedTuple):
    """Stored rows of some entities, read at one moment.

    Attributes:
        mark: Mark of the view; None if it was never written.
        payloads: One per key that was asked for, None for an unknown one.
    """

    mark: str | None
    payloads: list[bytes | None]


class ViewWriter(Protocol):
    """The only writer of a view, for the time of a `writing` block."""

    mark: str | None
    """Mark of the view; None if it was never written."""

    def fingerprints(self) -> dict[str, int]:
        """Fingerprint of every row by key."""

    def put(self, rows: Iterable[Row]) -> None:
        """Writes rows, in place of those of the same keys."""

    def delete(self, keys: Iterable[str]) -> None:
        """Removes rows."""

    def clear(self) -> None:
        """Removes all rows."""

    def finish(self, mark: str) -> None:
        """Sets the mark, after the last row."""


class OnlineStore(Protocol):
    """A store; safe to read from several threads, and while another process writes."""

    url: str
    """Address, without a password."""

    def read(self, namespace: str, view: str, keys: Sequence[str]) -> Stored:
        """Reads rows.

        Args:
            namespace: Project that the view is of.
            view: Name of the view.
            keys: Keys as text.

        Raises:
            StoreError: The store cannot be reached.
        """

    def marks(self, namespace: str) -> dict[str, str]:
        """Marks of all views of a project, by view."""

    def writing(self, namespace: str, view: str) -> AbstractContextManager[ViewWriter]:
        """Takes the lock of a writer of a view; what is written counts at the end of the block, unless it raises.

        Raises:
            StoreError: Another process writes for longer than this one waits, or the store cannot be reached.
        """

    def close(self) -> None:
        """Closes connections."""
