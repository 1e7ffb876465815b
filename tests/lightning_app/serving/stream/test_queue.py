"""Streams from the queue table: each event is answered once, in either database."""

import io
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lightning_app.__main__ import main
from lightning_app.packaging import Package
from lightning_app.serving.stream.errors import LostError
from lightning_app.serving.stream.event import Output
from lightning_app.serving.stream.sources.queue_source import QueueSource
from lightning_app.serving.stream.tables import queue
from tests.lightning_app.serving.stream.streaming import ROW, answers, body, count, opened, predictions, put, stream


def listed(url: str, capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    """Dead letters."""
    capsys.readouterr()
    assert main(["stream", "dead-letters", "list", "--json", "--journal", url, *words]) == 0
    return json.loads(capsys.readouterr().out)


def test_events_of_every_format_are_answered_as_the_package_answers_them(package: Path, journal_url: str) -> None:
    table = pl.DataFrame([{**ROW, "length": value} for value in (1.0, 2.0, 3.0)])
    arrow = io.BytesIO()
    table.write_ipc_stream(arrow)
    put(
        journal_url,
        [
            json.dumps({**ROW, "length": 1.0}).encode(),
            json.dumps({"records": [{**ROW, "length": 2.0}, {**ROW, "length": 3.0}]}).encode(),
            json.dumps({"columns": {name: [1.0] for name in ROW}}).encode(),
        ],
    )
    with opened(journal_url) as database, database.transaction():
        kind = "application/vnd.apache.arrow.stream"
        queue.put(database, "events", [Output("", None, kind, {}, arrow.getvalue())])
    assert stream(package, journal=journal_url) == 0
    wanted = Package.load(package).predict(table)["price"].to_numpy()
    given = predictions(journal_url)
    assert list(given) == [f"events:{number}" for number in (1, 2, 3, 4)]
    assert [one.num_rows for one in given.values()] == [1, 2, 1, 3]
    assert [
        row["price"] for name in ("events:1", "events:2") for row in json.loads(given[name].answer)["predictions"]
    ] == (pytest.approx(wanted.tolist(), rel=1e-5))
    assert "price" in json.loads(given["events:3"].answer)["predictions"]
    assert pl.read_ipc_stream(given["events:4"].answer)["price"].to_numpy() == pytest.approx(wanted, rel=1e-5)
    assert json.loads(given["events:1"].body) == {"records": [{**ROW, "length": 1.0}]}
    assert count(journal_url, "stream_queue") == 0


@pytest.mark.parametrize(
    ("content", "code", "reason"),
    [
        (b"nonsense", "bad_json", "body: JSON is malformed"),
        (b"[1]", "bad_json", "body: an object with records, columns, tables needed"),
        (b'{"length": 1, "length": 2}', "duplicate_key", "length: given twice"),
        (b'{"length": 1}', "bad_request", "features"),
        (b'{"records": []}', "bad_request", "records: no rows"),
        (json.dumps({**ROW, "length": "long"}).encode(), "bad_request", "length"),
        (json.dumps({"records": [ROW], "state": "x"}).encode(), "bad_request", "state: given"),
        (b'{"a": "' + b"x" * 2**20 + b'"}', "too_large", "body: 1,048,585 bytes given, at most 1,048,576"),
        (json.dumps({"records": [ROW] * 10_001}).encode(), "too_many_rows", "10,001 rows given, at most 10,000"),
        (b'{"length": "\\u0000"}', "bad_request", ""),
    ],
)
def test_an_event_that_cannot_be_answered_is_a_dead_letter_and_stops_nothing(
    content: bytes, code: str, reason: str, package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    put(url, [body(0), content, body(1)])
    assert stream(package, journal=url) == 0
    assert list(answers(url)) == ["events:1", "events:3"]
    (letter,) = listed(url, capsys)
    assert (letter["stream"], letter["position"], letter["code"]) == ("events", "2", code)
    assert reason in letter["reason"]
    assert letter["body"] == content.decode()


def test_a_dead_letter_that_is_retried_is_answered_under_its_first_id(
    package: Path, journal_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    put(journal_url, [b"{}", b'{"width": 1}', body(2)])
    words = ("--to", "queue://answers", "--dead-letters", "queue://broken")
    assert stream(package, *words, journal=journal_url) == 0
    assert [letter["position"] for letter in listed(journal_url, capsys, "events")] == ["2", "1"]
    with opened(journal_url) as database:
        assert queue.sizes(database) == {"answers": 1, "broken": 2}
        with database.transaction():  # somebody corrects the event
            table = database.table("dead_letters")
            database.execute(f"UPDATE {table} SET body = ? WHERE number = 2", (body(1),))
    assert main(["stream", "dead-letters", "retry", "events", "--number", "2", "--journal", journal_url]) == 0
    assert main(["stream", "dead-letters", "retry", "events", "--number", "1", "--journal", journal_url]) == 0
    assert listed(journal_url, capsys) == []
    assert stream(package, *words, journal=journal_url) == 0
    assert set(answers(journal_url)) == {"events:2", "events:3"}
    (letter,) = listed(journal_url, capsys)
    assert (letter["request_id"], letter["attempts"]) == ("events:1", 2)
    assert main(["stream", "take", "answers", "--journal", journal_url]) == 0
    taken = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["request_id"] for one in taken] == ["events:3", "events:2"]
    assert taken[0]["answer"]["predictions"] == answers(journal_url)["events:3"]
    assert main(["stream", "dead-letters", "drop", "events", "--all", "--journal", journal_url]) == 0
    assert listed(journal_url, capsys) == []


def test_lines_that_are_put_are_answered_and_shown(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lines.jsonl").write_bytes(b"\n".join(body(place) for place in range(5)) + b"\n\n")
    assert main(["stream", "put", "queue://events", "lines.jsonl"]) == 0
    assert "put: 5 events into events" in capsys.readouterr().out
    assert stream(package, "--max-events", "3", journal="sqlite:///journal.db") == 0
    assert "3 events answered (3 rows), 0 dead letters" in capsys.readouterr().out
    assert main(["stream", "show", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["queues"] == {"events": 2}
    assert main(["stream", "show"]) == 0
    assert "events" in capsys.readouterr().out


def test_a_worker_that_lost_its_lease_commits_nothing(package: Path, journal_url: str) -> None:
    put(journal_url, [body(place) for place in range(3)])
    with opened(journal_url) as database:
        slow, quick = (
            QueueSource(database, stream="events", holder=name, lease_seconds=seconds, poison=5)
            for name, seconds in (("slow", 0.01), ("quick", 60))
        )
        late = slow.poll(3, 0.0)
        time.sleep(0.05)
        assert [event.attempts for event in quick.poll(2, 0.0)] == [2, 2]
        with pytest.raises(LostError) as lost, database.transaction():
            slow.settle(database, late)
        assert lost.value.request_ids == {"events:1", "events:2"}
        with database.transaction():
            slow.settle(database, late[2:])
        quick.close()
        assert queue.sizes(database) == {"events": 2}
    assert stream(package, journal=journal_url) == 0
    assert set(answers(journal_url)) == {"events:1", "events:2"}


def test_an_event_that_kills_its_workers_ends_as_a_dead_letter_and_takes_no_other_with_it(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    put(url, [body(place) for place in range(3)])
    with opened(url) as database:
        for attempt in range(1, 6):  # workers that die once they hold the second event
            source = QueueSource(database, stream="events", holder=f"w{attempt}", lease_seconds=0.001, poison=5)
            while events := source.poll(10, 0.0):
                time.sleep(0.002)
                if any(event.request_id == "events:2" for event in events):
                    assert len(events) == (1 if attempt > 3 else 3)
                    break
                with database.transaction():
                    source.settle(database, events)
    assert stream(package, journal=url) == 0
    (letter,) = listed(url, capsys)
    assert (letter["position"], letter["code"]) == ("2", "poison")
    assert "6 times" in letter["reason"]


def test_the_state_of_a_key_is_carried_on_from_event_to_event_and_from_worker_to_worker(
    letters: Path, journal_url: str
) -> None:
    parts = {"one": ["abc ", "dbca", "hg"], "two": ["ab", "cd", "efgh"]}
    keys = ["one", "two", "one", "one", "two", "two"]
    sent = {key: iter(texts) for key, texts in parts.items()}
    bodies = [json.dumps({"text": next(sent[key])}).encode() for key in keys]
    put(journal_url, [*bodies[:4], b"nonsense", bodies[4], json.dumps({"text": "a"}).encode(), bodies[5]],
        keys=[*keys[:4], "one", keys[4], "", keys[5]])  # fmt: skip
    with opened(journal_url) as database, database.transaction():
        database.execute(f"UPDATE {database.table('stream_queue')} SET key = NULL WHERE number = 7")
    assert stream(letters, "--sessions", "--max-events", "3", journal=journal_url) == 0
    assert stream(letters, "--sessions", journal=journal_url) == 0
    given = answers(journal_url)
    package = Package.load(letters)
    for key, texts in parts.items():
        whole = package.predict({"text": ["".join(texts)]})["logits"][0]
        of_key = [name for name, one in zip(["1", "2", "3", "4", "6", "8"], keys, strict=True) if one == key]
        joined = np.concatenate([np.array(given[f"events:{name}"][0]["logits"]) for name in of_key])
        np.testing.assert_allclose(joined, whole, rtol=1e-4, atol=1e-5)
    with opened(journal_url) as database:
        rows = database.execute(f"SELECT key, number FROM {database.table('stream_sessions')} ORDER BY key")
        assert rows == [("one", 3), ("two", 3)]
        codes = database.execute(f"SELECT code FROM {database.table('dead_letters')} ORDER BY number")
        assert codes == [("bad_json",), ("no_key",)]


def test_what_is_journalled_leaves_out_what_is_to_be_dropped(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    put(url, [json.dumps({**ROW, "name": "Ada"}).encode(), b'{"name": "Ada", "length": "secret"}'])
    config = tmp_path / "stream.yaml"
    config.write_text(
        f"model: {{model: {package}, entity: name, digits: 3}}\nsource: queue://events\nsink: queue://answers\n"
        f"journal: {{url: '{url}', drop: [name, length]}}\n"
    )
    assert main(["stream", "-c", str(config), "--until-idle", "--idle-seconds", "0.1"]) == 0
    (one,) = predictions(url).values()
    assert b"Ada" not in one.body
    assert b"width" in one.body
    assert one.entity is None
    (letter,) = listed(url, capsys)
    assert letter["body"] is None
    assert "secret" not in letter["reason"]
    assert main(["stream", "dead-letters", "retry", "events", "--all", "--journal", url]) == 0
    assert "1 have no body" in capsys.readouterr().out
