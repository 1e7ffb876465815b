"""Breaker: a circuit breaker before one arm; an arm that fails is not asked for a while, then tried again."""

import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Literal, TypeAlias

from lightning_app.serving.config.resilience_config import BreakerConfig

State: TypeAlias = Literal["closed", "open", "half-open"]
STATES: tuple[State, ...] = ("closed", "half-open", "open")
"""Their places are the values of the metric."""
_BUCKETS = 10
"""Parts of the window, which forgets one at a time."""


class Attempt:
    """A request that the arm was asked.

    Attributes:
        since: When it began.
    """

    __slots__ = ("era", "has_ended", "is_counted", "since")

    def __init__(self, since: float, era: int) -> None:
        self.since = since
        self.era = era
        self.is_counted = False
        self.has_ended = False


class Breaker:
    """Closed: all requests go through, and failures are counted. Open: none. Half-open: a few try whether it works.

    Results of requests that began before the last change of the state say nothing about the present, and are not
    counted. All methods are called by one thread; a request costs about a microsecond.

    Args:
        config: When it opens and closes.
        on_change: Called with the state before, the new one, and why.
        clock: Seconds of a steady clock.

    Attributes:
        state: `closed`, `open` or `half-open`.
        reason: Why it is not closed, or why it was not when it last opened.
        opened: How often it has opened.
        changed: When the state last changed, Unix seconds; None if it never did.
    """

    def __init__(
        self,
        config: BreakerConfig,
        *,
        on_change: Callable[[State, State, str], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._on_change = on_change
        self._clock = clock
        self.state: State = "closed"
        self.reason = ""
        self.opened = 0
        self.changed: float | None = None
        self._era = 0
        self._opens_until = 0.0
        self._probing = 0
        self._probed = 0
        self._per_second = _BUCKETS / config.window_seconds
        self._slow = None if config.slow_ms is None else config.slow_ms / 1000
        self._running: deque[Attempt] = deque()
        self._forget()

    @property
    def seconds_left(self) -> float:
        """Seconds until the arm is tried again."""
        return max(0.0, self._opens_until - self._clock())

    def begin(self) -> Attempt | None:
        """Asks whether a request may go to the arm.

        Returns:
            What `end` takes; None if the arm is not to be asked.
        """
        now = self._clock()
        if self._slow is not None:
            self._count_slow(now, self._slow)
        if self.state != "closed" and not self._may_probe(now):
            return None
        attempt = Attempt(now, self._era)
        if self._slow is not None:
            self._running.append(attempt)
        return attempt

    def end(self, attempt: Attempt, failure: str | None = None) -> None:
        """Counts what came of a request; one that says nothing about the arm (a client's error) is `dropped`.

        Args:
            attempt: What `begin` returned.
            failure: Why it failed; None if it worked.
        """
        now = self._clock()
        attempt.has_ended = True
        if attempt.era != self._era or attempt.is_counted:
            return
        if failure is None and self._slow is not None and now - attempt.since > self._slow:
            failure = "slow"
        self._count(now, failure)

    def trip(self, reason: str) -> None:
        """Opens it at once, if it is not open.

        Args:
            reason: Why.
        """
        if self.state != "open":
            self._open(self._clock(), reason)

    def drop(self, attempt: Attempt) -> None:
        """Forgets a request that says nothing about the arm: the client's error, or a client that has gone.

        Args:
            attempt: What `begin` returned.
        """
        attempt.has_ended = True
        if attempt.era == self._era and self.state == "half-open" and not attempt.is_counted:
            self._probing -= 1

    def _count(self, now: float, failure: str | None) -> None:
        if self.state == "half-open":
            self._probing -= 1
            if failure is not None:
                self._open(now, f"a probe failed: {failure}")
                return
            self._probed += 1
            if self._probed >= self._config.probes:
                self._change("closed", f"{self._probed} probes worked")
            return
        index = int(now * self._per_second)
        if index != self._index:
            self._roll(index)
        place = index % _BUCKETS
        self._calls[place] += 1
        if failure is None:
            self._in_a_row = 0
            return
        self._in_a_row += 1
        self._failures[place] += 1
        self._reasons[failure] += 1
        calls, failures = sum(self._calls), sum(self._failures)
        if self._in_a_row >= self._config.min_requests:  # what worked before that says nothing about now
            why = max(self._reasons, key=self._reasons.__getitem__)
            self._open(now, f"{self._in_a_row:,} requests in a row failed: {why}")
        elif calls >= self._config.min_requests and failures >= self._config.failures * calls:
            why = max(self._reasons, key=self._reasons.__getitem__)
            self._open(
                now, f"{failures:,} of {calls:,} requests failed within {self._config.window_seconds:g} s: {why}"
            )

    def _count_slow(self, now: float, bound: float) -> None:
        """Counts requests that run for too long before they return."""
        running = self._running
        while running and (running[0].has_ended or now - running[0].since > bound):
            attempt = running.popleft()
            if not attempt.has_ended and attempt.era == self._era:
                attempt.is_counted = True
                self._count(now, "slow")

    def _may_probe(self, now: float) -> bool:
        if self.state == "open":
            if now < self._opens_until:
                return False
            self._change("half-open", self.reason)
        if self._probing + self._probed >= self._config.probes:
            return False
        self._probing += 1
        return True

    def _open(self, now: float, reason: str) -> None:
        self._opens_until = now + self._config.open_seconds
        self.opened += 1
        self._change("open", reason)

    def _change(self, state: State, reason: str) -> None:
        before, self.state = self.state, state
        if state != "closed":
            self.reason = reason
        self.changed = time.time()
        self._era += 1
        self._probing = self._probed = 0
        self._running.clear()
        self._forget()
        if self._on_change is not None:
            self._on_change(before, state, reason)

    def _forget(self) -> None:
        self._calls = [0] * _BUCKETS
        self._failures = [0] * _BUCKETS
        self._reasons: Counter[str] = Counter()
        self._index = 0
        self._in_a_row = 0

    def _roll(self, index: int) -> None:
        """Empties the parts of the window that have passed since the last request."""
        for passed in range(max(self._index + 1, index - _BUCKETS + 1), index + 1):
            self._calls[passed % _BUCKETS] = self._failures[passed % _BUCKETS] = 0
        self._index = index
        if not any(self._failures):
            self._reasons.clear()
            self._in_a_row = 0
