"""Access: who may do what on this server; without a key file, everyone who reaches it may do everything."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias

from lightning_app.serving.security.access_error import AccessError
from lightning_app.serving.security.api_keys import Keys
from lightning_app.serving.security.key_file import KeyEntry, Scope
from lightning_app.serving.security.rate_limits import RateLimits

Reason: TypeAlias = Literal["missing", "unknown", "scope", "rate"]
_REASONS: dict[str, Reason] = {
    "key_missing": "missing",
    "key_invalid": "unknown",
    "key_expired": "unknown",
    "scope_missing": "scope",
    "model_not_allowed": "scope",
    "rate_exceeded": "rate",
    "budget_exceeded": "rate",
}
"""Reason of a refusal by the code of its error, for metrics."""


class Access:
    """Keys of a server with their rates and budgets; use `Access.open`.

    Args:
        keys: The keys; None lets in everyone.
        limits: Counters of the keys.
        on_refused: Called with the reason of each refusal.
    """

    def __init__(
        self, *, keys: Keys | None, limits: RateLimits | None, on_refused: Callable[[Reason], None] | None = None
    ) -> None:
        self._keys = keys
        self._limits = limits
        self._on_refused = on_refused

    @classmethod
    def open(cls, keys: str | None, counters: Path, *, on_refused: Callable[[Reason], None] | None = None) -> "Access":
        """Reads the key file.

        Args:
            keys: The file; None lets in everyone.
            counters: File of the counters that the workers share.
            on_refused: Called with the reason of each refusal.

        Raises:
            UsageError: The key file is invalid, or the counters cannot be written.
        """
        if keys is None:
            return cls(keys=None, limits=None)
        limits = RateLimits(path=counters)
        loaded = Keys.load(keys)
        limits.take(loaded.entries.values())
        return cls(keys=loaded, limits=limits, on_refused=on_refused)

    @property
    def is_open(self) -> bool:
        """Whether everyone may do everything."""
        return self._keys is None

    @property
    def problem(self) -> str | None:
        """Why the present key file was not taken; None if it was."""
        return None if self._keys is None else self._keys.problem

    def check(self, presented: str | None, scope: Scope, model: str | None = None) -> KeyEntry | None:
        """Checks the key of a request, and counts the request.

        Args:
            presented: Key as sent; None if there was none.
            scope: What the request needs.
            model: Model that is asked; None if the request asks none.

        Returns:
            The key; None if none is needed.

        Raises:
            AccessError: 401 if the key is missing, unknown or has expired, 403 if it does not allow this, 429 if its
                rate is used up.
        """
        if self._keys is None:
            return None
        assert self._limits is not None
        try:
            entry = self._keys.check(presented, scope, model)
            self._limits.request(entry)
        except AccessError as error:
            self._count(error)
            raise
        return entry

    def allows(self, presented: str | None, scope: Scope) -> bool:
        """Whether a key has a scope; counts nothing.

        Args:
            presented: Key as sent; None if there was none.
            scope: The scope.
        """
        return self._keys is None or self._keys.allows(presented, scope)

    def rows(self, entry: KeyEntry | None, num_rows: int) -> None:
        """Counts rows of a request against the budget of its key.

        Args:
            entry: The key; None if none is needed.
            num_rows: Rows of the request.

        Raises:
            AccessError: 429 if fewer are left today.
        """
        if entry is not None and entry.rows_per_day is not None:
            assert self._limits is not None
            try:
                self._limits.rows(entry, num_rows)
            except AccessError as error:
                self._count(error)
                raise

    def reload_if_changed(self) -> None:
        """Reads the key file again if it has changed; an invalid one is logged, and the keys stay."""
        if self._keys is not None:
            assert self._limits is not None
            self._keys.reload_if_changed(self._limits.take)

    def _count(self, error: AccessError) -> None:
        if self._on_refused is not None:
            self._on_refused(_REASONS[error.code])
