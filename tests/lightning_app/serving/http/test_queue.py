"""Requests that cannot be answered in time are refused, and the server goes on."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lightning_app.serving.server import RunningWorker, running_worker
from tests.packages import COLUMNS, small_package

RECORDS = {"records": [dict.fromkeys(COLUMNS, 0.5)]}


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorker]:
    """A server whose only place in the queue is taken for a second by each request."""
    folder = tmp_path_factory.mktemp("queue")
    model = {"queue": 1, "batching": {"max_rows": 64, "window_ms": 1000}, "deadline_ms": 5000}
    with running_worker(folder / "w", [("m", small_package(folder / "p"))], model_config=model) as running:
        yield running


def test_a_full_queue_is_503_with_retry_after(worker: RunningWorker) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: worker.client.post("/predict", json=RECORDS), range(8)))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses[0] == 200
    assert statuses[-1] == 503
    refused = next(answer for answer in answers if answer.status_code == 503)
    assert refused.json()["error"]["code"] == "busy"
    assert refused.headers["retry-after"] == "1"
    assert worker.client.post("/predict", json=RECORDS).status_code == 200  # its place is free again


def test_a_passed_deadline_is_504_and_frees_the_place(worker: RunningWorker) -> None:
    begin = time.monotonic()
    late = worker.client.post("/predict", json=RECORDS, headers={"X-Deadline-Ms": "50"})
    assert (late.status_code, late.json()["error"]["code"]) == (504, "deadline")
    assert time.monotonic() - begin < 1.0
    assert worker.client.post("/predict", json=RECORDS).status_code == 200
