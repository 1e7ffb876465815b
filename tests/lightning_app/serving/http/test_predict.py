"""Predictions over HTTP."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from features.pipeline import AskedRows
from lightning_app.packaging import Package
from tests.lightning_app.packaging.runtime.test_feature_records import ROW, summing
from tests.lightning_app.serving.model_packages import LOOK_BACK, series_package
from tests.lightning_app.serving.server import RunningWorker, running_worker
from tests.packages import COLUMNS, LABELS, small_package

ROWS = [{"length": 1.0, "width": 2.0, "height": -0.5, "weight": 0.25}, dict.fromkeys(COLUMNS, 0.5)]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("packages")
    return {
        "mlp": small_package(folder / "mlp"),
        "classes": small_package(folder / "classes", labels=LABELS, name="classes"),
        "load": series_package(folder / "load"),
        "day": summing(folder / "day", rows=AskedRows(time="when")).path,
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


def test_keys_that_some_records_do_not_have_are_noted(worker: RunningWorker) -> None:
    rows: list[dict[str, object]] = [
        {"time": f"2024-01-{1 + hour // 24:02}T{hour % 24:02}:00", "load": 50.0 + hour} for hour in range(LOOK_BACK)
    ]
    del rows[3]["load"]
    noted = worker.client.post("/models/load/predict", json={"records": rows}).json()["notes"]
    assert noted[0] == "records: keys that are not in all of 48 rows are missing values there: load in 1"


@pytest.mark.parametrize("num_rows", [1, 300])
def test_columns_that_features_do_not_read_are_noted(worker: RunningWorker, num_rows: int) -> None:
    rows = [{**ROW, "prices": 2.5}] * num_rows
    answer = worker.client.post("/models/day/predict", json={"records": rows})
    assert answer.json()["notes"] == ["columns not read: prices"]
    assert worker.client.post("/models/day/predict", json={"records": [ROW] * num_rows}).json()["notes"] == []


def test_a_column_of_texts_and_numbers_is_refused_with_both_rows(worker: RunningWorker) -> None:
    columns = {"time": ["2024-01-01"] * 3, "load": [None, 1.5, "much"]}
    refused = worker.client.post("/models/load/predict", json={"columns": columns})
    assert refused.status_code == 422
    message = "load: row 1 holds the number 1.5, row 2 the text 'much'; write all values of a column as one type"
    assert refused.json()["error"]["message"] == message


def test_a_large_request_and_its_large_answer_are_those_of_the_package(tmp_path: Path) -> None:
    folder = small_package(tmp_path / "wide", labels=[f"class {number}" for number in range(60)])
    rows = np.random.default_rng(0).standard_normal((10_000, len(COLUMNS))).round(3)
    columns = {name: rows[:, place].tolist() for place, name in enumerate(COLUMNS)}
    with running_worker(tmp_path / "w", [("wide", folder)]) as running:
        answer = running.client.post("/predict", json={"columns": columns}).json()["predictions"]
    expected = Package.load(folder).predict(columns)
    assert answer["label"] == expected["label"].tolist()
    np.testing.assert_allclose(answer["probabilities"], expected["probabilities"], rtol=1e-6)
