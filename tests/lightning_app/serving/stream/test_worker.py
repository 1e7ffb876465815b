"""Workers of a stream in processes of their own: signals, versions that change, models and journals that fail."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

import pytest

from lightning_app.serving.inference.loaded_model import LoadedModel
from tests.conftest import CONFIGS
from tests.lightning_app.serving.model_packages import looping_package
from tests.lightning_app.serving.stream.streaming import answers, body, count, predictions, put, stream, worker
from tests.lightning_app.serving.supervisor.conftest import Versions, versions

__all__ = ["versions"]  # the fixture


def wait_for(what: Callable[[], bool], seconds: float = 40.0) -> None:
    """Waits until something is true."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_worker_follows_its_alias_counts_in_its_metrics_and_ends_in_order(versions: Versions, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    put(url, [body(4)])
    words = ("--poll-seconds", "0.2", "--metrics", "127.0.0.1:29181")
    with worker(Path("phase@champion"), *words, journal=url, source="queue://events", folder=tmp_path) as process:
        wait_for(lambda: count(url, "predictions") == 1)
        versions.move(2)
        wait_for(lambda: "phase@2" in (tmp_path / "worker.log").read_text())
        put(url, [body(4)])
        wait_for(lambda: count(url, "predictions") == 2)
        with urlopen("http://127.0.0.1:29181/metrics", timeout=10) as page:
            said = page.read().decode()
        assert 'lightning_app_stream_events_total{result="answered",stream="events"} 2.0' in said
        assert 'lightning_app_rows_total{arm="champion",model="phase",version="2"} 1.0' in said
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    first, second = (predictions(url)[f"events:{number}"] for number in (1, 2))
    assert (first.version, second.version) == (1, 2)
    assert answers(url)["events:1"][0]["price"] == pytest.approx(versions.prices[1], rel=1e-5)
    assert answers(url)["events:2"][0]["price"] == pytest.approx(versions.prices[2], rel=1e-5)


def test_a_killed_worker_leaves_whole_batches_and_the_next_ones_answer_the_rest(
    package: Path, journal_url: str, tmp_path: Path
) -> None:
    number = 3000
    put(journal_url, [body(place) for place in range(number)])
    words = ("--to", "queue://answers", "--batch", "32", "--lease-seconds", "0.5", "--linger-ms", "0")
    for least in (1, 500):
        with worker(package, *words, journal=journal_url, source="queue://events", folder=tmp_path) as process:
            wait_for(lambda least=least: count(journal_url, "predictions") >= least)  # type: ignore[misc]
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert count(journal_url, "predictions") == count(journal_url, "stream_queue") - (
            number - count(journal_url, "predictions")
        ), "each answer is in the queue of answers, and its event is not in that of events"
    with worker(package, *words, journal=journal_url, source="queue://events", folder=tmp_path):
        assert stream(package, *words[:-2], journal=journal_url) == 0
        wait_for(lambda: count(journal_url, "predictions") == number)
    assert count(journal_url, "stream_queue") == number


def test_a_model_that_fails_is_tried_again_and_then_the_worker_stops_or_goes_on_by_policy(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    put(url, [body(0), body(1)])
    whole = LoadedModel.answer

    def failing(self: LoadedModel, requests):  # type: ignore[no-untyped-def]
        return [*whole(self, requests[:1]), *(RuntimeError("out of memory") for _ in requests[1:])]

    monkeypatch.setattr(LoadedModel, "answer", failing)
    assert stream(package, "--retry-seconds", "0.3", journal=url) == 1
    said = capsys.readouterr().err
    assert "the model fails on events:2: out of memory; given up after 0.3 s" in said
    assert count(url, "predictions") == 0
    with sqlite3.connect(tmp_path / "journal.db") as connection:
        assert connection.execute("SELECT attempts, holder FROM stream_queue").fetchall() == [(0, None)] * 2
    assert stream(package, "--on-failure", "dead-letter", journal=url) == 0
    assert list(answers(url)) == ["events:1"]
    assert count(url, "dead_letters") == 1


@pytest.mark.parametrize("policy", ["stop", "dead-letter"])
def test_a_call_that_never_ends_is_stopped_and_only_its_event_fails(
    policy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    package = looping_package(tmp_path / "looping")
    put(url, [b'{"a": 1, "b": 2}', b'{"a": 2000, "b": 0}', b'{"a": 3, "b": 4}'])
    words = ("--hang-seconds", "0.2", "--retry-seconds", "0.2", "--on-failure", policy)
    assert stream(package, *words, journal=url) == (1 if policy == "stop" else 0)
    said = capsys.readouterr().err
    assert count(url, "predictions") == (0 if policy == "stop" else 2)
    assert count(url, "dead_letters") == (0 if policy == "stop" else 1)
    if policy == "stop":
        assert "the model fails on events:2: a call of the model was stopped because it ran for too long" in said


def test_a_batch_that_takes_longer_than_its_lease_is_kept_between_its_calls(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    put(url, [body(place) for place in range(8)])
    whole = LoadedModel.answer
    left: list[float] = []

    def slow(self: LoadedModel, requests):  # type: ignore[no-untyped-def]
        time.sleep(0.1)
        with sqlite3.connect(tmp_path / "journal.db") as connection:
            left.append(connection.execute("SELECT min(lease_until) FROM stream_queue").fetchone()[0] - time.time())
        return whole(self, requests)

    monkeypatch.setattr(LoadedModel, "answer", slow)
    assert stream(package, "--lease-seconds", "0.4", "--batching", "off", journal=url) == 0
    assert len(left) == 8
    assert min(left) > 0, "no other worker may claim them meanwhile"


def test_answers_that_could_not_be_printed_are_free_for_the_next_one(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    put(url, [body(0)], name="answers")
    words = [sys.executable, "-m", "lightning_app", "stream", "take", "answers", "--journal", url]
    with Path("/dev/full").open("wb") as full:
        failed = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, cwd=CONFIGS.parent, check=False)
    assert failed.returncode == 1
    assert b"Traceback" not in failed.stderr
    taken = subprocess.run(words, capture_output=True, cwd=CONFIGS.parent, check=True)
    assert json.loads(taken.stdout)["request_id"] == "answers:1"


def test_a_journal_that_is_held_is_waited_for(package: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    put(url, [body(0)])
    with worker(package, journal=url, source="queue://events", folder=tmp_path) as process:
        wait_for(lambda: count(url, "predictions") == 1)
        with sqlite3.connect(tmp_path / "journal.db", isolation_level=None) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO stream_queue (stream, body) VALUES ('events', ?)", (body(1),))
            time.sleep(0.5)
            connection.execute("COMMIT")
        wait_for(lambda: count(url, "predictions") == 2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
