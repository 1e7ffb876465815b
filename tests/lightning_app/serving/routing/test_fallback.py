"""Models that fail, hang or are down: what answers in their place, and what the answer and the journal say."""

import io
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl
import pytest

from lightning_app.packaging import Package
from lightning_app.serving.config.control_channel import ResolvedModel
from lightning_app.serving.http.bodies import ARROW_STREAM
from lightning_app.serving.journal.stores import open_reader
from lightning_app.serving.journal.stores.protocol import Selection
from tests.lightning_app.serving.model_packages import looping_package
from tests.lightning_app.serving.server import RunningWorker, resolved, running_worker
from tests.packages import small_package

FINE, ENDLESS = {"a": 1.0, "b": 2.0}, {"a": 5000.0, "b": 0.0}
DEADLINE_MS = 2000
REASONS = ("hang", "deadline", "breaker")
"""Of a request that hangs: which comes first depends on how busy the machine is."""
GAUGE = 'lightning_app_breaker_state{arm="champion",model="sum",version="3"}'


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("fallback")
    return {
        "sum": looping_package(folder / "sum"),
        "other": small_package(folder / "other", columns=("a", "b")),
        "unlike": small_package(folder / "unlike"),
    }


def arm(package: Path, name: str, version: int | None = None) -> ResolvedModel:
    return ResolvedModel(
        name="sum", reference=str(package), version=version, digest=resolved(package, "x").digest, path=str(package),
        arm=name,
    )  # fmt: skip


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory, packages: dict[str, Path]) -> Iterator[RunningWorker]:
    """A model that loops on some requests; behind it one of other columns, one of the same, and a constant."""
    folder = tmp_path_factory.mktemp("w")
    arms = [
        arm(packages["sum"], "champion", 3),
        arm(packages["unlike"], "fallback-1"),
        arm(packages["other"], "fallback-2", 2),
    ]
    model = {
        "fallback": [
            {"model": str(packages["unlike"])}, {"model": str(packages["other"])}, {"constant": {"price": 7.5}}
        ],
        "deadline_ms": DEADLINE_MS,
        "breaker": {"min_requests": 8, "open_seconds": 1, "window_seconds": 3},
    }  # fmt: skip
    config = {"journal": {"url": f"sqlite:///{folder / 'journal.db'}"}}
    with running_worker(folder / "w", arms, config=config, model_config=model) as running:
        yield running


def ask(worker: RunningWorker, row: Mapping[str, float], **headers: str) -> httpx.Response:
    return worker.client.post("/predict", json={"records": [row]}, headers=headers)


def journalled(worker: RunningWorker, request_id: str) -> Any:
    reader = open_reader(f"sqlite:///{worker.folder.parent / 'journal.db'}")
    rows = [one for part in reader.predictions(Selection()) for one in part]
    return next(one for one in rows if one.request_id == request_id)


def close(worker: RunningWorker) -> None:
    """Asks until the breaker is closed."""
    end = time.monotonic() + 20
    while "degraded" in ask(worker, FINE).json():
        assert time.monotonic() < end
        time.sleep(0.1)
    for _ in range(4):
        ask(worker, FINE)
    time.sleep(3.1)  # the window


def test_a_request_that_the_model_hangs_on_is_answered_by_the_next_one_that_it_fits(
    worker: RunningWorker, packages: dict[str, Path]
) -> None:
    assert "degraded" not in ask(worker, FINE).json()
    begin = time.monotonic()
    response = ask(worker, ENDLESS)
    assert time.monotonic() - begin < DEADLINE_MS / 1000
    answer = response.json()
    assert response.status_code == 200, answer
    assert (answer["degraded"], answer["arm"], answer["version"]) == ("hang", "champion", 2)
    assert response.headers["x-degraded"] == "hang"
    assert answer["notes"] == ["degraded (hang): version 2 answered in place of the model"]
    expected = Package.load(packages["other"]).predict({name: [value] for name, value in ENDLESS.items()})["price"]
    assert answer["predictions"][0]["price"] == pytest.approx(float(expected[0]), rel=1e-5)
    row = journalled(worker, answer["request_id"])
    assert (row.degraded, row.arm, row.version, row.probability) == ("hang", "champion", 2, 1.0)
    assert row.digest == answer["digest"]
    metrics = worker.client.get("/metrics").text
    assert 'lightning_app_degraded_total{arm="champion",model="sum",reason="hang"} 1.0' in metrics
    assert 'lightning_app_hanging_calls_total{model="sum",version="3"} 1.0' in metrics


