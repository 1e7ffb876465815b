"""Tests with the real gRPC client of Triton, which caps protobuf and so has an environment of its own."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightning_app.packaging import Package
from tests.lightning_app.serving.server import RunningWorker
from tests.lightning_app.serving.v2.test_triton import ROOT, X, run, triton_python  # noqa: F401
from tests.packages import LABELS


@pytest.fixture(scope="module")
def grpc_python(triton_python: str) -> str:  # noqa: F811
    """The interpreter of an environment that has the client for gRPC too."""
    if subprocess.run((triton_python, "-c", "import tritonclient.grpc"), capture_output=True, check=False).returncode:
        pytest.skip(f"tritonclient.grpc: {triton_python} -m pip install 'tritonclient[grpc]==2.73.0'")
    return triton_python


@pytest.fixture(scope="module")
def found(worker: RunningWorker, grpc_python: str) -> dict[str, Any]:
    """What the client was answered."""
    program = Path(__file__).with_name("triton_grpc_calls.py")
    answers: dict[str, Any] = json.loads(run(grpc_python, str(program), str(worker.grpc_address)))
    return answers


def test_triton_sees_server_and_models(found: dict[str, Any]) -> None:
    assert found["live"] == [True, True, True]
    assert found["server"]["name"] == "lightning-app"
    assert [tensor["name"] for tensor in found["metadata"]["inputs"]] == ["text", "state_0", "state_1"]


@pytest.mark.parametrize("way", ["raw", "compressed"])
def test_triton_is_answered_as_the_package_answers(
    found: dict[str, Any], packages: dict[str, Path], way: str
) -> None:  # fmt: skip
    dtype, shape, values = found[way]["price"]
    assert (dtype, shape) == ("float32", [3])
    expected = Package.load(packages["price"]).predict({"features": X})["price"]
    np.testing.assert_array_equal(np.array(values, dtype=np.float32), expected)
    assert found["id"] == "from-triton-grpc"


def test_triton_gets_classes_and_texts(found: dict[str, Any], packages: dict[str, Path]) -> None:
    expected = Package.load(packages["classes"]).predict({"features": X})
    assert found["classes"]["label"] == ["object", [3], expected["label"].tolist()]
    for text, row in zip(found["classification"]["probabilities"][2], expected["probabilities"], strict=True):
        assert text.split(":")[1:] == [str(row.argmax()), LABELS[row.argmax()]]
    assert found["nodes"]["node_id"] == ["object", [2], ["anna", "é"]]
    assert found["state"] < 1e-5


def test_triton_streams_in_order(found: dict[str, Any], packages: dict[str, Path]) -> None:
    assert [answer[0] for answer in found["stream"]] == [
        None if number == 2 else f"stream-triton-{number}" for number in range(5)
    ]
    assert found["stream"][2][1].startswith("model: 'none' given")
    expected = Package.load(packages["price"]).predict({"features": X * 4})["price"]
    np.testing.assert_array_equal(np.array(found["stream"][4][1], dtype=np.float32), expected)


@pytest.mark.parametrize(
    ("what", "code", "message"),
    [
        ("model", "NOT_FOUND", "model: 'none' given, served are price, classes, text, nodes"),
        ("version", "NOT_FOUND", "version: '4' given, classes serves version 3"),
        ("shape", "INVALID_ARGUMENT", "features: shape [3, 3] given, [-1, 4] needed"),
        ("datatype", "INVALID_ARGUMENT", "features: datatype INT64 given, FP32 needed"),
        ("nothing", "INVALID_ARGUMENT", "row 0: features: a number is missing or not finite"),
        ("deadline", "DEADLINE_EXCEEDED", "the deadline passed"),
        ("priority", "INVALID_ARGUMENT", "parameters: parameter 'priority' given, allowed: binary_data_output"),
        ("id", "ALREADY_EXISTS", "X-Request-Id: used for another request before"),
    ],
)
def test_triton_is_refused_in_words(found: dict[str, Any], what: str, code: str, message: str) -> None:
    status, text = found["refused"][what]
    assert (status, text[: len(message)]) == (f"StatusCode.{code}", message)


def test_the_example_of_the_documentation_runs(worker: RunningWorker, grpc_python: str) -> None:
    page = (ROOT / "docs" / "serving.md").read_text()
    examples = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (example,) = [code for code in examples if "tritonclient import grpc" in code]
    assert run(grpc_python, "-c", example.replace("localhost:8001", str(worker.grpc_address)))[:1] == "["
