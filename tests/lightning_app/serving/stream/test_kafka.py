"""Streams from and to Kafka: librdkafka's mock broker, and a real one where `LIGHTNING_APP_KAFKA` names it."""

import json
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from lightning_app.serving.stream.errors import LostError
from lightning_app.serving.stream.event import Event, Output
from lightning_app.serving.stream.sources.kafka_source import KafkaSource
from lightning_app.serving.stream.tables import offsets, outbox
from tests.lightning_app.serving.stream.broker import FAST, REAL, Broker, mock_broker, needs_kafka
from tests.lightning_app.serving.stream.streaming import answers, body, count, opened, predictions, stream, worker

pytestmark = needs_kafka


@pytest.fixture(
    scope="module",
    params=[
        "mock",
        pytest.param("real", marks=pytest.mark.skipif(not REAL, reason="LIGHTNING_APP_KAFKA names no broker")),
    ],
)
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    if request.param == "real":
        yield Broker(REAL)
        return
    with mock_broker() as one:
        yield one


def test_events_are_answered_with_their_position_and_offsets_are_in_the_journal(
    broker: Broker, package: Path, journal_url: str
) -> None:
    topic, out, dead = broker.topic(), broker.topic(), broker.topic()
    broker.produce(topic, [body(0), b"nonsense", None, body(3)], keys=["a", "b", "c", "d"], partition=1)
    ends = (
        "--name",
        "s",
        "--to",
        f"kafka://{broker.address}/{out}",
        "--dead-letters",
        f"kafka://{broker.address}/{dead}",
    )
    assert stream(package, *ends, "--max-events", "4", journal=journal_url, source=broker.source(topic)) == 0
    assert set(answers(journal_url)) == {"s:1:0", "s:1:3"}
    messages = broker.consume(out, 2)
    assert Counter(key for _, key, _ in messages) == {"a": 1, "d": 1}
    headers, _, answer = next(one for one in messages if one[1] == "d")
    assert headers["request-id"] == json.loads(answer)["request_id"] == "s:1:3"
    position = headers["input-topic"], headers["input-partition"], headers["input-offset"]
    assert position == (topic, "1", "3")
    assert headers["content-type"] == "application/json"
    assert headers["model-digest"] == json.loads(answer)["digest"]
    letters = {headers["input-offset"]: (headers["code"], value) for headers, _, value in broker.consume(dead, 2)}
    assert letters == {"1": ("bad_json", b"nonsense"), "2": ("empty", b"")}
    with opened(journal_url) as database:
        assert [one[:3] for one in offsets.listed(database) if one.next_offset > 0] == [("s", "1", 4)]
        assert {one.holder for one in offsets.listed(database)} == {None}
        assert outbox.listed(database) == {}
    broker.produce(topic, [body(4)], partition=1)
    assert stream(package, *ends, "--max-events", "1", journal=journal_url, source=broker.source(topic)) == 0
    assert "s:1:4" in answers(journal_url)
    assert len(broker.consume(out, 3)) == 3


