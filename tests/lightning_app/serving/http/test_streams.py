"""Recurrent models over HTTP: chunks with the state of a session, or given back, are answered as the whole."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightning_app.packaging import Package
from lightning_app.serving.config.control_channel import Load, Loaded
from tests.lightning_app.packaging.runtime.test_streams import stream_package
from tests.lightning_app.serving.server import RunningWorker, resolved, running_worker
from tests.packages import COLUMNS, small_package

TEXTS = ["abc dbca", "hgfe zza"]
ROW = dict.fromkeys(COLUMNS, 0.5)


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("packages")
    return {"lstm": stream_package(folder / "lstm"), "mlp": small_package(folder / "mlp")}


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory, packages: dict[str, Path]) -> Iterator[RunningWorker]:
    with running_worker(tmp_path_factory.mktemp("worker"), list(packages.items())) as running:
        yield running


@pytest.fixture(scope="module")
def whole(packages: dict[str, Path]) -> np.ndarray:
    logits: np.ndarray = Package.load(packages["lstm"]).predict({"text": TEXTS})["logits"]
    return logits


def ask(worker: RunningWorker, texts: list[str], query: str, **body: Any) -> dict[str, Any]:
    answer = worker.client.post(f"/predict?{query}", json={"columns": {"text": texts}, **body})
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    return content


def chunks(size: int) -> list[list[str]]:
    return [[text[start : start + size] for text in TEXTS] for start in range(0, len(TEXTS[0]), size)]


def test_chunks_of_a_session_are_answered_as_the_whole(worker: RunningWorker, whole: np.ndarray) -> None:
    answers = [ask(worker, chunk, "session=one") for chunk in chunks(3)]
    assert all("state" not in answer for answer in answers)
    joined = np.concatenate([answer["predictions"]["logits"] for answer in answers], axis=1)
    np.testing.assert_allclose(joined, whole, rtol=1e-5, atol=1e-5)


def test_sessions_are_counted(worker: RunningWorker) -> None:
    ask(worker, chunks(3)[0], "session=counted")
    end = time.monotonic() + 10
    while not re.search(r'lightning_app_sessions\{model="lstm"\} [1-9]', worker.client.get("/metrics").text):
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_state_that_is_given_back_continues_the_stream(worker: RunningWorker, whole: np.ndarray) -> None:
    parts: list[Any] = []
    body: dict[str, Any] = {}
    for chunk in chunks(4):
        answer = ask(worker, chunk, "return_state=true", **body)
        parts.append(answer["predictions"]["logits"])
        body = {"state": answer["state"]}
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, rtol=1e-5, atol=1e-5)


def test_a_repeated_request_does_not_advance_its_session(worker: RunningWorker, whole: np.ndarray) -> None:
    first, second = chunks(4)
    ask(worker, first, "session=again")
    body = {"columns": {"text": second}}
    for _ in range(3):
        answer = worker.client.post("/predict?session=again", json=body, headers={"X-Request-Id": "mine"}).json()
        np.testing.assert_allclose(answer["predictions"]["logits"], whole[:, 4:], rtol=1e-5, atol=1e-5)


def test_sessions_survive_a_reload_of_the_same_version(worker: RunningWorker, packages: dict[str, Path]) -> None:
    first, second = chunks(4)
    ask(worker, first, "session=reloaded")
    models = [resolved(packages["lstm"], "lstm", version=2), resolved(packages["mlp"], "mlp")]
    worker.command(Load(models=models))
    assert isinstance(worker.event(), Loaded)
    answer = ask(worker, second, "session=reloaded&return_state=true")
    assert answer["version"] == 2
    forgotten = ask(worker, second, "")["predictions"]["logits"]
    assert np.abs(np.subtract(answer["predictions"]["logits"], forgotten)).max() > 1e-2


@pytest.mark.parametrize(
    ("model", "query", "body", "field"),
    [
        ("mlp", "session=x", {"records": [ROW]}, "session"),
        ("mlp", "return_state=true", {"records": [ROW]}, "return_state"),
        ("mlp", "", {"records": [ROW], "state": "abc"}, "state"),
        ("lstm", "", {"records": [{"text": "abc"}], "state": "abc"}, "state"),
        ("lstm", "session=x", {"records": [{"text": "abc"}], "state": "abc"}, "state"),
        ("lstm", "session=two", {"records": [{"text": "abc"}]}, "session"),
    ],
)
def test_state_that_does_not_fit_is_refused(
    worker: RunningWorker, model: str, query: str, body: dict[str, Any], field: str
) -> None:
    if query == "session=two":
        ask(worker, TEXTS, query)
    answer = worker.client.post(f"/models/{model}/predict?{query}", json=body)
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, field), answer.text


def test_a_session_of_another_version_is_refused_by_name(tmp_path: Path) -> None:
    one, two = (
        resolved(stream_package(tmp_path / str(seed), seed=seed), "lstm", version=seed + 1) for seed in range(2)
    )
    with running_worker(tmp_path / "worker", [one]) as worker:
        ask(worker, TEXTS, "session=s")
        state = ask(worker, TEXTS, "return_state=true")["state"]
        worker.command(Load(models=[two]))
        assert isinstance(worker.event(), Loaded)
        body = {"columns": {"text": TEXTS}}
        answer = worker.client.post("/predict?session=s", json=body)
        assert answer.status_code == 409
        assert "session: s belongs to version 1 of lstm" in answer.json()["error"]["message"]
        answer = worker.client.post("/predict", json={**body, "state": state})
        assert (answer.status_code, answer.json()["error"]["field"]) == (422, "state")
        ask(worker, TEXTS, "session=t")


def test_a_request_that_is_not_journalled_does_not_advance_its_session(
    tmp_path: Path, packages: dict[str, Path], whole: np.ndarray
) -> None:
    (tmp_path / "db").mkdir()
    config = {"journal": {"url": f"sqlite:///{tmp_path}/db/journal.db"}}
    with running_worker(tmp_path / "worker", [("lstm", packages["lstm"])], config=config) as worker:
        parts = []
        for chunk in chunks(3):
            (tmp_path / "db").rename(tmp_path / "away")
            refused = worker.client.post("/predict?session=s", json={"columns": {"text": chunk}})
            assert refused.status_code == 503
            (tmp_path / "away").rename(tmp_path / "db")
            end = time.monotonic() + 20
            while worker.client.get("/health/ready").json()["journal"]["state"] != "up":
                assert time.monotonic() < end
                time.sleep(0.05)
            parts.append(ask(worker, chunk, "session=s")["predictions"]["logits"])
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, rtol=1e-5, atol=1e-5)
