"""Hangs: calls of a model that run for too long are stopped, those on the event loop by a thread that watches them."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lightning_app.packaging.runtime.stopping import Stop
from lightning_app.serving.inference.calibration import BatchPlan

_log = logging.getLogger("lightning_app.serving")
_Running = tuple[float, float, Stop, Callable[[], None]]
"""A call on the event loop: until when it may run, how long that is, what stops it, and who is told."""
_LOOK_SECONDS = 0.02
_QUIET_SECONDS = 0.5
_STUCK_SECONDS = 1.0
_TIMES = 20
"""A call may take so many times what was measured for its rows, or for the largest that there are."""
_MOST_SECONDS = 1.0
_DEADLINE_SHARE = 0.25


class OnHang(Protocol):
    """Called once a call has been given up, with the seconds that it had, and whether it held up the event loop."""

    def __call__(self, seconds: float, /, *, is_on_loop: bool) -> None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class HangLimit:
    """When a call of a model counts as hanging.

    Attributes:
        seconds: Seconds that any call may take.
        per_row: Further bound for calls with many rows; the larger one holds.
        watch: Watches calls on the event loop.
        note: Called when a call hangs, before it is stopped: on the event loop, or in the thread that watches it.
        on_hang: Called on the event loop once a call has been given up.
    """

    seconds: float
    per_row: float
    watch: "LoopWatch"
    note: Callable[[], None]
    on_hang: OnHang

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
    times = _TIMES * plan.largest
    return max(least, times * max(plan.curve.values())), times * plan.curve[size] / size


class LoopWatch:
    """A thread that stops calls which hold up the event loop for too long.

    It looks every 20 ms while there are calls, and sleeps while there are none.

    Args:
        stuck_seconds: How long after its stop a call that goes on counts as one that cannot be stopped.
        on_stuck: Called in the thread when there is such a call; None says so in the log.
    """

    def __init__(self, *, stuck_seconds: float = _STUCK_SECONDS, on_stuck: Callable[[], None] | None = None) -> None:
        self._stuck_seconds, self._on_stuck = stuck_seconds, on_stuck or _say_stuck
        self._running: _Running | None = None
        self._wake = threading.Event()
        self._sleeps = True
        self._thread_id = threading.main_thread().native_id or 0
        threading.Thread(target=self._look, name="loop watch", daemon=True).start()

    def begin(self, seconds: float, stop: Stop, on_hang: Callable[[], None]) -> None:
        """Says that a call begins on the event loop.

        Args:
            seconds: How long it may take.
            stop: Stops it.
            on_hang: Called in the thread, just before it is stopped.
        """
        self._running = (time.monotonic() + seconds, seconds, stop, on_hang)
        if self._sleeps:
            self._wake.set()

    def end(self) -> None:
        """Says that the call has ended."""
        self._running = None

    def _look(self) -> None:
        quiet = 0.0
        seen: _Running | None = None
        waited = 0.0
        is_told = False
        while True:
            running = self._running
            if running is None:
                quiet += _LOOK_SECONDS
                if quiet > _QUIET_SECONDS:
                    self._sleep()
                    quiet = 0.0
            elif running is not seen:
                quiet, seen, waited, is_told = 0.0, running, _waited_for_core(self._thread_id), False
            else:
                until, seconds, stop, note = running
                late = time.monotonic() - until
                if late > 0 and not stop.is_set:
                    # On a busy machine a call may take twice as long, if it waits for a core.
                    late -= min(seconds, _waited_for_core(self._thread_id) - waited)
                    if late > 0 and self._running is running:
                        note()
                        stop.set()
                elif late > self._stuck_seconds and not is_told:
                    is_told = True
                    self._on_stuck()
            time.sleep(_LOOK_SECONDS)

    def _sleep(self) -> None:
        """Sleeps until the next call."""
        self._wake.clear()
        self._sleeps = True
        if self._running is None:
            self._wake.wait()
        self._sleeps = False


def _say_stuck() -> None:
    _log.error(
        "a call of a model holds up the event loop and cannot be stopped; this worker answers nobody until the "
        "supervisor replaces it"
    )


def _waited_for_core(thread_id: int) -> float:
    """Seconds that a thread could run but had no core; 0 where the system does not say."""
    try:
        return int(Path(f"/proc/self/task/{thread_id}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0
