"""Journal watch: copies the health of the journal to the metrics, once a second."""

import asyncio
import logging

import msgspec

from lightning_app.serving.http.serving_state import ServingState
from lightning_app.serving.journal.health import JournalHealth

_SECONDS = 1.0
_log = logging.getLogger("lightning_app.serving")


async def watch_journal(state: ServingState) -> None:
    """Runs until it is cancelled; ends at once without a journal.

    Args:
        state: State of the worker.
    """
    if state.journal is None:
        return
    metrics = state.metrics.journal
    last = JournalHealth(state="up")
    while True:
        health = state.journal.health()
        if health.state != last.state:
            if health.state == "down":
                _log.error("the journal is down: %s", health.last_error)
            elif health.last_error is not None:
                _log.warning("the journal is back; it was down: %s", health.last_error)
        if health.damaged > last.damaged:
            _log.error("spill files hold damaged records, and are kept as .damaged; %d so far", health.damaged)
        metrics.up.set(float(health.state == "up"))
        metrics.pending.set(max(0, health.spilled - health.replayed))
        metrics.written.add(health.written - last.written)
        metrics.spilled.add(health.spilled - last.spilled)
        last = msgspec.structs.replace(health)
        await asyncio.sleep(_SECONDS)
