"""Sessions in their file: in order, bounded, forgotten after a while, shared by processes."""

import sqlite3
import time
from pathlib import Path
from threading import Thread

import pytest

from lightning_app.serving.config.serve_config import Sessions
from lightning_app.serving.inference.sessions import (
    SessionConflictError,
    SessionsBusyError,
    SessionStore,
    SessionVersionError,
)

ONE, TWO = "a" * 64, "b" * 64


def store_of(path: Path, *, most: int = 100, seconds: float = 60.0) -> SessionStore:
    return SessionStore(path / "sessions.db", limits={"lstm": Sessions(most=most, seconds=seconds)})


def advance(store: SessionStore, session: str, state: bytes, *, request: str, digest: str = ONE) -> bytes | None:
    """Answers a request of a session; the state that it found."""
    found = store.read("lstm", session, digest=digest, request=request)
    store.write("lstm", session, found, state, digest=digest, version=3, request=request)
    return found.state


def test_the_state_after_a_request_is_found_by_the_next_of_any_worker(tmp_path: Path) -> None:
    one, two = store_of(tmp_path), store_of(tmp_path)
    assert advance(one, "s", b"1", request="r1") is None
    assert advance(two, "s", b"2", request="r2") == b"1"
    assert advance(one, "s", b"3", request="r3") == b"2"
    assert advance(one, "other", b"4", request="r4") is None


def test_of_two_requests_at_once_one_is_refused(tmp_path: Path) -> None:
    one, two = store_of(tmp_path), store_of(tmp_path)
    advance(one, "s", b"1", request="r1")
    found = one.read("lstm", "s", digest=ONE, request="r2")
    advance(two, "s", b"2", request="r3")
    with pytest.raises(SessionConflictError, match="send its requests one by one"):
        one.write("lstm", "s", found, b"late", digest=ONE, version=3, request="r2")
    assert advance(one, "s", b"3", request="r4") == b"2"
    fresh = one.read("lstm", "new", digest=ONE, request="r5")
    advance(two, "new", b"1", request="r6")
    with pytest.raises(SessionConflictError):
        one.write("lstm", "new", fresh, b"late", digest=ONE, version=3, request="r5")


def test_a_repeated_request_finds_what_it_found_at_first(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    assert [advance(store, "s", b"1", request="r1") for _ in range(3)] == [None] * 3
    assert [advance(store, "s", b"2", request="r2") for _ in range(3)] == [b"1"] * 3
    assert advance(store, "s", b"3", request="r3") == b"2"


def test_an_earlier_request_does_not_advance_the_session_again(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    for number in range(5):
        advance(store, "s", b"%d" % number, request=f"r{number}")
    with pytest.raises(SessionConflictError, match="s has answered request r2 before, and others since"):
        advance(store, "s", b"again", request="r2")
    for number in range(100):
        found = store.read("lstm", "s", digest=ONE, request=None)
        store.write("lstm", "s", found, b"%d" % number, digest=ONE, version=3, request=None)
    assert advance(store, "s", b"last", request="r6") == b"99"


def test_many_threads_lose_no_step(tmp_path: Path) -> None:
    def work(name: str) -> None:
        store = store_of(tmp_path)
        done = 0
        while done < 20:
            found = store.read("lstm", "s", digest=ONE, request=f"{name}{done}")
            state = b"%d" % (int(found.state or b"0") + 1)
            try:
                store.write("lstm", "s", found, state, digest=ONE, version=None, request=f"{name}{done}")
                done += 1
            except SessionConflictError:
                continue

    threads = [Thread(target=work, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store_of(tmp_path).read("lstm", "s", digest=ONE, request="end").state == b"60"


def test_another_version_is_told_whose_session_it_is(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    advance(store, "s", b"1", request="r1")
    with pytest.raises(SessionVersionError, match="s belongs to version 3 of lstm, which answers no more"):
        store.read("lstm", "s", digest=TWO, request="r2")
    assert store_of(tmp_path).read("lstm", "s", digest=ONE, request="r2").state == b"1"  # a reload of the same version


def test_sessions_that_nobody_uses_are_forgotten(tmp_path: Path) -> None:
    store = store_of(tmp_path, seconds=0.05)
    advance(store, "s", b"1", request="r1")
    time.sleep(0.06)
    assert advance(store, "s", b"2", request="r2", digest=TWO) is None  # its version does not matter any more


def test_the_sessions_used_longest_ago_go_first(tmp_path: Path) -> None:
    store = store_of(tmp_path, most=3)
    for number in range(5):
        advance(store, f"s{number}", b"1", request=f"r{number}")
        if number >= 1:
            advance(store, "s1", b"again", request=f"again{number}")
    names = [f"s{number}" for number in range(5)]
    kept = [name for name in names if store.read("lstm", name, digest=ONE, request="x").state is not None]
    assert kept == ["s1", "s3", "s4"]


def test_a_locked_file_is_no_fault_of_the_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightning_app.serving.inference.sessions._WAIT_SECONDS", 0.01)
    store = store_of(tmp_path)
    advance(store, "s", b"1", request="r1")
    with sqlite3.connect(tmp_path / "sessions.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(SessionsBusyError, match="try again"):
            advance(store, "s", b"2", request="r2")
        other.execute("ROLLBACK")
    assert advance(store, "s", b"2", request="r3") == b"1"
