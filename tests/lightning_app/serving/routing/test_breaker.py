"""Circuit breaker: when it opens, what goes through then, and when it closes."""

import time
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_app.serving.config.resilience_config import BreakerConfig
from lightning_app.serving.routing.breaker import Attempt, Breaker

CONFIG = BreakerConfig(window_seconds=10, failures=0.5, min_requests=4, open_seconds=5, probes=2)


@dataclass
class Rig:
    """A breaker with a clock of its own."""

    config: BreakerConfig = CONFIG
    now: float = 1000.0
    changes: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.breaker = Breaker(
            self.config, clock=lambda: self.now, on_change=lambda before, after, _: self.changes.append((before, after))
        )

    @property
    def state(self) -> str:
        return self.breaker.state

    def ask(self, failure: str | None = None, seconds: float = 0.0) -> bool:
        """One request; whether it went through."""
        attempt = self.breaker.begin()
        self.now += seconds
        if attempt is None:
            return False
        self.breaker.end(attempt, failure)
        return True


def test_it_opens_at_the_share_of_failures_once_there_are_enough_requests() -> None:
    rig = Rig()
    assert [rig.ask("error") for _ in range(3)] == [True] * 3
    assert rig.state == "closed"  # three say nothing
    assert rig.ask(None)
    assert rig.state == "closed"  # a request that works opens nothing
    assert rig.ask("error")
    assert (rig.state, rig.breaker.opened) == ("open", 1)
    assert rig.breaker.reason == "4 of 5 requests failed within 10 s: error"
    assert not rig.ask()
    healthy = Rig()
    for number in range(100):
        assert healthy.ask("error" if number % 3 == 2 else None)
    assert healthy.state == "closed"


def test_failures_in_a_row_open_it_whatever_worked_before() -> None:
    rig = Rig()
    for _ in range(1000):
        rig.ask()
    assert [rig.ask("hang") for _ in range(4)] == [True] * 4
    assert (rig.state, rig.breaker.reason) == ("open", "4 requests in a row failed: hang")


def test_failures_that_have_left_the_window_do_not_count() -> None:
    rig = Rig()
    for _ in range(3):
        rig.ask("error")
    rig.now += 10.1
    rig.ask("error")
    assert rig.state == "closed"
    rig.now += 1e6  # a long time without requests
    for _ in range(3):
        rig.ask("error")
    assert rig.state == "closed"
    rig.ask("error")
    assert rig.state == "open"


def test_probes_close_it_and_one_that_fails_opens_it_again() -> None:
    rig = Rig()
    for _ in range(4):
        rig.ask("error")
    rig.now += 4.9
    assert not rig.ask()
    rig.now += 0.2
    first, second = rig.breaker.begin(), rig.breaker.begin()
    assert isinstance(first, Attempt)
    assert isinstance(second, Attempt)
    assert rig.breaker.begin() is None  # no more than two try at a time
    rig.breaker.end(first)
    assert rig.state == "half-open"
    rig.breaker.end(second, "error")
    assert (rig.state, rig.breaker.reason) == ("open", "a probe failed: error")
    rig.now += 5.1
    assert rig.ask()
    assert rig.ask()
    assert rig.state == "closed"
    assert rig.changes == [
        ("closed", "open"), ("open", "half-open"), ("half-open", "open"), ("open", "half-open"), ("half-open", "closed")
    ]  # fmt: skip


def test_a_probe_of_which_nothing_comes_makes_place_for_another() -> None:
    rig = Rig()
    for _ in range(4):
        rig.ask("error")
    rig.now += 5.1
    for _ in range(5):  # clients' errors
        attempt = rig.breaker.begin()
        assert attempt is not None
        rig.breaker.drop(attempt)
    assert rig.state == "half-open"
    assert [rig.ask(), rig.ask()] == [True, True]
    assert rig.state == "closed"


def test_what_began_before_a_change_is_not_counted_after_it() -> None:
    rig = Rig()
    old = [rig.breaker.begin() for _ in range(3)]
    for _ in range(4):
        rig.ask("error")
    rig.now += 5.1
    probe = rig.breaker.begin()
    assert probe is not None
    for attempt in old:
        assert attempt is not None
        rig.breaker.end(attempt, "error")
    assert rig.state == "half-open"
    rig.breaker.end(probe)
    assert rig.ask()
    assert rig.state == "closed"


def test_slow_requests_count_before_they_return() -> None:
    rig = Rig(BreakerConfig(min_requests=4, slow_ms=100))
    hanging = [rig.breaker.begin() for _ in range(4)]
    rig.now += 0.2
    assert rig.breaker.begin() is None
    assert (rig.state, rig.breaker.reason) == ("open", "4 requests in a row failed: slow")
    for attempt in hanging:
        assert attempt is not None
        rig.breaker.end(attempt)  # too late to matter
    assert rig.state == "open"
    late = Rig(BreakerConfig(min_requests=4, slow_ms=100))
    for _ in range(4):
        late.ask(None, seconds=0.2)
    assert late.state == "open"


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 20), st.sampled_from(["fine", "error", "drop", "hold"])), max_size=200))
def test_it_lets_some_through_again_whatever_happens(events: list[tuple[float, str]]) -> None:
    rig = Rig(BreakerConfig(min_requests=2, open_seconds=5, probes=2, slow_ms=3000))
    held = []
    for seconds, what in events:
        rig.now += seconds
        attempt = rig.breaker.begin()
        if attempt is None:
            assert rig.state != "closed"
        elif what == "hold":
            held.append(attempt)
        elif what == "drop":
            rig.breaker.drop(attempt)
        else:
            rig.breaker.end(attempt, None if what == "fine" else what)
    for attempt in held:
        rig.breaker.end(attempt)
    for _ in range(4):
        rig.now += 6
        rig.ask()
        rig.ask()
    assert rig.state == "closed"


@pytest.mark.slow
def test_a_request_costs_about_a_microsecond() -> None:
    breaker = Breaker(BreakerConfig())
    count = 100_000
    best = float("inf")
    for _ in range(5):
        begin = time.perf_counter()
        for _ in range(count):
            attempt = breaker.begin()
            assert attempt is not None
            breaker.end(attempt)
        best = min(best, time.perf_counter() - begin)
    assert best / count < 3e-6
