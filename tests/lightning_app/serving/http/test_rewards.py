"""Rewards over HTTP: out of range, too late, of rows that were not asked, twice, or of unknown requests."""

import re
import sqlite3
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lightning_app.serving.server import RunningWorker, running_worker
from tests.packages import COLUMNS, small_package

ROW = dict.fromkeys(COLUMNS, 0.5)
REWARD = {"kind": "continuous", "low": -1, "high": 2.5, "within_seconds": 1.0}


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorker]:
    folder = tmp_path_factory.mktemp("rewards")
    small = small_package(folder / "p")
    journal = {"journal": {"url": f"sqlite:///{folder}/journal.db"}}
    model = {"canary": {"reward": REWARD}}
    with running_worker(folder / "w", [("m", small)], config=journal, model_config=model) as running:
        yield running


def ask(worker: RunningWorker, request_id: str, num_rows: int = 1) -> None:
    answer = worker.client.post("/predict", json={"records": [ROW] * num_rows}, headers={"x-request-id": request_id})
    assert answer.status_code == 200


def feedback(worker: RunningWorker, request_id: str, **content: Any) -> Any:
    return worker.client.post("/feedback", json={"request_id": request_id, **content})


def stored(worker: RunningWorker, request_id: str) -> list[Any]:
    query = "SELECT row, reward FROM outcomes WHERE request_id = ? ORDER BY row"
    return sqlite3.connect(worker.folder.parent / "journal.db").execute(query, (request_id,)).fetchall()


@pytest.mark.parametrize("reward", [2.6, -1.01, 3e9])
def test_a_reward_out_of_range_is_refused_with_the_bounds(worker: RunningWorker, reward: float) -> None:
    ask(worker, f"range{reward:.2f}")
    answer = feedback(worker, f"range{reward:.2f}", reward=reward, outcome=1)
    error = answer.json()["error"]
    assert (answer.status_code, error["field"]) == (422, "reward")
    assert error["message"] == f"reward: {reward:g} given, of model m a number from -1 to 2.5 is needed"
    assert stored(worker, f"range{reward:.2f}") == []
    assert feedback(worker, f"range{reward:.2f}", reward=2.5).json()["status"] == "stored"


def test_a_reward_that_comes_too_late_is_kept_and_said_not_to_be_counted(worker: RunningWorker) -> None:
    ask(worker, "late")
    ask(worker, "outcome-alone")
    time.sleep(1.1)
    assert feedback(worker, "late", reward=1).json() == {
        "stored": True,
        "prediction_known": True,
        "status": "expired",
        "note": "reward: it came too late, and is kept, but not counted",
    }
    assert stored(worker, "late") == [(0, 1.0)]
    assert feedback(worker, "late", reward=1).json()["status"] == "same"
    assert feedback(worker, "late", reward=2).status_code == 409
    assert feedback(worker, "outcome-alone", outcome=3).json()["status"] == "stored"


def test_a_reward_of_a_row_that_was_not_asked_is_refused(worker: RunningWorker) -> None:
    ask(worker, "rows", num_rows=2)
    assert [feedback(worker, "rows", row=row, reward=1).status_code for row in (0, 1, 2)] == [200, 200, 422]
    error = feedback(worker, "rows", row=2, reward=1).json()["error"]
    assert (error["field"], error["message"]) == ("row", "row: 2 given, the request has rows 0 to 1")
    assert stored(worker, "rows") == [(0, 1.0), (1, 1.0)]
    assert feedback(worker, "rows", row=0, reward=1).json()["status"] == "same"
    assert feedback(worker, "unknown", row=7, reward=99).json()["status"] == "unknown"


def test_what_was_done_with_rewards_is_counted(worker: RunningWorker) -> None:
    ask(worker, "counted")
    before = counted(worker)
    feedback(worker, "counted", reward=7)
    feedback(worker, "counted", reward=1, row=3)
    time.sleep(1.1)
    feedback(worker, "counted", reward=1)
    now = counted(worker)
    for status in ("out_of_range", "no_such_row", "expired"):
        assert now[status] == before.get(status, 0) + 1


def counted(worker: RunningWorker) -> dict[str, float]:
    text = worker.client.get("/metrics").text
    return {one: float(count) for one, count in re.findall(r'feedback_total{status="(.*)"} (.*)', text)}