def test_a_topic_that_was_made_anew_is_refused(
    broker: Broker, package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, topic = f"sqlite:///{tmp_path}/journal.db", broker.topic()
    with opened(url) as database, database.transaction():
        claim = offsets.claim(database, f"{topic}.g", "0", "before")
        assert offsets.advance(database, f"{topic}.g", {"0": (90, claim.fence)}) == []
        offsets.release(database, f"{topic}.g", {"0": claim.fence})
    broker.produce(topic, [body(0)], partition=0)
    assert stream(package, "--name", f"{topic}.g", journal=url, source=broker.source(topic)) == 2
    assert "was made anew; give the stream another --name" in capsys.readouterr().err


def test_a_worker_whose_partition_was_taken_commits_nothing(broker: Broker, tmp_path: Path) -> None:
    url, topic = f"sqlite:///{tmp_path}/journal.db", broker.topic()
    broker.produce(topic, [body(place) for place in range(3)], partition=2)
    with opened(url) as database:
        source = KafkaSource(
            database, brokers=broker.address, topic=topic, group=topic, stream="s", holder="slow", start="earliest",
            content_type="application/json", poison=5, queued_bytes=2**20, claim_seconds=5, settings={},
        )  # fmt: skip
        source.open()
        events: list[Event] = []
        while len(events) < 3:
            events += source.poll(10, 0.5)
        with database.transaction():
            assert offsets.claim(database, "s", "2", "quick").next_offset is None
        with pytest.raises(LostError) as lost, database.transaction():
            source.settle(database, events)
        assert lost.value.request_ids == {f"s:2:{offset}" for offset in range(3)}
        source.close()
        assert {(one.partition, one.next_offset, one.holder) for one in offsets.listed(database)} == {
            ("0", -1, None), ("1", -1, None), ("2", -1, "quick"), ("3", -1, None),
        }  # fmt: skip


def test_an_event_at_which_workers_die_is_a_dead_letter_in_the_end(
    broker: Broker, package: Path, tmp_path: Path
) -> None:
    url, topic = f"sqlite:///{tmp_path}/journal.db", broker.topic()
    broker.produce(topic, [body(place) for place in range(3)], partition=0)
    name = f"{topic}.g"
    with opened(url) as database, database.transaction():
        for attempt in range(6):
            claim = offsets.claim(database, name, "0", f"worker {attempt}")
            if not attempt:
                offsets.advance(database, name, {"0": (1, claim.fence)})
        assert claim.crashes == 4
    assert stream(package, "--name", name, "--max-events", "2", journal=url, source=broker.source(topic)) == 0
    assert list(answers(url)) == [f"{name}:0:2"]
    assert count(url, "dead_letters") == 1


def test_messages_that_a_dead_worker_left_behind_are_produced_by_who_takes_its_partition(
    broker: Broker, package: Path, tmp_path: Path
) -> None:
    url, topic, out = f"sqlite:///{tmp_path}/journal.db", broker.topic(), broker.topic()
    message = Output("left behind", "k", "application/json", {"input-offset": "7"}, b"{}")
    with opened(url) as database, database.transaction():
        outbox.write(database, f"{topic}.g", [("answers", "0", message)], holder="dead", seconds=3600)
    broker.produce(topic, [body(0)], partition=0)
    words = ("--name", f"{topic}.g", "--to", f"kafka://{broker.address}/{out}", "--max-events", "1")
    assert stream(package, *words, journal=url, source=broker.source(topic)) == 0
    assert {headers["request-id"] for headers, _, _ in broker.consume(out, 2)} == {"left behind", f"{topic}.g:0:0"}
    assert count(url, "outbox") == 0


@pytest.mark.slow
def test_kills_and_a_second_worker_leave_every_event_answered_exactly_once(
    broker: Broker, package: Path, journal_url: str, tmp_path: Path
) -> None:
    topic, out, number = broker.topic(), broker.topic(), 6000
    source, sink = broker.source(topic), f"kafka://{broker.address}/{out}"
    keys = [f"k{place % 50}" for place in range(number)]
    broker.produce(topic, [body(place) for place in range(number)], keys=keys)
    words = ("--to", sink, *FAST, "--batch", "64", "--lease-seconds", "3")
    for least in (1, 1500, 3000):
        with worker(package, *words, journal=journal_url, source=source, folder=tmp_path) as process:
            wait_for(journal_url, least)
            process.send_signal(signal.SIGKILL)
    with (
        worker(package, *words, journal=journal_url, source=source, folder=tmp_path) as first,
        worker(package, *words, journal=journal_url, source=source, folder=tmp_path) as second,
    ):
        wait_for(journal_url, number)
        first.send_signal(signal.SIGTERM)
        assert first.wait(30) == 0
        broker.produce(topic, [body(0)] * 40)
        wait_for(journal_url, number + 40)
        second.send_signal(signal.SIGTERM)
        assert second.wait(30) == 0
    given = predictions(journal_url)
    assert len(given) == number + 40
    produced = Counter(headers["request-id"] for headers, _, _ in broker.consume(out, number + 40))
    assert produced.keys() == given.keys()
    assert sum(produced.values()) <= number + 40 + 4 * 64 * 3  # a kill repeats what was under way, under the same ids
    assert count(journal_url, "outbox") == 0


def wait_for(url: str, number: int) -> None:
    """Waits until the journal has so many predictions."""
    end = time.monotonic() + 90
    while time.monotonic() < end:
        if count(url, "predictions") >= number:
            return
        time.sleep(0.05)
    raise AssertionError(f"{count(url, 'predictions')} predictions, {number} needed")
