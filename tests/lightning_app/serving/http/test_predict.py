"""Predictions over HTTP."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lightning_app.packaging import Package
from tests.lightning_app.serving.server import RunningWorker, running_worker
from tests.packages import COLUMNS, LABELS, small_package

ROWS = [{"length": 1.0, "width": 2.0, "height": -0.5, "weight": 0.25}, dict.fromkeys(COLUMNS, 0.5)]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("packages")
    return {
        "mlp": small_package(folder / "mlp"),
        "classes": small_package(folder / "classes", labels=LABELS, name="classes"),
    }


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory, packages: dict[str, Path]) -> Iterator[RunningWorker]:
    with running_worker(tmp_path_factory.mktemp("worker"), list(packages.items())) as running:
        yield running


def test_records_are_answered_as_by_the_package(worker: RunningWorker, packages: dict[str, Path]) -> None:
    answer = worker.client.post("/predict", json={"records": ROWS})
    assert answer.status_code == 200, answer.text
    content = answer.json()
    package = Package.load(packages["mlp"])
    expected = package.predict({name: [row[name] for row in ROWS] for name in COLUMNS})
    (name,) = expected
    np.testing.assert_allclose([row[name] for row in content["predictions"]], expected[name], rtol=1e-6)
    assert content["digest"] == package.digest == answer.headers["x-model-digest"]
    assert content["model"] == "mlp"
    assert content["request_id"] == answer.headers["x-request-id"]


def test_columns_and_tables_are_answered_in_their_own_form(worker: RunningWorker) -> None:
    records = worker.client.post("/models/classes/predict", json={"records": ROWS}).json()["predictions"]
    columns = {name: [row[name] for row in ROWS] for name in COLUMNS}
    answer = worker.client.post("/models/classes/predict", json={"columns": columns}).json()["predictions"]
    assert answer["label"] == [row["label"] for row in records]
    table = pl.DataFrame(columns)
    for media_type, write, read in (
        ("application/vnd.apache.arrow.stream", table.write_ipc_stream, pl.read_ipc_stream),
        ("application/vnd.apache.arrow.file", table.write_ipc, pl.read_ipc),
        ("application/vnd.apache.parquet", table.write_parquet, pl.read_parquet),
    ):
        file = io.BytesIO()
        write(file)
        binary = worker.client.post(
            "/models/classes/predict", content=file.getvalue(), headers={"content-type": media_type}
        )
        assert binary.headers["content-type"] == media_type, binary.text
        found = read(io.BytesIO(binary.content))
        assert found["label"].to_list() == answer["label"]
        np.testing.assert_allclose(found["probability"], answer["probability"], rtol=1e-6)


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"{", 400, "body"),
        (b"[]", 400, "body"),
        (b'{"records": [{"length": NaN}]}', 400, "body"),
        (b'{"records": [{"length": 1e999}]}', 400, "body"),
        (b'{"records": [], "records": []}', 400, "records"),
        (b'{"records": [{"length" :1,"length":2}]}', 400, "length"),
        (b"[" * 100_000, 400, "body"),
        (b'{"rows": []}', 422, "rows"),
        (b'{"records": []}', 422, "records"),
        (b'{"records": [1]}', 422, "records[0]"),
        (b'{"columns": {"length": [1], "width": [1, 2]}}', 422, "width"),
        (b'{"columns": {"length": [{"a": 1}]}}', 422, "length"),
        (b'{"records": [{"length": 1}]}', 422, "features"),
        (b'{"records": [{"length": 1, "width": 1, "height": 1, "weight": null}]}', 422, "features"),
        (b'{"records": [{"length": 1, "width": 1, "height": 1, "weight": "x"}]}', 422, "weight"),
        (b'{"records": [{"length": 1, "width": 1, "height": 1, "weight": 99999999999999999999999}]}', 422, "weight"),
    ],
)
def test_a_malformed_body_is_refused_with_its_field(
    worker: RunningWorker, body: bytes, status: int, field: str
) -> None:
    answer = worker.client.post("/predict", content=body, headers={"content-type": "application/json"})
    error = answer.json()["error"]
    assert (answer.status_code, error["field"]) == (status, field), error


def test_what_is_not_served_is_refused(worker: RunningWorker) -> None:
    assert worker.client.post("/models/none/predict", json={}).json()["error"]["code"] == "no_such_model"
    assert worker.client.get("/nowhere").json()["error"]["code"] == "no_such_route"
    assert worker.client.get("/predict").status_code in (404, 405)
    refused = worker.client.post("/predict", content=b"a,b", headers={"content-type": "text/csv"})
    assert (refused.status_code, refused.json()["error"]["field"]) == (415, "Content-Type")
