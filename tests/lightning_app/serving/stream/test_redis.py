"""Streams from and to Redis: groups, entries of dead consumers, and what is delivered twice."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lightning_app.serving.stream.streaming import answers, body, count, stream
from tests.redis_server import needs_redis, redis_server

pytestmark = needs_redis


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with redis_server() as (url, _):
        yield url.rpartition("/")[0]


@pytest.fixture
def client(address: str) -> Iterator[Any]:
    import redis

    one = redis.Redis.from_url(address)
    one.flushall()
    yield one
    one.close()


def test_entries_are_answered_acknowledged_and_their_answers_added(
    address: str, client: Any, package: Path, journal_url: str
) -> None:
    entries = [client.xadd("events", {"body": body(place), "key": f"k{place}"}).decode() for place in range(3)]
    wrong = [client.xadd("events", fields).decode() for fields in ({"body": "nonsense"}, {"length": "1.5"})]
    words = ("--to", f"{address}/answers", "--dead-letters", f"{address}/dead", "--max-events", "5")
    assert stream(package, *words, journal=journal_url, source=f"{address}/events?group=g") == 0
    assert set(answers(journal_url)) == {f"events.g:{entry}" for entry in entries}
    assert client.xpending("events", "g")["pending"] == 0
    added = [fields for _, fields in client.xrange("answers")]
    assert [one[b"input-id"].decode() for one in added] == entries
    assert [one[b"key"] for one in added] == [b"k0", b"k1", b"k2"]
    assert json.loads(added[0][b"body"])["request_id"] == added[0][b"request-id"].decode() == f"events.g:{entries[0]}"
    dead = {fields[b"input-id"].decode(): fields[b"code"] for _, fields in client.xrange("dead")}
    assert dead == {wrong[0]: b"bad_json", wrong[1]: b"no_body"}
    assert count(journal_url, "outbox") == 0


def test_what_was_answered_but_not_acknowledged_is_recognised_and_what_a_dead_consumer_held_is_answered(
    address: str, client: Any, package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, source = f"sqlite:///{tmp_path}/journal.db", f"{address}/events?group=g"
    for place in range(2):
        client.xadd("events", {"body": body(place)})
    words = ("--to", f"{address}/answers", "--lease-seconds", "0.1")
    assert stream(package, *words, "--max-events", "2", journal=url, source=source) == 0
    client.xgroup_setid("events", "g", "0")  # as if the acknowledgements had never arrived
    client.xadd("events", {"body": body(2)})
    client.xreadgroup("g", "dead", {"events": ">"}, count=10)
    time.sleep(0.15)
    capsys.readouterr()
    assert stream(package, *words, "--max-events", "3", journal=url, source=source) == 0
    assert "1 events answered (1 rows), 0 dead letters, 2 had been answered before" in capsys.readouterr().out
    assert len(answers(url)) == 3
    assert Counter(fields[b"request-id"] for _, fields in client.xrange("answers")).most_common(1)[0][1] == 1
    assert client.xpending("events", "g")["pending"] == 0


def test_an_entry_that_was_delivered_too_often_is_a_dead_letter(
    address: str, client: Any, package: Path, tmp_path: Path
) -> None:
    url, source = f"sqlite:///{tmp_path}/journal.db", f"{address}/events?group=g"
    entries = [client.xadd("events", {"body": body(place)}) for place in range(2)]
    client.xgroup_create("events", "g", id="0")
    client.xreadgroup("g", "dead", {"events": ">"}, count=10)
    client.xclaim("events", "g", "dead", 0, [entries[0]], retrycount=5, idle=60_000)
    client.xclaim("events", "g", "dead", 0, [entries[1]], retrycount=1, idle=60_000)
    assert stream(package, "--max-events", "2", journal=url, source=source) == 0
    assert list(answers(url)) == [f"events.g:{entries[1].decode()}"]
    assert count(url, "dead_letters") == 1


def test_a_group_that_is_gone_is_made_anew(address: str, client: Any, package: Path, tmp_path: Path) -> None:
    url, source = f"sqlite:///{tmp_path}/journal.db", f"{address}/events?group=g"
    client.xadd("events", {"body": body(0)})
    assert stream(package, "--max-events", "1", journal=url, source=source) == 0
    client.delete("events")
    client.xadd("events", {"body": body(1)})
    assert stream(package, "--max-events", "1", journal=url, source=source) == 0
    assert len(answers(url)) == 2
