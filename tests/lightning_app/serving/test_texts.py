"""A package of texts on a server: every protocol answers raw texts as the package does, and the journal has them."""

import io
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars as pl
import pytest

from lightning_app.__main__ import main
from lightning_app.packaging import Package
from tests.lightning_app.serving.grpc.grpc_calls import calls_of, infer_request
from tests.lightning_app.serving.server import running_worker
from tests.lightning_app.serving.v2.infer_bodies import infer_body
from tests.packages import reviews, text_package

LONG = "a film " * 30


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return text_package(tmp_path_factory.mktemp("texts") / "package")


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    return tmp_path_factory.mktemp("journal") / "journal.db"


@pytest.fixture(scope="module")
def worker(tmp_path_factory, package, journal):
    config = {"grpc_port": 0, "journal": {"url": f"sqlite:///{journal}"}}
    with running_worker(tmp_path_factory.mktemp("worker"), [("reviews", package)], config=config) as running:
        yield running


@pytest.fixture(scope="module")
def table():
    return reviews(40).drop_nulls()


@pytest.fixture(scope="module")
def expected(package, table):
    with pytest.warns(UserWarning, match="more than 12 tokens"):
        return np.stack(Package.load(package).predict(table)["probabilities"])


def test_records_columns_and_single_rows_have_the_same_answer(worker, table, expected):
    records = {"records": table.to_dicts()}
    columns = {"columns": table.to_dict(as_series=False)}
    for body in (records, columns):
        answer = worker.client.post("/models/reviews/predict", json=body)
        predictions = answer.json()["predictions"]
        if body is records:
            predictions = {name: [row[name] for row in predictions] for name in predictions[0]}
        assert set(predictions["label"]) <= {"bad", "good"}
        np.testing.assert_allclose(predictions["probabilities"], expected, atol=1e-5)
    for row in (0, 5):
        alone = worker.client.post("/models/reviews/predict", json={"records": [table.row(row, named=True)]}).json()
        np.testing.assert_allclose(alone["predictions"][0]["probabilities"], expected[row], atol=1e-5)


def test_cut_and_missing_texts_are_said(worker):
    records = [{"title": None, "review": LONG, "age": 3}, {"title": None, "review": "", "age": None}]
    answer = worker.client.post("/models/reviews/predict", json={"records": records}).json()
    assert answer["notes"] == [
        "body: 1 rows have more than 12 tokens: answered from the first 12",
        "body: 1 rows have no text: answered as an empty one",
    ]


def test_a_table_as_a_body_is_answered_with_a_table(worker, table, expected):
    body = io.BytesIO()
    table.write_parquet(body)
    headers = {"content-type": "application/vnd.apache.parquet"}
    answer = worker.client.post("/models/reviews/predict", content=body.getvalue(), headers=headers)
    assert answer.status_code == 200, answer.text
    probabilities = pl.read_parquet(io.BytesIO(answer.content))["probabilities"]
    np.testing.assert_allclose(np.stack(probabilities), expected, atol=1e-5)
    assert "more than 12 tokens" in answer.headers["x-notes"]


@pytest.mark.parametrize("mode", ["binary", "flat"])
def test_tensors_of_texts_are_answered(worker, table, expected, mode):
    metadata = worker.client.get("/v2/models/reviews").json()
    assert [tensor["datatype"] for tensor in metadata["inputs"]] == ["BYTES", "BYTES", "INT64"]
    inputs = {
        "title": np.array([text.encode() for text in table["title"]], dtype=object),
        "review": np.array([text.encode() for text in table["review"]], dtype=object),
        "age": table["age"].to_numpy(),
    }
    body, length = infer_body(inputs, modes=dict.fromkeys(inputs, mode))
    headers = {} if length is None else {"Inference-Header-Content-Length": length}
    answer = worker.client.post("/v2/models/reviews/infer", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    outputs = {tensor["name"]: tensor for tensor in answer.json()["outputs"]}
    assert set(outputs["label"]["data"]) <= {"bad", "good"}
    np.testing.assert_allclose(np.reshape(outputs["probabilities"]["data"], (-1, 2)), expected, atol=1e-5)
    assert "more than 12 tokens" in answer.json()["parameters"]["notes"]


def test_tokens_are_taken_where_a_client_has_them(worker):
    ids = np.array([[2, 5, 3], [2, 6, 3]])
    inputs = {"token_ids": ids, "attention_mask": np.ones_like(ids), "numbers": np.ones((2, 1), dtype=np.float32)}
    inputs["missing"] = np.zeros((2, 1), dtype=bool)
    body, length = infer_body(inputs)
    headers = {"Inference-Header-Content-Length": length} if length is not None else {}
    assert worker.client.post("/v2/models/reviews/infer", content=body, headers=headers).status_code == 200
    missing, length = infer_body({"token_ids": ids})
    headers = {"Inference-Header-Content-Length": length} if length is not None else {}
    refused = worker.client.post("/v2/models/reviews/infer", content=missing, headers=headers)
    assert refused.status_code == 400
    assert "attention_mask" in refused.json()["error"] or "numbers" in refused.json()["error"]


def test_the_example_of_the_page_is_a_text(worker):
    schema = worker.client.get("/openapi.json").json()
    content = schema["paths"]["/models/reviews/predict"]["post"]["requestBody"]["content"]["application/json"]
    example = json.dumps(content.get("example") or content.get("examples"))
    assert "title" in example
    assert "film" in example or "dress" in example or "story" in example or "acting" in example, example


def test_the_journal_exports_the_texts(worker, journal, tmp_path):
    worker.client.post("/models/reviews/predict", json={"records": [{"title": "t", "review": "a film", "age": 9}]})
    out = tmp_path / "rows.parquet"
    assert main(["journal", "export", f"sqlite:///{journal}", "--output", str(out)]) == 0
    rows = pl.read_parquet(out)
    assert "a film" in rows["review"].to_list()
    assert "prediction.label" in rows.columns


def test_texts_are_answered_over_grpc(worker, table, expected):
    inputs = {name: np.array([text.encode() for text in table[name]], dtype=object) for name in ("title", "review")} | {
        "age": table["age"].to_numpy()
    }
    with calls_of(worker) as calls:
        response, _ = calls.infer(infer_request("reviews", inputs))
    outputs = dict(zip((output.name for output in response.outputs), response.raw_output_contents, strict=True))
    np.testing.assert_allclose(np.frombuffer(outputs["probabilities"], "f4").reshape(-1, 2), expected, atol=1e-5)


def test_requests_of_different_lengths_share_calls(worker, table, expected):
    def ask(row):
        body = {"records": [table.row(row, named=True)]}
        return worker.client.post("/models/reviews/predict", json=body).json()["predictions"][0]["probabilities"]

    rows = [row % len(table) for row in range(60)]
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(ask, rows))
    np.testing.assert_allclose(answers, expected[rows], atol=1e-5)