def test_degraded_answers_say_so_in_every_form(worker: RunningWorker) -> None:
    table = io.BytesIO()
    pl.DataFrame([ENDLESS], schema={"a": pl.Float32, "b": pl.Float32}).write_ipc_stream(table)
    arrow = worker.client.post("/predict", content=table.getvalue(), headers={"Content-Type": ARROW_STREAM})
    assert (reason := arrow.headers["x-degraded"]) in REASONS
    assert json.loads(arrow.headers["x-notes"]) == [f"degraded ({reason}): version 2 answered in place of the model"]
    assert pl.read_ipc_stream(io.BytesIO(arrow.content)).columns == ["price"]
    inputs = [{"name": "features", "datatype": "FP32", "shape": [1, 2], "data": [5000.0, 0.0]}]
    infer = worker.client.post("/v2/models/sum/infer", json={"inputs": inputs}).json()
    assert infer["parameters"]["degraded"] in REASONS
    assert infer["model_version"] == "2"
    pinned = worker.client.post("/v2/models/sum/versions/3/infer", json={"inputs": inputs}).json()
    assert pinned["parameters"]["degraded"] in REASONS
    assert "model_version" not in pinned  # version 2 was not asked for: the constant
    assert pinned["outputs"][0]["data"] == [7.5]


def test_a_repeated_request_gets_the_answer_of_then(worker: RunningWorker) -> None:
    first = ask(worker, ENDLESS, **{"X-Request-Id": "once"})
    again = ask(worker, ENDLESS, **{"X-Request-Id": "once"})
    assert again.content == first.content
    assert again.headers["x-answered-before"] == "true"
    assert again.json()["degraded"] == first.json()["degraded"]
    assert again.headers["x-degraded"] == first.headers["x-degraded"]  # a table says it nowhere else


def test_errors_of_clients_never_fall_back(worker: RunningWorker) -> None:
    wrong = ask(worker, {"a": 1.0, "c": 2.0})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (422, "bad_request")
    for _ in range(10):
        ask(worker, ENDLESS)
    assert ask(worker, {"a": 1.0, "c": 2.0}).status_code == 422  # no constant while the breaker is open


def test_the_breaker_opens_answers_at_once_and_closes_again(worker: RunningWorker) -> None:
    close(worker)
    for _ in range(12):
        assert ask(worker, ENDLESS).json()["degraded"] in REASONS
    answer = ask(worker, FINE).json()
    assert answer["degraded"] == "breaker"  # also what it could answer
    begin = time.monotonic()
    for _ in range(20):
        assert ask(worker, ENDLESS).status_code == 200
    assert (time.monotonic() - begin) / 20 < 0.1
    detail = worker.client.get("/health/ready").json()["models"]["sum"]
    assert detail["breakers"]["champion"]["state"] == "open"
    assert detail["breakers"]["champion"]["reason"]
    assert (
        'lightning_app_breaker_state{arm="champion",model="sum",version="3"} 2.0' in worker.client.get("/metrics").text
    )
    problems = worker.client.get("/page/data").json()["problems"]
    assert any(problem.startswith("sum: champion is not asked: ") for problem in problems), problems
    close(worker)
    assert ask(worker, FINE).json()["version"] == 3
    assert (
        'lightning_app_breaker_state{arm="champion",model="sum",version="3"} 0.0' in worker.client.get("/metrics").text
    )


def test_a_short_deadline_of_a_client_is_kept_and_opens_no_breaker(worker: RunningWorker) -> None:
    close(worker)
    for _ in range(20):
        begin = time.monotonic()
        response = ask(worker, ENDLESS, **{"X-Deadline-Ms": "60"})
        assert response.status_code in (200, 504)
        assert time.monotonic() - begin < 1.5
    state = worker.client.get("/health/ready").json()["models"]["sum"]["breakers"]["champion"]["state"]
    assert state in ("closed", "open")
    np.testing.assert_allclose(ask(worker, FINE).json()["predictions"][0]["price"], 3.0)
