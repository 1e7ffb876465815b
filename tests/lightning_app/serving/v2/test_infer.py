import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lightning_app.packaging import Package
from tests.lightning_app.packaging.runtime.test_node_ids import TEXTS, written
from tests.lightning_app.packaging.runtime.test_streams import stream_package
from tests.lightning_app.serving.server import RunningWorker, resolved, running_worker
from tests.lightning_app.serving.v2.infer_bodies import infer_body
from tests.packages import LABELS, small_package

X = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
TEXT = np.array([b"ab"], dtype=object)
HEADER = "Inference-Header-Content-Length"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("packages")
    return {
        "price": small_package(folder / "price"),
        "classes": small_package(folder / "classes", labels=LABELS, name="classes"),
        "text": stream_package(folder / "text"),
        "nodes": written(folder / "nodes", TEXTS),
    }


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory, packages: dict[str, Path]) -> Iterator[RunningWorker]:
    models = [resolved(path, name, version=3 if name == "classes" else None) for name, path in packages.items()]
    limits = {"body_bytes": 100_000, "rows": 100}
    with running_worker(tmp_path_factory.mktemp("worker"), models, config={"limits": limits}) as running:
        yield running


def infer(worker: RunningWorker, model: str, inputs: dict[str, Any], **fields: Any) -> httpx.Response:
    body, length = infer_body(inputs, **fields)
    headers = {} if length is None else {HEADER: length}
    return worker.client.post(f"/v2/models/{model}/infer", content=body, headers=headers)


def outputs_of(answer: httpx.Response) -> dict[str, Any]:
    """Outputs by name, JSON or binary."""
    assert answer.status_code == 200, answer.text
    length = int(answer.headers.get(HEADER, len(answer.content)))
    rest = answer.content[length:]
    outputs: dict[str, Any] = {}
    for tensor in json.loads(answer.content[:length])["outputs"]:
        if "data" in tensor:
            outputs[tensor["name"]] = np.array(tensor["data"]).reshape(tensor["shape"])
        else:
            size = tensor["parameters"]["binary_data_size"]
            content, rest = rest[:size], rest[size:]
            outputs[tensor["name"]] = (
                content if tensor["datatype"] == "BYTES" else np.frombuffer(content, "<f4").reshape(tensor["shape"])
            )
    assert not rest
    return outputs


@pytest.mark.parametrize("mode", ["binary", "flat", "nested"])
@pytest.mark.parametrize("is_binary", [True, False])
def test_tensors_are_answered_as_by_the_package(
    worker: RunningWorker, packages: dict[str, Path], mode: str, is_binary: bool
) -> None:
    answer = infer(
        worker,
        "price",
        {"features": X},
        modes={"features": mode},
        parameters={"binary_data_output": is_binary},
        id="a-1",
    )
    expected = Package.load(packages["price"]).predict({"features": X})
    assert (HEADER in answer.headers) == is_binary
    np.testing.assert_array_equal(outputs_of(answer)["price"].astype(np.float32), expected["price"])
    assert answer.headers["x-request-id"] == "a-1"
    assert answer.content.startswith(b'{"model_name":"price","id":"a-1"')


def test_the_same_row_has_the_same_answer_on_the_predict_route(worker: RunningWorker) -> None:
    by_tensor = outputs_of(infer(worker, "classes", {"features": X}))
    plain = worker.client.post("/models/classes/predict", json={"columns": {"features": X.tolist()}}).json()
    assert plain["predictions"]["label"] == by_tensor["label"].tolist()
    np.testing.assert_allclose(plain["predictions"]["probabilities"], by_tensor["probabilities"])


def test_only_what_was_asked_for_is_answered(worker: RunningWorker, packages: dict[str, Path]) -> None:
    wanted = [
        {"name": "probabilities", "parameters": {"binary_data": True, "classification": 2}},
        {"name": "label", "parameters": {"binary_data": False}},
    ]
    answer = infer(worker, "classes", {"features": X}, outputs=wanted)
    header = json.loads(answer.content[: int(answer.headers[HEADER])])
    assert header["model_version"] == "3"
    first, second = header["outputs"]
    assert [first["datatype"], first["shape"]] == ["BYTES", [3, 2]]
    expected = Package.load(packages["classes"]).predict({"features": X})
    assert second["data"] == expected["label"].tolist()
    best = int(expected["probabilities"][0].argmax())
    assert (
        f"{expected['probabilities'][0, best]:f}:{best}:{LABELS[best]}".encode() in outputs_of(answer)["probabilities"]
    )


