import asyncio
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from lightning_app.serving.config.serve_config import JournalConfig
from lightning_app.serving.journal.errors import JournalDownError, JournalRecordError
from lightning_app.serving.journal.sampling import is_sampled
from lightning_app.serving.journal.spill import SpillFile, waiting_files
from lightning_app.serving.journal.stores import open_reader
from lightning_app.serving.journal.stores.protocol import Selection
from lightning_app.serving.journal.writer import JournalWriter
from tests.lightning_app.serving.journal.records import empty_database, outcome, prediction
from tests.postgres import needs_postgres

ROOT = Path(__file__).parents[4]


def run(
    work: Callable[[JournalWriter], Coroutine[Any, Any, None]], config: JournalConfig, *, in_thread: bool = False
) -> None:
    async def whole() -> None:
        writer = JournalWriter(config, in_thread=in_thread)
        await writer.start()
        try:
            await work(writer)
        finally:
            await writer.close()

    asyncio.run(whole())


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise TimeoutError


def ids(url: str) -> list[str]:
    return [one.request_id for part in open_reader(url).predictions(Selection()) for one in part]


@pytest.fixture
def url(tmp_path: Path) -> str:
    (tmp_path / "db").mkdir()
    return f"sqlite:///{tmp_path}/db/journal.db"


@pytest.mark.parametrize("in_thread", [False, True])
def test_commits_of_one_turn_are_one_transaction(url: str, in_thread: bool) -> None:
    async def work(writer: JournalWriter) -> None:
        answers = await asyncio.gather(*[writer.commit([prediction(f"{i}-{j}") for j in range(4)]) for i in range(32)])
        assert answers == [{}] * 32
        assert (writer.health().written, writer.health().state) == (128, "up")
        assert writer.health().commits <= 5
        (earlier,) = (await writer.commit([prediction("3-2"), prediction("new")])).items()
        assert earlier[0] == "3-2"
        assert await writer.feedback(outcome("3-2")) == "stored"

    run(work, JournalConfig(url=url), in_thread=in_thread)
    assert len(ids(url)) == 129


def test_a_bad_record_does_not_take_others_with_it(url: str) -> None:
    async def work(writer: JournalWriter) -> None:
        good, bad = await asyncio.gather(
            writer.commit([prediction("good")]), writer.commit([prediction(entity="\ud800")]), return_exceptions=True
        )
        assert good == {}
        assert isinstance(bad, JournalRecordError)
        assert writer.health().state == "up"

    run(work, JournalConfig(url=url))
    assert ids(url) == ["good"]


def test_sampling_keeps_the_share_and_is_the_same_for_a_retry(url: str) -> None:
    names = [f"request-{number}" for number in range(4000)]
    sampled = [name for name in names if is_sampled(name, 0.25)]
    assert 900 < len(sampled) < 1100
    assert not any(is_sampled(name, 0.0) for name in names)

    async def work(writer: JournalWriter) -> None:
        for _ in range(2):
            await writer.commit([prediction(name) for name in names])
        assert writer.health().not_sampled == 2 * (4000 - len(sampled))
        missing = next(name for name in names if name not in sampled)
        assert await writer.feedback(outcome(missing)) == "unknown"

    run(work, JournalConfig(url=url, sample=0.25))
    assert ids(url) == sampled


def test_a_retry_is_recognized_though_columns_are_dropped(url: str) -> None:
    async def work(writer: JournalWriter) -> None:
        first = prediction("a", body=b'{"records":[{"age":41,"city":"Bern"}]}', body_digest=b"first")
        assert await writer.commit([first]) == {}
        (again,) = (await writer.commit([first])).values()
        assert (again.body_digest, again.answer, again.is_redacted) == (b"first", first.answer, False)
        other = prediction("a", body=b'{"records":[{"age":42,"city":"Bern"}]}', body_digest=b"other")
        (conflict,) = (await writer.commit([other])).values()
        assert conflict.body_digest not in (b"first", b"other")

    run(work, JournalConfig(url=url, drop=["city"]))
    assert next(open_reader(url).predictions(Selection()))[0].body == b'{"records":[{"age":41}]}'


