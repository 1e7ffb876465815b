"""Journal watch: copies the health of the journal to the metrics, once a second."""

import asyncio

from lightning_app.serving.http.serving_state import ServingState
from lightning_app.serving.journal.health import JournalHealth

_SECONDS = 1.0


async def watch_journal(state: ServingState) -> None:
    """Runs until it is cancelled; ends at once without a journal.

    Args:
        state: State of the worker.
    """
    metrics = state.metrics.journal
    last = JournalHealth()
    while state.journal is not None:
        health = state.journal.health()
        metrics.up.set(float(health.state == "up"))
        metrics.pending.set(max(0, health.spilled - health.replayed))
        for cell, now, before in (
            (metrics.written, health.written, last.written),
            (metrics.spilled, health.spilled, last.spilled),
            (metrics.commits, health.commits, last.commits),
            (metrics.commit_seconds, health.commit_seconds, last.commit_seconds),
        ):
            if now != before:
                cell.add(now - before)
        last = JournalHealth(
            written=health.written, spilled=health.spilled, commits=health.commits, commit_seconds=health.commit_seconds
        )
        await asyncio.sleep(_SECONDS)
