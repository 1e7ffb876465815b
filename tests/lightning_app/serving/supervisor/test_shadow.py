"""Shadows: a second model answers the same requests for the journal alone."""

import re
from pathlib import Path

import httpx
import msgspec
import pytest
import yaml

from lightning_app.packaging import Package
from lightning_app.serving.journal.stores.open_store import open_reader
from tests.lightning_app.serving.supervisor.conftest import price_of
from tests.lightning_app.serving.supervisor.running_server import RECORDS, ROW, running_server
from tests.packages import small_package

NUM_REQUESTS = 40


def serve(shadow: Path, sample: float = 1.0) -> None:
    model = {"model": "packages/first", "name": "price", "shadow": {"model": str(shadow), "sample": sample}}
    content = {"models": [model], "workers": 1, "journal": {"url": "sqlite:///journal.db"}}
    Path("server.yaml").write_text(yaml.safe_dump(content))


def metric(server, name: str, **labels: str) -> float:
    pattern = re.compile(rf"^{name}_total{{(.*)}} (\S+)$", re.MULTILINE)
    for found, value in pattern.findall(httpx.get(f"{server.address}/metrics").text):
        if all(f'{label}="{text}"' in found for label, text in labels.items()):
            return float(value)
    return 0.0


@pytest.fixture
def first(tmp_path: Path) -> Path:
    return small_package(tmp_path / "packages" / "first", seed=1)


def test_a_shadow_answers_beside_the_model_is_journalled_and_compared(first: Path, tmp_path: Path) -> None:
    second = small_package(tmp_path / "packages" / "second", seed=2, noise=1.0)
    serve(second)
    prices = [price_of(Package.load(path)) for path in (first, second)]
    assert prices[1] != pytest.approx(prices[0], rel=0.05)
    ids = []
    with running_server("--config", "server.yaml") as server, httpx.Client(base_url=server.address) as client:
        for _ in range(NUM_REQUESTS):
            answer = client.post("/predict", json=RECORDS)
            ids.append(answer.headers["x-request-id"])
            assert answer.json()["predictions"] == [{"price": pytest.approx(prices[0])}]
            assert answer.headers["x-arm"] == "champion"
        features = {"name": "features", "shape": [1, len(ROW)], "datatype": "FP32", "data": list(ROW.values())}
        answer = client.post("/v2/models/price/infer", json={"inputs": [features]})
        ids.append(answer.headers["x-request-id"])
        server.wait_for(lambda: metric(server, "lightning_app_shadow_requests", result="answered") == NUM_REQUESTS + 1)
        assert metric(server, "lightning_app_shadow_rows", agrees="no") == NUM_REQUESTS + 1
        (model,) = server.get("/page/data")["models"]
        assert model["shadow"] == {"version": None, "digest": Package.load(second).digest, "requests": 41, "failed": 0,
                                   "left_out": 0, "stateful": 0, "rows": 41, "agreement": 0.0}  # fmt: skip
        assert client.post("/predict", json={"records": [ROW] * 9000}).status_code == 200  # prepared in a thread
        server.wait_for(lambda: metric(server, "lightning_app_shadow_requests", result="answered") == NUM_REQUESTS + 2)
        assert server.stop() == 0
    reader = open_reader("sqlite:///journal.db")
    shadows = reader.shadows(ids)
    assert set(shadows) == set(ids)
    answers = [msgspec.json.decode(shadows[each].answer) for each in ids[:-1]]
    assert all(answer["predictions"] == [{"price": pytest.approx(prices[1])}] for answer in answers)
    assert msgspec.json.decode(shadows[ids[-1]].answer)["outputs"][0]["data"] == [pytest.approx(prices[1])]
    assert sum(count.predictions for count in reader.day_counts()) == NUM_REQUESTS + 2


def test_a_shadow_that_does_not_fit_changes_no_answer_and_says_so(first: Path, tmp_path: Path) -> None:
    other = small_package(tmp_path / "packages" / "other", columns=("length", "width", "depth"), seed=2)
    serve(other)
    with running_server("--config", "server.yaml") as server:
        for _ in range(3):
            server.predict(ROW)
        server.wait_for(lambda: metric(server, "lightning_app_shadow_requests", result="failed") == 3)
        assert server.errors.count("the shadow of price does not answer: ") == 1
        assert server.stop() == 0


def test_the_same_version_as_shadow_agrees_and_a_sample_is_a_sample(first: Path) -> None:
    serve(first, sample=0.5)
    with running_server("--config", "server.yaml") as server:
        for _ in range(100):
            server.predict(ROW)
        server.wait_for(lambda: metric(server, "lightning_app_shadow_rows", agrees="yes") > 20)
        assert metric(server, "lightning_app_shadow_requests", result="answered") < 80
        assert metric(server, "lightning_app_shadow_rows", agrees="no") == 0
