"""Stores of each kind, on real servers."""

import multiprocessing
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from features.store import StoreError, open_store
from features.store.protocol import Row
from tests.redis_server import needs_redis, redis_server


def write(url: str, namespace: str, rows: dict[str, bytes], mark: str, view: str = "v") -> None:
    store = open_store(url)
    with store.writing(namespace, view) as writer:
        writer.put(Row(key, payload, len(payload)) for key, payload in rows.items())
        writer.finish(mark)
    store.close()


def test_rows_come_back_in_the_order_asked_for(url: str, namespace: str) -> None:
    write(url, namespace, {"[1]": b"one\x00", '["ä\\u0000"]': b"two", "[3]": b""}, "first")
    store = open_store(url)
    mark, payloads = store.read(namespace, "v", ['["ä\\u0000"]', "[9]", "[1]", "[1]", "[3]"])
    assert (mark, payloads) == ("first", [b"two", None, b"one\x00", b"one\x00", b""])
    assert store.read(namespace, "v", []) == ("first", [])
    assert store.read(namespace, "other", ["[1]"]) == (None, [None])
    assert store.marks(namespace) == {"v": "first"}


def test_rows_are_replaced_deleted_and_cleared(url: str, namespace: str) -> None:
    write(url, namespace, {"[1]": b"one", "[2]": b"two"}, "first")
    store = open_store(url)
    with store.writing(namespace, "v") as writer:
        assert writer.mark == "first"
        assert writer.fingerprints() == {"[1]": 3, "[2]": 3}
        writer.put([Row("[2]", b"second", -(2**63)), Row("[3]", b"three", 2**63 - 1)])
        writer.delete(["[1]", "[unknown]"])
        assert writer.fingerprints() == {"[2]": -(2**63), "[3]": 2**63 - 1}
        writer.finish("second")
    assert store.read(namespace, "v", ["[1]", "[2]", "[3]"]) == ("second", [None, b"second", b"three"])
    with store.writing(namespace, "v") as writer:
        writer.clear()
        writer.finish("third")
    assert store.read(namespace, "v", ["[2]"]) == ("third", [None])


def test_many_keys_are_read_at_once(url: str, namespace: str) -> None:
    rows = {f"[{key}]": str(key).encode() for key in range(2_500)}
    write(url, namespace, rows, "mark")
    assert open_store(url).read(namespace, "v", list(rows)) == ("mark", list(rows.values()))


def test_two_projects_in_one_store_do_not_mix(url: str, namespace: str) -> None:
    write(url, namespace, {"[1]": b"mine"}, "mine")
    write(url, namespace + "x", {"[1]": b"theirs"}, "theirs")
    store = open_store(url)
    assert store.read(namespace, "v", ["[1]"]) == ("mine", [b"mine"])
    with store.writing(namespace + "x", "v") as writer:
        writer.clear()
    assert store.read(namespace, "v", ["[1]"]) == ("mine", [b"mine"])


def _write_slowly(url: str, namespace: str, started: Event, seconds: float) -> None:
    store = open_store(url)
    with store.writing(namespace, "v") as writer:
        writer.put(Row(f"[{key}]", b"new", 2) for key in range(1_000))
        started.set()
        time.sleep(seconds)
        writer.finish("new")


def _spawn(url: str, namespace: str, seconds: float) -> SpawnProcess:
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    process = context.Process(target=_write_slowly, args=(url, namespace, started, seconds))
    process.start()
    assert started.wait(60)
    return process


def test_readers_are_not_blocked_and_a_second_writer_waits(url: str, namespace: str) -> None:
    write(url, namespace, {f"[{key}]": b"old" for key in range(1_000)}, "old")
    process = _spawn(url, namespace, 2)
    store = open_store(url, lock_timeout=0.2)
    began = time.monotonic()
    mark, payloads = store.read(namespace, "v", ["[1]", "[999]"])
    assert time.monotonic() - began < 1
    assert mark == "old"
    assert set(payloads) == ({b"new"} if url.startswith("redis") else {b"old"})
    with (
        pytest.raises(StoreError, match=r"another process has been writing.* for 0.2 s"),
        store.writing(namespace, "v"),
    ):
        pass
    with open_store(url).writing(namespace, "v") as writer:  # waits until the other one is done
        assert writer.mark == "new"
    process.join(30)
    assert process.exitcode == 0


