"""Answers of shadows and counts of arms: written beside the answers, in time, and not at any price."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from lightning_app.__main__ import main
from lightning_app.serving.config.serve_config import JournalConfig
from lightning_app.serving.experiments.store import ArmCounts, ExperimentStore
from lightning_app.serving.journal.arm_count import ArmCount
from lightning_app.serving.journal.health import JournalHealth
from lightning_app.serving.journal.maintenance import JournalMaintenance
from lightning_app.serving.journal.record import Prediction, Shadow
from lightning_app.serving.journal.stores import open_database, open_reader, open_store
from lightning_app.serving.journal.stores.side_tables import add_counts, add_shadows
from lightning_app.serving.journal.writer import JournalWriter
from tests.lightning_app.serving.journal.records import outcome, prediction, shadow


def write(config: JournalConfig, work: Callable[[JournalWriter], Coroutine[Any, Any, None]]) -> JournalHealth:
    """What a writer says of itself after it was closed."""

    async def whole() -> JournalHealth:
        writer = JournalWriter(config)
        await writer.start()
        try:
            await work(writer)
        finally:
            await writer.close()
        return writer.health()

    return asyncio.run(whole())


def held(url: str, *ids: str) -> dict[str, Shadow]:
    with closing(open_reader(url)) as reader:
        return reader.shadows(ids)


def count(experiment: str = "prices", **fields: Any) -> ArmCount:
    defaults: dict[str, Any] = {
        "time": time.time(), "experiment": experiment, "worker": "w", "arm": "a", "version": 3, "probability": 0.5,
        "requests": 1, "failures": 0, "degraded": 0, "latencies": [1],
    }  # fmt: skip
    return ArmCount(**defaults | fields)


def test_shadows_and_counts_are_in_the_journal_when_the_writer_is_closed(url: str) -> None:
    answers = [shadow(f"r{number}", version=None) for number in range(200)]
    failed = shadow("failed", None, error="ValueError: no")

    async def work(writer: JournalWriter) -> None:
        await writer.commit([prediction("r0")])
        for one in (*answers, failed, shadow("bad", model="\ud800")):
            writer.shadow(one)
        writer.counts([count(), count(arm="b", requests=7)])
        writer.counts([count(requests=4)])

    health = write(JournalConfig(url=url), work)
    assert (health.shadows, health.lost_shadows) == (201, 1)
    assert held(url, "r0", "r199", "failed", "none") == {"r0": answers[0], "r199": answers[199], "failed": failed}
    totals = ArmCounts(open_database(url)).totals("prices")
    assert {key: total.requests for key, total in totals.items()} == {("a", 0.5): 5, ("b", 0.5): 7}


def test_while_the_journal_is_down_counts_are_summed_up_and_shadows_wait_or_are_counted(tmp_path: Path) -> None:
    (tmp_path / "db").mkdir()
    url = f"sqlite:///{tmp_path}/db/journal.db"

    async def work(writer: JournalWriter) -> None:
        await writer.commit([prediction()])
        (tmp_path / "db").rename(tmp_path / "away")
        for _ in range(400):
            writer.counts([count()])
        for number in range(5000):
            writer.shadow(shadow(f"r{number}"))
        assert writer.health().lost_shadows == 5000 - 4096
        await asyncio.sleep(0.6)
        (tmp_path / "away").rename(tmp_path / "db")

    assert write(JournalConfig(url=url), work).shadows == 4096
    database = open_database(url)
    assert ArmCounts(database).totals("prices")["a", 0.5].requests == 400
    assert database.execute("SELECT count(*) FROM arm_counts") == [(1,)]


def test_what_could_not_be_written_until_the_end_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "db").mkdir()

    async def work(writer: JournalWriter) -> None:
        (tmp_path / "db").rename(tmp_path / "away")
        writer.counts([count(requests=3)])
        writer.shadow(shadow("a"))

    health = write(JournalConfig(url=f"sqlite:///{tmp_path}/db/journal.db"), work)
    assert (health.shadows, health.lost_shadows) == (0, 1)
    assert "not journalled: counts of 3 requests, and 1 answers of shadows" in caplog.text


def test_columns_that_are_dropped_or_hashed_are_in_no_answer_of_a_shadow(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    content = b'{"notes":["city Bern is new"],"predictions":[{"city":"Bern","name":"Ann","y":2}]}'

    async def work(writer: JournalWriter) -> None:
        writer.shadow(shadow("json", content))
        writer.shadow(shadow("unknown", b"Bern", answer_type="application/octet-stream"))
        writer.shadow(shadow("failed", None, error="ValueError: city: 'Bern' is not known"))

    write(JournalConfig(url=url, drop=["city"], hash=["name"]), work)
    shadows = held(url, "json", "unknown", "failed")
    (row,) = msgspec.json.decode(shadows["json"].answer or b"")["predictions"]
    assert (sorted(row), len(row["name"])) == (["name", "y"], 32)
    assert shadows["unknown"].answer == b""
    for file in tmp_path.glob("journal.db*"):
        assert b"Bern" not in file.read_bytes()
        assert b"Ann" not in file.read_bytes()


def test_requests_that_are_not_sampled_have_no_shadow(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    ids = [f"r{number}" for number in range(200)]

    async def work(writer: JournalWriter) -> None:
        await writer.commit([prediction(one) for one in ids])
        for one in ids:
            writer.shadow(shadow(one))

    health = write(JournalConfig(url=url, sample=0.5), work)
    assert 0 < health.shadows == health.written < 200
    assert health.lost_shadows == 0


def fill(url: str) -> None:
    """Requests in an experiment, some of them with answers of shadows."""

    def answered(request_id: str, num_rows: int = 1, **fields: Any) -> Prediction:
        return prediction(
            request_id, body=msgspec.json.encode({"records": [{"age": 41}] * num_rows}), num_rows=num_rows,
            answer=msgspec.json.encode({"predictions": [{"y": row} for row in range(num_rows)]}), **fields,
        )  # fmt: skip

    store = open_store(url)
    store.write(
        [
            answered("a", experiment="prices", arm="b"), answered("two", 2, degraded="breaker"),
            answered("failed"), answered("none"),
        ]
    )  # fmt: skip
    store.feedback([outcome("two", b"7", row=1)])
    two = b'{"predictions":[{"y":5},{"y":6}]}'
    add_shadows(
        open_database(url),
        [shadow("a", b'{"predictions":[{"y":0}]}', version=9), shadow("a"), shadow("two", two), shadow("elsewhere"),
         shadow("failed", None, error="ValueError: no")],
    )  # fmt: skip


def test_an_export_shows_what_shadows_answered_beside_the_answers(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    fill(url)
    assert main(["journal", "export", url, "--output", "rows.parquet", "--with-shadows"]) == 0
    assert "left out: 1 requests that no shadow was asked" in capsys.readouterr().err
    rows = pl.read_parquet("rows.parquet")
    columns = [
        "request_id",
        "prediction.y",
        "shadow.y",
        "shadow_version",
        "shadow_latency_ms",
        "shadow_error",
        "outcome",
    ]
    assert rows.select(columns).rows() == [
        ("a", 0, 2, 4, 2.5, None, None),
        ("two", 0, 5, 4, 2.5, None, None),
        ("two", 1, 6, 4, 2.5, None, 7),
        ("failed", 0, None, 4, 2.5, "ValueError: no", None),
    ]
    assert rows.select("arm", "experiment", "degraded").rows()[:2] == [
        ("b", "prices", None), ("champion", None, "breaker"),
    ]  # fmt: skip
    assert main(["journal", "export", url, "--output", "plain.parquet"]) == 0
    assert not [name for name in pl.read_parquet_schema("plain.parquet") if name.startswith("shadow")]


def test_show_counts_arms_degraded_answers_and_shadows(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    fill(url)
    assert main(["journal", "show", url, "--json"]) == 0
    days = {day["arm"]: day for day in msgspec.json.decode(capsys.readouterr().out)["days"]}
    assert [days["b"][name] for name in ("experiment", "predictions", "degraded", "shadows")] == ["prices", 1, 0, 1]
    names = ("experiment", "predictions", "rows", "outcomes", "degraded", "shadows")
    assert [days["champion"][name] for name in names] == [None, 3, 4, 1, 1, 2]
    assert main(["journal", "show", url]) == 0
    assert "prices" in capsys.readouterr().out


def test_pruning_deletes_shadows_and_counts_of_experiments_that_have_ended(url: str) -> None:
    database = open_database(url)
    experiments = ExperimentStore(database)
    for name in ("ended", "running"):
        experiments.create(name, model="churn", kind="split", spec={}, state={})
    ended = experiments.get("ended")
    assert ended is not None
    assert experiments.update(ended, state={}, status="stopped")
    old = time.time() - 1000
    add_counts(database, [count(name, time=old) for name in ("ended", "running")])
    add_shadows(database, [shadow(f"old{number}", time=old) for number in range(1200)])
    add_shadows(database, [shadow("new")])
    maintenance = JournalMaintenance(
        JournalConfig(url=url, retention_days=500 / 86_400), tidy_seconds=0.01, prune_seconds=0.02
    )
    maintenance.start()
    try:
        shadows = f"SELECT request_id FROM {database.table('shadows')}"
        end = time.monotonic() + 20
        while database.execute(shadows) != [("new",)] or ArmCounts(database).totals("ended"):
            assert time.monotonic() < end
            time.sleep(0.02)
    finally:
        maintenance.stop()
    assert ArmCounts(database).totals("running")["a", 0.5].requests == 1
    assert maintenance.last_error is None
