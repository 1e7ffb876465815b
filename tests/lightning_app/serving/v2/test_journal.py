"""Requests of the protocol are journalled like all others, and can be exported and redacted."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lightning_app.__main__ import main
from lightning_app.packaging import Package
from tests.lightning_app.packaging.runtime.test_node_ids import TEXTS, written
from tests.lightning_app.serving.server import RunningWorker, running_worker
from tests.lightning_app.serving.v2.test_infer import HEADER, X, infer
from tests.packages import LABELS, small_package


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_package(tmp_path_factory.mktemp("packages") / "classes", labels=LABELS)


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory, classes: Path) -> Iterator[RunningWorker]:
    folder = tmp_path_factory.mktemp("v2")
    journal = {"journal": {"url": f"sqlite:///{folder}/journal.db"}}
    with running_worker(folder / "w", [("m", classes)], config=journal, model_config={"entity": "customer"}) as running:
        yield running


def keys(*values: str) -> np.ndarray:
    return np.array([value.encode() for value in values], dtype=object)


@pytest.mark.parametrize("is_binary", [True, False])
def test_a_retried_request_has_the_answer_of_then(worker: RunningWorker, is_binary: bool) -> None:
    request: dict[str, Any] = {"features": X, "customer": keys("a", "b", "c")}
    more: dict[str, Any] = {"id": f"twice-{is_binary}", "parameters": {"binary_data_output": is_binary}}
    first, second = infer(worker, "m", request, **more), infer(worker, "m", request, **more)
    assert first.status_code == 200, first.text
    assert second.content == first.content
    assert second.headers["x-answered-before"] == "true"
    for name in (HEADER, "Content-Type"):
        assert second.headers.get(name) == first.headers.get(name)
    other = infer(worker, "m", {**request, "features": X + 1}, **more)
    assert (other.status_code, other.json()["error"][:20]) == (409, "X-Request-Id: used f")


def test_the_key_of_the_entity_is_a_tensor(worker: RunningWorker) -> None:
    infer(worker, "m", {"features": X, "customer": keys("anna", "anna", "anna")}, id="of-anna")
    rows = sqlite3.connect(worker.folder.parent / "journal.db").execute(
        "select entity, num_rows from journal where request_id = 'of-anna'"
    )
    assert rows.fetchall() == [("anna", 3)]
    refused = infer(worker, "m", {"features": X, "customer": np.zeros((3, 1), dtype=np.int64)})
    assert refused.json()["error"] == "customer: one key per row needed, BYTES or whole numbers of shape [-1]"


def test_an_export_holds_what_was_asked_and_answered(worker: RunningWorker, classes: Path, tmp_path: Path) -> None:
    expected = Package.load(classes).predict({"features": X})
    request: dict[str, Any] = {"features": X, "customer": keys("a", "b", "c")}
    for mode in ("binary", "nested"):
        more: dict[str, Any] = {"id": f"export-{mode}", "parameters": {"binary_data_output": mode == "binary"}}
        infer(worker, "m", request, modes=dict.fromkeys(request, mode), **more)
    output = tmp_path / "rows.parquet"
    assert main(["journal", "export", f"sqlite:///{worker.folder.parent}/journal.db", "--output", str(output)]) == 0
    table = pl.read_parquet(output)
    for mode in ("binary", "nested"):
        rows = table.filter(pl.col("request_id") == f"export-{mode}")
        np.testing.assert_array_equal(np.stack(rows["features"].to_list()).astype(np.float32), X)
        assert rows["prediction.label"].to_list() == expected["label"].tolist()


def test_dropped_and_hashed_tensors_are_not_in_the_journal(tmp_path: Path) -> None:
    nodes = written(tmp_path / "nodes", TEXTS)
    journal = {"journal": {"url": f"sqlite:///{tmp_path}/journal.db", "hash": ["node_id"]}}
    with running_worker(tmp_path / "w", [("nodes", nodes)], config=journal) as worker:
        for mode in ("binary", "flat"):
            for is_binary in (True, False):
                more: dict[str, Any] = {"parameters": {"binary_data_output": is_binary}}
                answer = infer(worker, "nodes", {"node_id": keys("anna")}, modes={"node_id": mode}, **more)
                assert answer.status_code == 200
    content = b"".join(path.read_bytes() for path in tmp_path.glob("journal.db*"))
    assert b"anna" not in content
    assert b"predictions" in content