def test_a_journal_that_is_down_fails_and_is_noticed_when_it_is_back(url: str, tmp_path: Path) -> None:
    async def work(writer: JournalWriter) -> None:
        await writer.commit([prediction("before")])
        (tmp_path / "db").rename(tmp_path / "away")
        with pytest.raises(JournalDownError, match="does not exist"):
            await writer.commit([prediction("during")])
        with pytest.raises(JournalDownError):
            await writer.feedback(outcome("before"))
        assert writer.health().state == "down"
        assert writer.health().refused == 1
        (tmp_path / "away").rename(tmp_path / "db")
        await until(lambda: writer.health().state == "up")
        await writer.commit([prediction("after")])
        assert "does not exist" in str(writer.health().last_error)

    run(work, JournalConfig(url=url))
    assert ids(url) == ["before", "after"]


@pytest.mark.parametrize("in_thread", [False, True])
def test_what_is_spilled_is_replayed_once_and_in_order(url: str, tmp_path: Path, in_thread: bool) -> None:
    async def work(writer: JournalWriter) -> None:
        await writer.commit([prediction("before")])
        (tmp_path / "db").rename(tmp_path / "away")
        for number in range(200):
            assert await writer.commit([prediction(f"spilled-{number:03}", answer=b"first")]) == {}
        # A retry during the failure is answered with what was answered.
        assert (await writer.commit([prediction("spilled-007", answer=b"second")]))["spilled-007"].answer == b"first"
        assert await writer.feedback(outcome("before")) == "spilled"
        assert (writer.health().spilled, writer.health().pending) == (201, 201)
        (tmp_path / "away").rename(tmp_path / "db")
        await until(lambda: writer.health().state == "up")
        retried = await writer.commit([prediction("spilled-009", answer=b"third"), prediction("after")])
        assert retried["spilled-009"].answer == b"first"
        await until(lambda: writer.health().replayed == 201)
        assert writer.health().pending == 0
        assert waiting_files(tmp_path / "spill") == []

    config = JournalConfig(url=url, on_failure="spill", spill=str(tmp_path / "spill"))
    run(work, config, in_thread=in_thread)
    held = ids(url)
    assert sorted(held) == sorted(["before", "after", *(f"spilled-{number:03}" for number in range(200))])
    assert [name for name in held if "spilled" in name] == sorted(name for name in held if "spilled" in name)
    assert len(open_reader(url).outcomes(["before"])["before"]) == 1


def test_a_server_that_starts_without_its_journal_spills_until_it_comes(url: str, tmp_path: Path) -> None:
    async def work(writer: JournalWriter) -> None:
        assert writer.health().state == "down"
        await writer.commit([prediction("early")])
        (tmp_path / "db" / "journal.db").rmdir()
        await until(lambda: writer.health().replayed == 1)
        await writer.commit([prediction("late")])

    (tmp_path / "db" / "journal.db").mkdir()
    run(work, JournalConfig(url=url, on_failure="spill", spill=str(tmp_path / "spill")))
    assert ids(url) == ["early", "late"]


CHILD = """
import asyncio, resource, sys
from lightning_app.serving.config.serve_config import JournalConfig
from lightning_app.serving.journal.errors import JournalDownError
from lightning_app.serving.journal.writer import JournalWriter
from tests.lightning_app.serving.journal.records import prediction

async def main():
    url, spill, name, limit = sys.argv[1:]
    writer = JournalWriter(JournalConfig(url=url, on_failure="spill" if spill else "fail", spill=spill or None))
    await writer.start()
    if int(limit):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    async def client(number):
        for request in range(100_000):
            one = prediction(f"{name}-{number}-{request}", body=b"x" * 500)
            try:
                await writer.commit([one])
            except JournalDownError as error:
                print("refused", one.request_id, flush=True)
                await asyncio.sleep(0.05)
                continue
            print("answered", one.request_id, flush=True)
    await asyncio.gather(*[client(number) for number in range(8)])

asyncio.run(main())
"""


