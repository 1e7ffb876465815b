"""Session watch: copies the number of sessions to the metrics, once a second."""

import asyncio
from contextlib import suppress

from lightning_app.serving.http.serving_state import ServingState
from lightning_app.serving.inference.sessions import SessionsBusyError

_SECONDS = 1.0


async def watch_sessions(state: ServingState) -> None:
    """Runs until it is cancelled.

    Args:
        state: State of the worker.
    """
    while True:
        with suppress(SessionsBusyError):  # the next time will do
            for name, number in state.sessions.numbers().items():
                state.metrics.sessions(name=name, number=number)
        await asyncio.sleep(_SECONDS)