def test_text_and_ids_are_bytes(worker: RunningWorker, packages: dict[str, Path]) -> None:
    ids = np.array([text.encode() for text in TEXTS[:3]], dtype=object)
    for mode in ("binary", "flat"):
        answer = outputs_of(infer(worker, "nodes", {"node_id": ids}, modes={"node_id": mode}))
        assert answer["node_id"].tolist() == TEXTS[:3]
    unknown = infer(worker, "nodes", {"node_id": np.array([b"nobody"], dtype=object)})
    assert unknown.status_code == 422
    assert "nobody" in unknown.json()["error"]


def test_a_stream_goes_on_from_the_state_of_its_answer(worker: RunningWorker, packages: dict[str, Path]) -> None:
    package = Package.load(packages["text"])
    first = infer(
        worker, "text", {"text": np.array([b"abc", b"cab"], dtype=object)}, parameters={"binary_data_output": True}
    )
    state = {f"state_{place}": outputs_of(first)[f"next_state_{place}"] for place in (0, 1)}
    second = outputs_of(infer(worker, "text", {"text": np.array([b"da", b"zb"], dtype=object), **state}))
    whole = package.predict({"text": ["abcda", "cabzb"]})["logits"]
    np.testing.assert_allclose(second["logits"], whole[:, 3:], rtol=1e-4, atol=1e-5)
    # z is in no vocabulary, which is said.
    noted = infer(worker, "text", {"text": np.array([b"z"], dtype=object)}).json()
    assert "not in the vocabulary" in noted["parameters"]["notes"]
    incomplete = infer(worker, "text", {"text": np.array([b"a"], dtype=object), "state_0": state["state_0"][:1]})
    assert (incomplete.status_code, incomplete.json()["error"][:18]) == (400, "state_1: not given")


