"""Sessions: state of streams by id, in one SQLite file that all workers share; bounded, and forgotten after a while."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from lightning_app.serving.config.serve_config import Sessions
from lightning_app.serving.journal.stores.file_lock import FileLock

_MOST_UNCHECKED = 64
_REMEMBERED = 32
"""Ids of the last requests that a session knows, so that none of them advances it twice."""
_WAIT_SECONDS = 2.0
_TABLE = """
CREATE TABLE IF NOT EXISTS sessions (
  model TEXT NOT NULL, id TEXT NOT NULL, digest TEXT NOT NULL, version INTEGER, number INTEGER NOT NULL,
  used REAL NOT NULL, requests TEXT NOT NULL, before BLOB, after BLOB NOT NULL, PRIMARY KEY (model, id)
);
CREATE INDEX IF NOT EXISTS sessions_by_use ON sessions (model, used);
"""


class SessionConflictError(Exception):
    """Another request of the session was answered while this one was."""


class SessionVersionError(Exception):
    """The session belongs to another version of the model."""


class SessionsBusyError(Exception):
    """The file of the sessions could not be reached."""


@dataclass(frozen=True, slots=True)
class Session:
    """A session as a request finds it.

    Attributes:
        number: Requests that it has answered; 0 for a new one.
        state: State before the request, as bytes; None for the initial state.
    """

    number: int
    state: bytes | None


class SessionStore:
    """Sessions of all models of a server.

    The state is written before the answer is sent. The last request of a session that is sent again with the same id
    finds the state that it found at first, so that a client may repeat it; one of those before it is refused.

    Args:
        path: The file; it is made if it does not exist.
        limits: How many sessions of a model are kept, and for how long, by name of the model.
    """

    def __init__(self, path: Path, *, limits: dict[str, Sessions]) -> None:
        self._path = path
        self._limits = limits
        self._connection: sqlite3.Connection | None = None
        self._new = dict.fromkeys(limits, 0)

    def read(self, model: str, session: str, *, digest: str, request: str | None, starts: bool = False) -> Session:
        """The session as a request finds it; a new one if there is none, or if it was not used for too long.

        Args:
            model: Name of the model.
            session: Id of the session.
            digest: Digest of the version that answers.
            request: Id that the client gave the request; None without one.
            starts: Whether the request starts the stream anew, whatever the session holds.

        Raises:
            SessionConflictError: The request was answered before, and others since.
            SessionVersionError: The session belongs to another version.
            SessionsBusyError: The file cannot be reached.
        """
        query = "SELECT digest, version, number, used, requests, before, after FROM sessions WHERE model = ? AND id = ?"
        with self._reached() as connection:
            row = connection.execute(query, (model, session)).fetchone()
        if row is None or row[3] < time.time() - self._limits[model].seconds:
            return Session(0, None)
        owner, version, number, _, requests, before, after = row
        if owner != digest and not starts:
            which = f"version {version}" if version is not None else f"the package {owner[:12]}"
            raise SessionVersionError(
                f"session: {session} belongs to {which} of {model}, which answers no more; start one with a new id"
            )
        last, *earlier = requests.split("\n")
        if request is not None and request in earlier:
            raise SessionConflictError(f"session: {session} has answered request {request} before, and others since")
        if last == (request or " "):
            return Session(number - 1, before)
        return Session(number, None if starts else after or None)

    def write(
        self,
        model: str,
        session: str,
        found: Session,
        state: bytes,
        *,
        digest: str,
        version: int | None,
        request: str | None,
    ) -> None:
        """Writes the state after a request, if no other request of the session was answered since it was read.

        Args:
            model: Name of the model.
            session: Id of the session.
            found: What `read` returned.
            state: State after the request.
            digest: Digest of the version that answered.
            version: This version.
            request: Id that the client gave the request; None without one.

        Raises:
            SessionConflictError: Another request was answered.
            SessionsBusyError: The file cannot be reached.
        """
        now = time.time()
        oldest = now - self._limits[model].seconds
        with self._reached() as connection:
            connection.execute("BEGIN IMMEDIATE")
            query = "SELECT number, used, requests FROM sessions WHERE model = ? AND id = ?"
            row = connection.execute(query, (model, session)).fetchone()
            known = [] if row is None or row[1] < oldest else row[2].split("\n")
            is_repeated = request is not None and known[:1] == [request]
            number = 0 if not known else row[0] - is_repeated
            requests = known if is_repeated else [request or "", *known[: _REMEMBERED - 1]]
            if number == found.number:
                connection.execute(
                    "INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (model, session, digest, version, number + 1, now, "\n".join(requests), found.state, state),
                )
                if row is None:
                    self._forget(connection, model, oldest)
            connection.execute("COMMIT")
        if number != found.number:
            raise SessionConflictError(
                f"session: another request of {session} was answered at the same time; send its requests one by one"
            )

    def undo(self, model: str, session: str, found: Session) -> None:
        """Takes back the last request, which was not answered after all; nothing if another was answered since.

        Args:
            model: Name of the model.
            session: Id of the session.
            found: What `read` returned for the request, which had no id of its own.

        Raises:
            SessionsBusyError: The file cannot be reached.
        """
        condition = "WHERE model = ? AND id = ? AND number = ?"
        values = (model, session, found.number + 1)
        with self._reached() as connection:
            if found.state is None:
                connection.execute(f"DELETE FROM sessions {condition}", values)
            else:
                # Ids stay as they are: a request of before is refused if it is sent again, since its state is gone.
                connection.execute(f"UPDATE sessions SET number = number - 1, after = before {condition}", values)

    def numbers(self) -> dict[str, int]:
        """Sessions that are kept, by name of the model; none as long as this worker has had no session.

        Raises:
            SessionsBusyError: The file cannot be reached.
        """
        if self._connection is None:
            return {}
        query = "SELECT count(*) FROM sessions WHERE model = ? AND used >= ?"
        now = time.time()
        with self._reached() as connection:
            return {
                model: connection.execute(query, (model, now - limits.seconds)).fetchone()[0]
                for model, limits in self._limits.items()
            }

    def close(self) -> None:
        """Closes the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _forget(self, connection: sqlite3.Connection, model: str, oldest: float) -> None:
        """Deletes sessions that are too old, or too many; not at each new one, which would be slow."""
        most = self._limits[model].most
        self._new[model] += 1
        if self._new[model] < min(_MOST_UNCHECKED, max(1, most // 16)):
            return
        self._new[model] = 0
        query = "SELECT used FROM sessions WHERE model = ? ORDER BY used DESC LIMIT 1 OFFSET ?"
        row = connection.execute(query, (model, most)).fetchone()
        bound = oldest if row is None else max(oldest, row[0])
        connection.execute("DELETE FROM sessions WHERE model = ? AND used <= ?", (model, bound))

    @contextmanager
    def _reached(self) -> Iterator[sqlite3.Connection]:
        """The connection; an error rolls back, and is named."""
        try:
            if self._connection is None:
                self._connection = _connect(self._path)
            yield self._connection
        except sqlite3.Error as error:
            if self._connection is not None and self._connection.in_transaction:
                self._connection.rollback()
            raise SessionsBusyError(f"session: the sessions cannot be reached ({error}); try again") from error


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False)
    with closing(FileLock(path.with_name(f"{path.name}-lock"))) as lock:
        lock.acquire(seconds=_WAIT_SECONDS)  # SQLite itself does not wait while another process changes the mode
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=OFF")  # sessions end with the server
        connection.executescript(_TABLE)
    return connection
