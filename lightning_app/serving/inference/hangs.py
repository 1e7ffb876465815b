"""Hangs: calls of a model that run for too long are stopped, those on the event loop by a thread that watches them."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from lightning_app.packaging.runtime.stopping import Stop
from lightning_app.serving.inference.calibration import BatchPlan

_log = logging.getLogger("lightning_app.serving")
_LOOK_SECONDS = 0.02
_QUIET_SECONDS = 0.5
_UNSTOPPABLE_SECONDS = 1.0
_TIMES = 20
"""A call may take so many times what was measured for its rows."""
_MOST_SECONDS = 1.0
_DEADLINE_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class HangLimit:
    """When a call of a model counts as hanging.

    Attributes:
        seconds: Seconds that any call may take.
        per_row: Further bound for calls with many rows; the larger one holds.
        watch: Watches calls on the event loop.
        note: Called when a call hangs, before it is stopped: on the event loop, or in the thread that watches it.
        on_hang: Called on the event loop once a call has been given up, with the seconds that it had.
    """

    seconds: float
    per_row: float
    watch: "LoopWatch"
    note: Callable[[], None]
    on_hang: Callable[[float], None]

    def of(self, num_rows: int) -> float:
        """Seconds that a call may take.

        Args:
            num_rows: Its rows.
        """
        return max(self.seconds, self.per_row * num_rows)


def hang_bounds(plan: BatchPlan, *, hang_ms: float | None, deadline_ms: float) -> tuple[float, float]:
    """Seconds that any call may take, and seconds per row.

    Args:
        plan: Measured calls.
        hang_ms: What the user set, for calls of any size; None takes 20 times what was measured, at least a quarter of
            the deadline, or a second if that is less.
        deadline_ms: Deadline of the requests.
    """
    if hang_ms is not None:
        return hang_ms / 1000, 0.0
    least = min(_MOST_SECONDS, _DEADLINE_SHARE * deadline_ms / 1000)
    if not plan.curve:
        return least, 0.0
    size = max(plan.curve)
    return max(least, _TIMES * max(plan.curve.values())), _TIMES * plan.curve[size] / size


class LoopWatch:
    """A thread that stops calls which hold up the event loop for too long.

    It looks every 20 ms while there are calls, and sleeps while there are none.
    """

    def __init__(self) -> None:
        self._running: tuple[float, Stop, Callable[[], None]] | None = None
        self._wake = threading.Event()
        self._sleeps = True
        threading.Thread(target=self._look, name="loop watch", daemon=True).start()

    def begin(self, seconds: float, stop: Stop, on_hang: Callable[[], None]) -> None:
        """Says that a call begins on the event loop.

        Args:
            seconds: How long it may take.
            stop: Stops it.
            on_hang: Called in the thread, just before it is stopped.
        """
        self._running = (time.monotonic() + seconds, stop, on_hang)
        if self._sleeps:
            self._wake.set()

    def end(self) -> None:
        """Says that the call has ended."""
        self._running = None

    def _look(self) -> None:
        quiet = 0.0
        told: Stop | None = None
        while True:
            running = self._running
            if running is None:
                quiet += _LOOK_SECONDS
                if quiet > _QUIET_SECONDS:
                    self._wake.clear()
                    self._sleeps = True
                    if self._running is None:
                        self._wake.wait()
                    self._sleeps = False
                    quiet = 0.0
            else:
                quiet = 0.0
                until, stop, on_hang = running
                late = time.monotonic() - until
                if late > 0 and not stop.is_set:
                    on_hang()
                    stop.set()
                elif late > _UNSTOPPABLE_SECONDS and told is not stop:
                    told = stop
                    _log.error(
                        "a call of a model holds up the event loop and cannot be stopped; this worker answers nobody "
                        "until the supervisor replaces it"
                    )
            time.sleep(_LOOK_SECONDS)
