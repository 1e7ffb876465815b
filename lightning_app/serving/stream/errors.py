"""Errors of streams: what is tried again, and what ends the process."""

from collections.abc import Collection


class StreamError(RuntimeError):
    """A broker or server cannot be reached now; the same call may work later."""


class LostError(Exception):
    """Events are no longer this worker's: another one answers them, so nothing was committed.

    Args:
        request_ids: The events.
    """

    def __init__(self, request_ids: Collection[str]) -> None:
        super().__init__(f"{len(request_ids)} events belong to another worker now")
        self.request_ids = frozenset(request_ids)


class RepeatedError(Exception):
    """The journal holds answers to some of the events already, so nothing was committed.

    Args:
        same: Events that were answered before.
        other: Events whose id was used for an event of another content.
    """

    def __init__(self, same: Collection[str], other: Collection[str]) -> None:
        super().__init__(f"{len(same) + len(other)} events were answered before")
        self.same, self.other = frozenset(same), frozenset(other)


class SessionChangedError(Exception):
    """Another worker has answered an event of the same key in the meantime, so nothing was committed."""


class ModelFailedError(Exception):
    """The model fails on an event that fits it.

    Args:
        request_id: The event.
        error: What failed.
    """

    def __init__(self, request_id: str, error: Exception) -> None:
        super().__init__(f"the model fails on {request_id}: {error}")
        self.request_id, self.error = request_id, error


class GivenUpError(RuntimeError):
    """Something failed for too long; the process ends, and its events are answered by the next one."""