def test_a_sequence_goes_on_from_start_to_end(worker: RunningWorker, packages: dict[str, Path]) -> None:
    whole = Package.load(packages["text"]).predict({"text": ["abcda"]})["logits"]

    def ask(text: bytes, request_id: str, **fields: Any) -> httpx.Response:
        more = {"sequence_id": "s-1", **fields, "binary_data_output": True}
        return infer(worker, "text", {"text": np.array([text], dtype=object)}, parameters=more, id=request_id)

    for turn in range(2):  # the second time it starts anew
        first = outputs_of(ask(b"abc", f"{turn}-first", sequence_start=True))["logits"]
        second = outputs_of(ask(b"d", f"{turn}-second"))["logits"]
        again = outputs_of(ask(b"d", f"{turn}-second"))["logits"]  # sent twice, and does not advance twice
        last = outputs_of(ask(b"a", f"{turn}-last", sequence_end=True))["logits"]
        np.testing.assert_allclose(np.concatenate([first, second, last], 1), whole, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(again, second)
        ended = ask(b"b", f"{turn}-ended")
        assert (ended.status_code, ended.json()["error"][:29]) == (422, "sequence_id: the sequence was")
    state = {f"state_{place}": np.zeros((1, 6), "f4") for place in (0, 1)}
    both = infer(worker, "text", {"text": TEXT, **state}, parameters={"sequence_id": 9, "sequence_start": True})
    assert (both.status_code, both.json()["error"][:29]) == (400, "parameters: sequence_id given")


def test_texts_of_different_lengths_are_no_tensor(worker: RunningWorker) -> None:
    answer = infer(worker, "text", {"text": np.array([b"abc", b"c"], dtype=object)})
    assert (answer.status_code, answer.json()["error"][:33]) == (400, "logits: its rows differ in size (")


REFUSED: dict[str, tuple[str, dict[str, Any], dict[str, Any], int, str]] = {
    "model": ("none", {"features": X}, {}, 404, "model: 'none' given, served are price"),
    "version": ("classes/versions/4", {"features": X}, {}, 404, "version: '4' given, classes serves version 3"),
    "no version": ("price/versions/1", {"features": X}, {}, 404, "version: '1' given, price serves one without"),
    "input": ("price", {"length": X}, {}, 400, "length: no such input, the model takes features"),
    "datatype": ("price", {"features": X.astype("f8")}, {}, 400, "features: datatype FP64 given, FP32 needed"),
    "shape": ("price", {"features": X[:, :2]}, {}, 400, "features: shape [3, 2] given, [-1, 4] needed"),
    "no rows": ("price", {"features": X[:0]}, {}, 400, "features: no rows given"),
    "rows": ("price", {"features": np.zeros((101, 4), "f4")}, {}, 413, "request: 101 rows given, at most 100"),
    "size": ("price", {"features": np.zeros((9_000, 4), "f4")}, {}, 413, "body: at most 100,000 bytes"),
    "not finite": ("price", {"features": X * np.inf}, {}, 422, "row 0: features: a number is missing or not finite"),
    "output": ("price", {"features": X}, {"outputs": [{"name": "y"}]}, 400, "y: no such output, the model answers"),
    "id": ("price", {"features": X}, {"id": "a b"}, 400, "id: 1 to 128 letters"),
    "sequence": ("price", {"features": X}, {"parameters": {"sequence_id": 1}}, 422, "sequence_id: given, but price"),
    "not started": ("text", {"text": TEXT}, {"parameters": {"sequence_id": 1}}, 422, "sequence_id: the sequence was"),
    "sequence name": ("text", {"text": TEXT}, {"parameters": {"sequence_id": "a b"}}, 400, "sequence_id: 1 to 128 "),
    "start alone": ("price", {"features": X}, {"parameters": {"sequence_start": True}}, 400, "parameters: sequence_"),
    "UTF-8": ("nodes", {"node_id": np.array([b"\xff"], dtype=object)}, {}, 400, "node_id: an element is no UTF-8 text"),
    "deadline": ("price", {"features": X}, {"parameters": {"timeout": 1}}, 504, "the deadline passed"),
}  # fmt: skip


@pytest.mark.parametrize(("model", "inputs", "fields", "status", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_does_not_fit_is_refused_in_the_form_of_the_protocol(
    worker: RunningWorker, model: str, inputs: dict[str, Any], fields: dict[str, Any], status: int, message: str
) -> None:
    answer = infer(worker, model, inputs, **fields)
    assert (answer.status_code, answer.json()["error"][: len(message)]) == (status, message), answer.text
    assert list(answer.json()) == ["error"]
    assert answer.headers["x-request-id"]


def test_a_compressed_body_is_bounded_once_it_is_decompressed(worker: RunningWorker) -> None:
    body, length = infer_body({"features": X})
    headers = {HEADER: str(length), "Content-Encoding": "gzip"}
    answer = worker.client.post("/v2/models/price/infer", content=gzip.compress(body), headers=headers)
    assert outputs_of(answer)["price"].shape == (3,)
    bomb = worker.client.post("/v2/models/price/infer", content=gzip.compress(b" " * 10**7), headers=headers)
    assert (bomb.status_code, bomb.json()["error"]) == (
        413, "body: more than 100,000 bytes once decompressed, at most 100,000 are allowed",
    )  # fmt: skip


def test_metadata_and_health(worker: RunningWorker) -> None:
    get = worker.client.get
    assert get("/v2").json()["extensions"] == ["binary_tensor_data", "classification", "sequence"]
    assert [get(f"/v2/health/{name}").status_code for name in ("live", "ready")] == [200, 200]
    classes = get("/v2/models/classes").json()
    assert get("/v2/models/classes/versions/3").json() == classes
    assert (classes["versions"], classes["inputs"]) == (
        ["3"], [{"name": "features", "datatype": "FP32", "shape": [-1, 4]}],
    )  # fmt: skip
    assert get("/v2/models/classes/ready").json() == {"name": "classes", "ready": True}
    assert get("/v2/models/classes/versions/3/ready").status_code == 200
    assert get("/v2/models/classes/versions/4/ready").json() == {
        "error": "version: '4' given, classes serves version 3"
    }  # fmt: skip
    assert get("/v2/models/none").status_code == 404


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_body_makes_the_server_fail(worker: RunningWorker, data: st.DataObject) -> None:
    tensors = {"features": X[:1], "text": np.array([b"a"], dtype=object), "state_0": np.zeros((1, 6), "f4")}
    names = data.draw(st.lists(st.sampled_from(sorted(tensors)), min_size=1, unique=True))
    modes = {name: data.draw(st.sampled_from(("binary", "flat", "nested"))) for name in names}
    body, length = infer_body({name: tensors[name] for name in names}, modes=modes)
    damaged = bytearray(body)
    for _ in range(data.draw(st.integers(0, 3))):
        start = data.draw(st.integers(0, len(damaged)))
        damaged[start : start + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    headers = {} if length is None else {HEADER: length}
    model = data.draw(st.sampled_from(("price", "classes", "text", "nodes")))
    answer = worker.client.post(f"/v2/models/{model}/infer", content=bytes(damaged), headers=headers)
    assert answer.status_code in (200, 400, 413, 422), answer.text
    assert answer.status_code == 200 or ": " in answer.json()["error"]