def child(url: str, spill: str = "", *, name: str, limit: int = 0) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", CHILD, url, spill, name, str(limit)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def killed_after(process: "subprocess.Popen[str]", lines: int) -> list[str]:
    """Kills a process after it has printed some lines; all whole lines of it."""
    assert process.stdout is not None
    printed = [process.stdout.readline() for _ in range(lines)]
    process.send_signal(signal.SIGKILL)
    printed += process.stdout.readlines()
    process.wait()
    return [line.strip() for line in printed if line.endswith("\n")]


@pytest.mark.parametrize("rounds", [2, pytest.param(50, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])])
def test_a_killed_server_loses_nothing_that_it_answered(url: str, rounds: int) -> None:
    answered: list[str] = []
    for number in range(rounds):
        pair = [child(url, name=f"{number}-{side}") for side in "ab"]
        for process in pair:
            answered += killed_after(process, 200 + 37 * (number % 10))
    held = ids(url)
    assert len(held) == len(set(held))
    assert len(answered) >= 400 * rounds
    assert [line for line in answered if line.startswith("refused")] == []
    assert {line.split()[1] for line in answered} <= set(held)


def test_a_killed_server_loses_nothing_that_it_spilled(url: str, tmp_path: Path) -> None:
    (tmp_path / "db" / "journal.db").mkdir()
    spill = str(tmp_path / "spill")
    answered = killed_after(child(url, spill, name="a"), 500)
    (file,) = waiting_files(tmp_path / "spill")
    with file.open("ab") as torn:
        torn.write(b"\x99\x00\x00\x00half of a record")
    (tmp_path / "db" / "journal.db").rmdir()

    async def work(writer: JournalWriter) -> None:
        await until(lambda: waiting_files(tmp_path / "spill") == [])
        await until(lambda: writer.health().torn == 1)

    run(work, JournalConfig(url=url, on_failure="spill", spill=spill))
    held = ids(url)
    assert len(held) == len(set(held))
    assert {line.split()[1] for line in answered} <= set(held)


def test_a_full_disk_refuses_and_answers_again_when_there_is_room(url: str, tmp_path: Path) -> None:
    process = child(url, name="full", limit=300_000)
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or not lines[-1].startswith("refused"):
        lines.append(process.stdout.readline())
    answered = {line.split()[1] for line in lines if line.startswith("answered")}
    assert len(answered) > 50
    infinite = resource.RLIM_INFINITY
    soft_hard = (infinite, infinite)
    with suppress(PermissionError):  # raising a hard limit is for root alone
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, soft_hard)
        begin = time.monotonic()
        while not lines[-1].startswith("answered"):
            lines.append(process.stdout.readline())
            assert time.monotonic() < begin + 30
    answered |= {line.split()[1] for line in [*lines, *killed_after(process, 10)] if line.startswith("answered")}
    assert answered <= set(ids(url))


def test_a_full_disk_under_the_spill_file_refuses_too(url: str, tmp_path: Path) -> None:
    (tmp_path / "db" / "journal.db").mkdir()
    spill = str(tmp_path / "spill")
    process = child(url, spill, name="full", limit=200_000)
    assert process.stdout is not None
    lines = [process.stdout.readline()]
    while not lines[-1].startswith("refused"):
        lines.append(process.stdout.readline())
    lines += killed_after(process, 20)
    answered = {line.split()[1] for line in lines if line.startswith("answered")}
    assert len(answered) > 50
    (tmp_path / "db" / "journal.db").rmdir()

    async def work(writer: JournalWriter) -> None:
        await until(lambda: waiting_files(tmp_path / "spill") == [])
        await until(lambda: writer.health().replayed >= len(answered))
        assert (writer.health().torn, writer.health().damaged) == (0, 0)

    run(work, JournalConfig(url=url, on_failure="spill", spill=spill))
    assert answered <= set(ids(url))


REPLAY = """
import os, signal, sys
from pathlib import Path
from lightning_app.serving.journal.spill import replay
from lightning_app.serving.journal.stores import open_store
left = [int(sys.argv[3])]
def between():
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
replay(Path(sys.argv[2]), open_store(sys.argv[1]), between=between)
"""


