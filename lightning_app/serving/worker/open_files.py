"""Open files of a worker: as many as its connections need, where the system lets it."""

import logging
import resource

_log = logging.getLogger("lightning_app.serving")
_OTHERS = 256
"""Files besides connections: models, journal, metrics, pipes."""


def allow_connections(connections: int) -> None:
    """Raises the soft limit of open files to what the connections need; says so if the hard limit is below that.

    Args:
        connections: Connections of a worker.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + _OTHERS
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < needed:
        _log.warning(
            "limits.connections: %d given, but the system allows %d open files (ulimit -n): more than about %d "
            "connections wait to be accepted",
            connections,
            allowed,
            max(0, allowed - _OTHERS),
        )
