"""The OpenAPI document: valid, strict, and true to what the models answer."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import schemathesis

from tests.lightning_app.serving.model_packages import model_packages
from tests.lightning_app.serving.server import RunningWorker, running_worker


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorker]:
    packages = model_packages(tmp_path_factory.mktemp("packages"))
    with running_worker(tmp_path_factory.mktemp("worker"), list(packages.items())) as running:
        yield running


@pytest.fixture(scope="module")
def document(worker: RunningWorker) -> dict[str, Any]:
    return worker.client.get("/openapi.json").json()


def test_the_document_is_valid_and_has_every_model(document: dict[str, Any]) -> None:
    schema = schemathesis.openapi.from_dict(document)
    schema.validate()
    assert document["openapi"].startswith("3.1")
    assert {"/predict", "/feedback", "/models", "/metrics", "/health/live", "/health/ready"} <= set(document["paths"])
    assert {f"/models/{name}/predict" for name in ("prices", "sizes", "load", "letters")} <= set(document["paths"])


@pytest.mark.parametrize("name", ["prices", "sizes", "load", "letters"])
def test_an_example_is_answered_as_its_schema_says(worker: RunningWorker, document: dict[str, Any], name: str) -> None:
    content = document["paths"][f"/models/{name}/predict"]["post"]["requestBody"]["content"]["application/json"]
    schemas = document["components"]["schemas"]
    jsonschema_rs.validate(schemas[f"{name}.request"], content["example"])
    answer = worker.client.post(f"/models/{name}/predict", json=content["example"])
    assert answer.status_code == 200, answer.text
    jsonschema_rs.validate(schemas[f"{name}.answer"], answer.json())


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("prices", {"records": [{"length": 1, "width": 1, "height": 1}]}),
        ("prices", {"records": [{"length": 1, "width": 1, "height": 1, "weight": 1, "colour": 1}]}),
        ("prices", {"records": [{"length": 1, "width": 1, "height": 1, "weight": "1"}]}),
        ("prices", {"records": [{"features": [1, 2, 3]}]}),
        ("prices", {"records": []}),
        ("prices", {"rows": [{"length": 1, "width": 1, "height": 1, "weight": 1}]}),
        ("load", {"records": [{"past": [[1.0]]}]}),
        ("load", {"columns": {"time": ["2024-01-01"], "load": ["high"]}}),
        ("letters", {"records": [{"text": ""}]}),
        ("letters", {"records": [{"tokens": [99]}]}),
    ],
)
def test_what_the_schema_forbids_is_refused_with_the_documented_error(
    worker: RunningWorker, document: dict[str, Any], name: str, body: dict[str, Any]
) -> None:
    schemas = document["components"]["schemas"]
    assert not jsonschema_rs.is_valid(schemas[f"{name}.request"], body)
    answer = worker.client.post(f"/models/{name}/predict", json=body)
    assert answer.status_code in (400, 422), answer.text
    jsonschema_rs.validate(schemas["Error"], answer.json())
    assert answer.json()["error"]["field"]


def test_raw_columns_have_their_units_and_roles(document: dict[str, Any]) -> None:
    form = document["components"]["schemas"]["load.request"]["oneOf"][0]
    raw = form["properties"]["records"]["anyOf"][0]["items"]
    assert raw["required"] == ["time", "load"]
    assert raw["properties"]["load"] == {"type": ["number", "null"], "description": "target, MW"}


def test_a_changed_sample_file_is_not_shown(tmp_path: Path) -> None:
    packages = model_packages(tmp_path)
    with running_worker(tmp_path / "worker", [("prices", packages["prices"])]) as worker:
        golden = packages["prices"] / "golden.json"
        golden.write_bytes(golden.read_bytes().replace(b"request", b"changed"))
        document = worker.client.get("/openapi.json").json()
    assert "example" not in document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]


def test_whole_and_broken_numbers_in_one_column_are_numbers(worker: RunningWorker, document: dict[str, Any]) -> None:
    content = document["paths"]["/models/load/predict"]["post"]["requestBody"]["content"]["application/json"]
    records = [
        {**row, "load": 50 if place % 2 else row["load"]} for place, row in enumerate(content["example"]["records"])
    ]
    records[0]["load"] = 50
    answer = worker.client.post("/models/load/predict", json={"records": records})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("host", ["[", "a b", "<script>", "x" * 300, "[::1]:80", "example.org"])
def test_any_host_is_written_as_text_or_not_at_all(worker: RunningWorker, host: str) -> None:
    page = worker.client.get("/docs", headers={"host": host})
    assert page.status_code == 200
    assert (f"http://{host}/models" in page.text) == (host in ("[::1]:80", "example.org"))
    assert "<script>" not in page.text


def test_files_outside_of_the_page_are_not_given(worker: RunningWorker) -> None:
    for name in ("..%2fpage_routes.py", "%2e%2e/page_routes.py", ".hidden", "page_routes.py", "none.js"):
        assert worker.client.get(f"/page/{name}").status_code == 404