def test_a_replay_that_is_killed_again_and_again_writes_each_record_once(url: str, tmp_path: Path) -> None:
    (tmp_path / "db" / "journal.db").mkdir()
    spill = tmp_path / "spill"

    async def work(writer: JournalWriter) -> None:
        for number in range(600):
            await writer.commit([prediction(f"{number:04}")])

    run(work, JournalConfig(url=url, on_failure="spill", spill=str(spill)))
    (tmp_path / "db" / "journal.db").rmdir()
    for kill_after in (1, 3, 5, 0):
        command = [sys.executable, "-c", REPLAY, url, str(spill), str(kill_after)]
        code = subprocess.run(command, cwd=ROOT, env={**os.environ}, check=False).returncode
        assert code == (-signal.SIGKILL if kill_after else 0)
    assert ids(url) == [f"{number:04}" for number in range(600)]
    assert waiting_files(spill) == []


def test_another_program_that_holds_the_file_does_not_hold_the_event_loop(url: str, tmp_path: Path) -> None:
    async def work(writer: JournalWriter) -> None:
        await writer.commit([prediction("before")])
        other = sqlite3.connect(tmp_path / "db" / "journal.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        commit = asyncio.create_task(writer.commit([prediction("waiting")]))
        longest = 0.0
        for _ in range(20):
            begin = time.perf_counter()
            await asyncio.sleep(0.01)
            longest = max(longest, time.perf_counter() - begin)
        assert not commit.done()
        other.execute("ROLLBACK")
        other.close()
        assert await commit == {}
        assert longest < 1.0
        assert writer.health().state == "up"

    run(work, JournalConfig(url=url))
    assert ids(url) == ["before", "waiting"]


@needs_postgres
def test_postgres_may_cut_connections_and_go_away(postgres_server: str, tmp_path: Path) -> None:
    import psycopg

    url = empty_database(postgres_server)
    name = url.rpartition("/")[2]

    async def work(writer: JournalWriter) -> None:
        with psycopg.connect(postgres_server, autocommit=True) as admin:

            def cut() -> None:
                admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))

            await writer.commit([prediction("before")])
            cut()
            assert await writer.commit([prediction("after-a-cut")]) == {}
            assert writer.health().spilled == 0
            with pytest.raises(JournalRecordError, match="cannot hold this"):
                await writer.commit([prediction(entity="a\0b")])
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            cut()
            await asyncio.gather(*[writer.commit([prediction(f"spilled-{number}")]) for number in range(20)])
            assert (writer.health().state, writer.health().spilled) == ("down", 20)
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            await until(lambda: writer.health().replayed == 20)
            assert "after-a-cut" in await writer.commit([prediction("after-a-cut")])

    run(work, JournalConfig(url=url, on_failure="spill", spill=str(tmp_path / "spill")))
    assert ids(url) == ["before", "after-a-cut", *(f"spilled-{number}" for number in range(20))]


def test_what_others_have_spilled_is_pending_too_until_it_is_replayed(url: str, tmp_path: Path) -> None:
    async def work(writer: JournalWriter) -> None:
        await writer.commit([prediction("before")])
        (tmp_path / "db").rename(tmp_path / "away")
        await writer.commit([prediction("own")])
        left, live = (SpillFile(tmp_path / "spill", durable=False) for _ in range(2))
        left.append([prediction("a"), prediction("b")])
        left.close()
        live.append([prediction("c")])
        await writer.count_pending()
        assert (writer.health().state, writer.health().pending) == ("down", 4)
        live.append([prediction("d"), outcome("d")])
        live.close()
        await writer.count_pending()
        assert writer.health().pending == 6
        (tmp_path / "away").rename(tmp_path / "db")
        await until(lambda: writer.health().replayed == 6)
        await writer.count_pending()
        assert writer.health().pending == 0

    run(work, JournalConfig(url=url, on_failure="spill", spill=str(tmp_path / "spill")))
    assert sorted(ids(url)) == ["a", "b", "before", "c", "d", "own"]
