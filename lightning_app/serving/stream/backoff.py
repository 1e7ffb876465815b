"""Back-off: pauses between attempts, longer and longer, until it has taken too long."""

import logging
import time

from lightning_app.serving.stream.errors import GivenUpError

_log = logging.getLogger("lightning_app.serving.stream")
_FIRST, _LONGEST = 0.1, 10.0


class Backoff:
    """Attempts at one thing after the other.

    Args:
        seconds: How long something may fail before it is given up.

    Attributes:
        is_failing: Whether the last attempt failed.
    """

    def __init__(self, *, seconds: float) -> None:
        self._seconds = seconds
        self._since: float | None = None
        self._pause = _FIRST

    @property
    def is_failing(self) -> bool:
        """Whether the last attempt failed."""
        return self._since is not None

    def worked(self) -> None:
        """Says that an attempt worked."""
        if self._since is not None:
            _log.warning("it works again, after %.1f s", time.monotonic() - self._since)
        self._since, self._pause = None, _FIRST

    def failed(self, error: Exception) -> float:
        """Says that an attempt failed; the seconds until the next one.

        Args:
            error: Why.

        Raises:
            GivenUpError: It has failed for too long.
        """
        now = time.monotonic()
        if self._since is None:
            self._since = now
        if now - self._since >= self._seconds:
            raise GivenUpError(f"{error}; given up after {self._seconds:g} s") from error
        pause, self._pause = self._pause, min(2 * self._pause, _LONGEST)
        _log.error("%s; tried again in %g s", error, pause)
        return min(pause, max(0.01, self._since + self._seconds - now))
