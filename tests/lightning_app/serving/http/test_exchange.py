"""Answers are journalled before they are sent, once per request id; feedback; cache; entity keys."""

import io
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.lightning_app.serving.server import RunningWorker, running_worker
from tests.packages import COLUMNS, LABELS, small_package

ROW = dict.fromkeys(COLUMNS, 0.5)


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorker]:
    folder = tmp_path_factory.mktemp("exchange")
    small = small_package(folder / "p", labels=LABELS)
    journal = {"journal": {"url": f"sqlite:///{folder}/journal.db"}}
    model = {"cache": 2, "entity": "customer", "digits": 3}
    with running_worker(folder / "w", [("m", small)], config=journal, model_config=model) as running:
        yield running


def rows_of(worker: RunningWorker, query: str) -> list[Any]:
    return sqlite3.connect(worker.folder.parent / "journal.db").execute(query).fetchall()


def ask(worker: RunningWorker, request_id: str, row: dict[str, Any], **more: Any) -> Any:
    content = {"records": [{"customer": "c1", **row}]}
    return worker.client.post("/predict", json=content, headers={"x-request-id": request_id, **more})


def test_an_answer_is_in_the_journal_as_it_was_sent(worker: RunningWorker) -> None:
    answer = ask(worker, "a-1", ROW)
    assert answer.status_code == 200, answer.text
    query = "select answer, entity, model, arm, probability, num_rows from journal where request_id = 'a-1'"
    assert rows_of(worker, query) == [(answer.text, "c1", "m", "champion", 1.0, 1)]


def test_outcomes_are_counted(worker: RunningWorker) -> None:
    ask(worker, "h-1", ROW)
    for body in ({"outcome": 1}, {"outcome": 1}, {"outcome": 2}):
        worker.client.post("/feedback", json={"request_id": "h-1", **body})
    metrics = worker.client.get("/metrics").text
    for status in ("stored", "same", "conflict"):
        assert f'lightning_app_feedback_total{{status="{status}"}}' in metrics


def test_commits_are_measured(worker: RunningWorker) -> None:
    ask(worker, "g-1", ROW)
    metrics = worker.client.get("/metrics").text
    (count,) = re.findall(r"lightning_app_journal_commit_seconds_count (.*)", metrics)
    assert float(count) >= 1
    assert "lightning_app_journal_up 1.0" in metrics


def test_a_retried_request_has_the_answer_of_then_and_is_written_once(worker: RunningWorker) -> None:
    first, second = ask(worker, "b-1", ROW), ask(worker, "b-1", ROW)
    assert second.content == first.content
    assert second.headers["x-answered-before"] == "true"
    assert rows_of(worker, "select count(*) from predictions where request_id = 'b-1'") == [(1,)]
    other = ask(worker, "b-1", {**ROW, "length": 1.0})
    assert (other.status_code, other.json()["error"]["code"]) == (409, "request_id_used")


def test_numbers_have_the_configured_digits(worker: RunningWorker) -> None:
    numbers = ask(worker, "c-1", ROW).json()["predictions"][0]["probabilities"]
    assert numbers == [float(f"{number:.3g}") for number in numbers]


def test_numbers_of_a_table_have_the_configured_digits_in_lists_too(worker: RunningWorker) -> None:
    table = io.BytesIO()
    pl.DataFrame([{"customer": "c1", **ROW}]).write_ipc_stream(table)
    headers = {"content-type": "application/vnd.apache.arrow.stream", "accept": "application/json"}
    answer = worker.client.post("/predict", content=table.getvalue(), headers=headers)
    (row,) = answer.json()["predictions"]
    numbers = [row["probability"], *row["probabilities"]]
    assert numbers == [float(f"{number:.3g}") for number in numbers]


