"""API keys: finds the key of a request and what it allows; the keys are read again when their file changes."""

import hmac
import logging
import secrets
import time
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path

from lightning_app.errors import UsageError
from lightning_app.serving.security.access_error import AccessError
from lightning_app.serving.security.key_file import KeyEntry, Scope, expiry, read_key_file

_log = logging.getLogger("lightning_app.serving")
_SECRET_BYTES = 32
_MAX_LENGTH = 200
_NO_HASH = bytes(32)


def new_key(key_id: str) -> tuple[str, str]:
    """Makes a key.

    Args:
        key_id: Name of the key.

    Returns:
        key: `ID.SECRET` with 256 random bits, to be shown once.
        sha256: Its hash, to be stored.
    """
    key = f"{key_id}.{secrets.token_urlsafe(_SECRET_BYTES)}"
    return key, sha256(key.encode()).hexdigest()


class Keys:
    """Keys of a server; use `Keys.load`.

    A lookup takes one hash and one comparison whose time depends on no secret, also for an id that does not exist.

    Args:
        path: Key file.

    Attributes:
        path: Key file.
        problem: Why the present file was not taken, with the former keys still in force; None if they are its keys.
        entries: Keys in force by id.
    """

    def __init__(self, *, path: Path) -> None:
        self.path = path
        self.problem: str | None = None
        self.entries: dict[str, KeyEntry] = {}
        self._known: dict[str, _Known] = {}
        self._version: tuple[int, int, int] | None = None

    @classmethod
    def load(cls, path: str | Path) -> "Keys":
        """Reads a key file.

        Args:
            path: YAML or JSON file.

        Raises:
            UsageError: It is missing, invalid, readable by everyone, or holds no key.
        """
        keys = cls(path=Path(path))
        keys._version = keys._file_version()
        entries = read_key_file(keys.path)
        if not entries:
            raise UsageError(f"keys: {path} holds no key; make one with lightning-app keys add {path} --id ID")
        keys._take(entries)
        return keys

    def check(self, presented: str | None, scope: Scope, model: str | None = None) -> KeyEntry:
        """The key of a request.

        Args:
            presented: Key as sent; None if there was none.
            scope: What the request needs.
            model: Model that is asked; None if the request asks none.

        Raises:
            AccessError: 401 if the key is missing, unknown or has expired, 403 if it does not allow this.
        """
        if presented is None:
            raise AccessError(401, "key_missing", "an API key is needed: send Authorization: Bearer KEY, or X-Api-Key")
        known = self._known.get(presented.partition(".")[0]) if len(presented) <= _MAX_LENGTH else None
        # The hash of an unknown id is compared too, so that the time does not tell which ids exist.
        digest = sha256(presented[:_MAX_LENGTH].encode("utf-8", "replace")).digest()
        if not hmac.compare_digest(digest, _NO_HASH if known is None else known.digest) or known is None:
            raise AccessError(401, "key_invalid", "this API key is not valid")
        if time.time() >= known.expires:
            raise AccessError(401, "key_expired", f"the API key {known.entry.id} has expired")
        if scope not in known.scopes:
            raise AccessError(403, "scope_missing", f"the API key {known.entry.id} does not have the scope {scope}")
        if model is not None and known.models is not None and model not in known.models:
            raise AccessError(403, "model_not_allowed", f"the API key {known.entry.id} may not ask this model")
        return known.entry

    def allows(self, presented: str | None, scope: Scope) -> bool:
        """Whether a key is valid and has a scope.

        Args:
            presented: Key as sent; None if there was none.
            scope: The scope.
        """
        try:
            self.check(presented, scope)
        except AccessError:
            return False
        return True

    def reload_if_changed(self, accept: Callable[[Iterable[KeyEntry]], None] | None = None) -> bool:
        """Reads the file again if it is another than before; an invalid one is reported, and the keys stay.

        A valid file without keys is taken: then every request is refused.

        Args:
            accept: Called with the new keys before they are in force; a UsageError of it is as one of the file.

        Returns:
            Whether the keys have been replaced.
        """
        version = self._file_version()
        if version == self._version:
            return False
        self._version = version
        try:
            entries = read_key_file(self.path)
            if accept is not None:
                accept(entries)
        except UsageError as error:
            self.problem = str(error)
            _log.error("%s; the former %d keys stay in force", error, len(self.entries))
            return False
        self._take(entries)
        _log.info("keys: %d keys read from %s", len(entries), self.path)
        return True

    def _take(self, entries: list[KeyEntry]) -> None:
        self.entries = {entry.id: entry for entry in entries}
        self._known = {entry.id: _Known(entry) for entry in entries}
        self.problem = None

    def _file_version(self) -> tuple[int, int, int] | None:
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino, status.st_ctime_ns


class _Known:
    """A key as it is compared."""

    __slots__ = ("digest", "entry", "expires", "models", "scopes")

    def __init__(self, entry: KeyEntry) -> None:
        self.entry = entry
        self.digest = bytes.fromhex(entry.sha256)
        self.expires = expiry(entry)
        self.scopes = frozenset(entry.scopes)
        self.models = None if entry.models is None else frozenset(entry.models)