def test_a_writer_that_is_killed_leaves_what_was_there(url: str, namespace: str) -> None:
    write(url, namespace, {f"[{key}]": b"old" for key in range(1_000)}, "old")
    process = _spawn(url, namespace, 60)
    os.kill(int(process.pid or 0), signal.SIGKILL)
    process.join(30)
    store = open_store(url)
    mark, payloads = store.read(namespace, "v", ["[1]", "[999]"])
    assert mark == "old"  # in Redis some rows are new already: the next run writes them again
    assert url.startswith("redis") or set(payloads) == {b"old"}
    write(url, namespace, {"[1]": b"newer"}, "newer")  # the lock of the dead one does not last
    assert store.read(namespace, "v", ["[1]"]) == ("newer", [b"newer"])


def test_a_block_that_raises_writes_nothing_where_there_are_transactions(tmp_path: Path) -> None:
    url = str(tmp_path / "store.db")
    write(url, "n", {"[1]": b"old"}, "old")
    store = open_store(url)
    wrong = [Row("[1]", b"new", 1), Row("[2]", b"new", 2**64)]
    with pytest.raises(OverflowError), store.writing("n", "v") as writer:
        writer.put(wrong)
    assert store.read("n", "v", ["[1]"]) == ("old", [b"old"])


@pytest.mark.parametrize("scheme", ["redis", "postgresql"])
def test_a_server_that_is_down_is_named_without_its_password(scheme: str) -> None:
    pytest.importorskip("redis" if scheme == "redis" else "psycopg", reason="this store needs its extra")
    with pytest.raises(StoreError) as caught:
        open_store(f"{scheme}://user:secret@127.0.0.1:1/0")
    assert f"{scheme}://user:***@127.0.0.1:1/0" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["redis", "postgresql"])
def test_a_server_that_does_not_answer_is_given_up(scheme: str) -> None:
    pytest.importorskip("redis" if scheme == "redis" else "psycopg", reason="this store needs its extra")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        began = time.monotonic()
        with pytest.raises(StoreError, match="timeout|timed out|not answered"):
            open_store(f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/0", timeout=2)
    assert time.monotonic() - began < 10


@needs_redis
def test_a_server_that_dies_between_two_reads_is_named() -> None:
    with redis_server() as (url, process):
        store = open_store(url)
        process.kill()
        process.wait()
        with pytest.raises(StoreError, match=url):
            store.read("n", "v", ["[1]"])


def test_a_full_disk_is_said_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    write(str(path), "n", {"[1]": b"old"}, "old")
    code = f"""
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
from features.store import open_store
from features.store.protocol import Row
store = open_store({str(path)!r})
with store.writing("n", "v") as writer:
    writer.put(Row(str(key), b"x" * 1000, 1) for key in range(10_000))
    writer.finish("new")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "disk" in done.stderr
    assert str(path) in done.stderr
    assert open_store(str(path)).read("n", "v", ["[1]", "5"]) == ("old", [b"old", None])


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://host/db", "is no address of a store; allowed: a path, sqlite"),
        ("sqlite://", "names no file"),
        ("redis://host:port/0", "port"),
        ("postgresql://h/d?nonsense=1", "malformed"),
    ],
)
def test_a_wrong_address_is_refused(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_store(url)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="folder .* does not exist"):
        open_store(tmp_path / "absent" / "store.db")
    (tmp_path / "text.db").write_text("not a data base, but long enough to be looked at as one" * 100)
    with pytest.raises(StoreError, match="not a database"):
        open_store(tmp_path / "text.db")
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE t (x)")
    other.close()
    with pytest.raises(StoreError, match="something else"):
        open_store(tmp_path / "other.db")