def test_the_same_content_is_answered_from_the_cache_and_journalled(worker: RunningWorker) -> None:
    ask(worker, "d-1", {**ROW, "width": 3.0})
    ask(worker, "d-2", {**ROW, "width": 3.0})
    metrics = worker.client.get("/metrics").text
    assert 'lightning_app_cache_requests_total{model="m",result="hit"}' in metrics
    assert rows_of(worker, "select count(*) from predictions where request_id like 'd-%'") == [(2,)]


def test_the_key_of_the_entity_is_needed_and_not_read_by_the_model(worker: RunningWorker) -> None:
    refused = worker.client.post("/predict", json={"records": [ROW]})
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "customer")


@pytest.mark.parametrize("key", [None, float("nan")])
def test_a_missing_entity_is_journalled_as_missing(worker: RunningWorker, key: float | None) -> None:
    table = io.BytesIO()
    pl.DataFrame([{"customer": key, **ROW}]).write_ipc_stream(table)
    headers = {"content-type": "application/vnd.apache.arrow.stream", "x-request-id": f"n-{key}"}
    assert worker.client.post("/predict", content=table.getvalue(), headers=headers).status_code == 200
    assert rows_of(worker, f"select entity from journal where request_id = 'n-{key}'") == [(None,)]


def test_feedback_is_stored_at_most_once(worker: RunningWorker) -> None:
    ask(worker, "e-1", ROW)

    def feedback(**content: Any) -> Any:
        return worker.client.post("/feedback", json=content)

    first = feedback(request_id="e-1", outcome="low", reward=1.0)
    assert first.json() == {"stored": True, "prediction_known": True, "status": "stored"}, first.text
    assert feedback(request_id="e-1", outcome="low", reward=1.0).json()["stored"] is False
    assert feedback(request_id="e-1", outcome="high").status_code == 409
    late = feedback(request_id="unknown-1", outcome=3.5)
    assert (late.status_code, late.json()["prediction_known"]) == (200, False)


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({}, "request_id"),
        ({"request_id": "x"}, "outcome"),
        ({"request_id": "x y", "outcome": 1}, "request_id"),
        ({"request_id": "x", "outcome": {"a": 1}}, "outcome"),
        ({"request_id": "x", "row": -1, "outcome": 1}, "row"),
        ({"request_id": "x", "reward": "1"}, "reward"),
        ({"request_id": "x", "outcomes": 1}, "outcomes"),
    ],
)
def test_bad_feedback_is_refused_with_its_field(worker: RunningWorker, content: Any, field: str) -> None:
    answer = worker.client.post("/feedback", json=content)
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, field), answer.text


def test_a_journal_that_is_down_answers_503(tmp_path: Path) -> None:
    small = small_package(tmp_path / "p")
    file = tmp_path / "journal.db"
    with running_worker(tmp_path / "w", [("m", small)], config={"journal": {"url": f"sqlite:///{file}"}}) as running:
        assert running.client.post("/predict", json={"records": [ROW]}).status_code == 200
        other = sqlite3.connect(file)
        other.execute("BEGIN IMMEDIATE")  # a program that holds the lock
        answer = running.client.post("/predict", json={"records": [ROW]})
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "journal_down")
        assert answer.headers["retry-after"] == "1"
        ready = running.client.get("/health/ready")
        assert (ready.status_code, ready.json()["status"]) == (503, "journal down")


def test_a_tensor_is_left_out_of_the_journal_for_one_column_that_is_to_be_dropped(tmp_path: Path) -> None:
    journal = {"url": f"sqlite:///{tmp_path}/journal.db", "drop": ["weight"]}
    with running_worker(tmp_path / "w", [("m", small_package(tmp_path / "p"))], config={"journal": journal}) as running:
        for content in ({"columns": {"features": [[1, 2, 3, 4.75]]}}, {"records": [{**ROW, "weight": 4.75}]}):
            assert running.client.post("/predict", json=content).status_code == 200
    written = sqlite3.connect(tmp_path / "journal.db").execute("select body from journal").fetchall()
    assert len(written) == 2
    assert "4.75" not in str(written)
    assert "0.5" in str(written)
