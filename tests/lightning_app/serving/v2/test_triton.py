"""Tests with the real client of Triton, which caps ml-dtypes and protobuf and so has an environment of its own."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightning_app.packaging import Package
from tests.lightning_app.serving.server import RunningWorker
from tests.lightning_app.serving.v2.test_infer import packages, worker  # noqa: F401
from tests.packages import LABELS

ROOT = Path(__file__).resolve().parents[4]
PEER = ROOT / ".peer" / "triton" / "bin" / "python"
X = np.arange(12, dtype=np.float32).reshape(3, 4) / 10


@pytest.fixture(scope="module")
def triton_python() -> str:
    """The interpreter of an environment that has the client."""
    python = Path(os.environ.get("LIGHTNING_APP_TRITON_PYTHON", PEER))
    if not python.exists():
        pytest.skip(
            "tritonclient needs an environment of its own: python -m venv .peer/triton && .peer/triton/bin/pip install "
            "'tritonclient[http,grpc]==2.73.0', or set LIGHTNING_APP_TRITON_PYTHON to the interpreter of another"
        )
    return str(python)


def run(*words: str) -> str:
    """What a program prints."""
    environment = {**os.environ, "PYTHONPATH": ""}
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def found(worker: RunningWorker, triton_python: str) -> dict[str, Any]:  # noqa: F811
    """What the client was answered."""
    program = Path(__file__).with_name("triton_calls.py")
    answers: dict[str, Any] = json.loads(run(triton_python, str(program), worker.address.removeprefix("http://")))
    return answers


def test_triton_sees_server_and_models(found: dict[str, Any]) -> None:
    assert found["live"] == [True, True, True]
    assert found["versions"] == [True, False]
    assert found["server"]["name"] == "lightning-app"
    assert [tensor["name"] for tensor in found["metadata"]["inputs"]] == ["text", "state_0", "state_1"]


@pytest.mark.parametrize("way", ["binary", "json", "compressed", "deflated"])
def test_triton_is_answered_as_the_package_answers(
    found: dict[str, Any], packages: dict[str, Path], way: str  # noqa: F811
) -> None:  # fmt: skip
    dtype, shape, values = found[way]["price"]
    assert (dtype, shape) == ("float32", [3])
    expected = Package.load(packages["price"]).predict({"features": X})["price"]
    np.testing.assert_array_equal(np.array(values, dtype=np.float32), expected)


def test_triton_gets_its_id_back_and_may_ask_without_waiting(found: dict[str, Any]) -> None:
    assert found["id"] == "from-triton"
    assert found["async"] == [found["binary"]] * 4


def test_triton_gets_classes_by_name(found: dict[str, Any], packages: dict[str, Path]) -> None:  # noqa: F811
    expected = Package.load(packages["classes"]).predict({"features": X})
    assert found["classes"]["label"] == ["object", [3], expected["label"].tolist()]
    assert found["classes"]["probabilities"][1] == [3, 3]
    np.testing.assert_allclose(found["classes"]["probability"][2], expected["probability"], rtol=1e-6)
    for text, row in zip(found["classification"]["probabilities"][2], expected["probabilities"], strict=True):
        value, index, name = text.split(":")
        assert (int(index), name) == (row.argmax(), LABELS[row.argmax()])
        assert float(value) == pytest.approx(row.max(), abs=1e-6)


def test_triton_asks_by_text_and_id(found: dict[str, Any]) -> None:
    for mode in (True, False):
        assert found[f"nodes, binary {mode}"]["node_id"] == ["object", [2], ["anna", "é"]]


def test_triton_goes_on_with_a_stream(found: dict[str, Any]) -> None:
    assert found["stream"] < 1e-5


@pytest.mark.parametrize(
    ("what", "status", "message"),
    [
        ("model", "404", "model: 'none' given, served are price, classes, text, nodes"),
        ("version", "404", "version: '4' given, classes serves version 3"),
        ("shape", "400", "features: shape [3, 3] given, [-1, 4] needed"),
        ("datatype", "400", "features: datatype INT64 given, FP32 needed"),
        ("name", "400", "x: no such input, the model takes features"),
        ("output", "400", "y: no such output, the model answers price"),
        ("nothing", "422", "row 0: features: a number is missing or not finite"),
        ("priority", "400", "parameters: parameter 'priority' given, allowed: binary_data_output"),
    ],
)
def test_triton_is_refused_in_words(found: dict[str, Any], what: str, status: str, message: str) -> None:
    assert [found["refused"][what][0], found["refused"][what][1][: len(message)]] == [status, message]


def test_the_example_of_the_documentation_runs(worker: RunningWorker, triton_python: str) -> None:  # noqa: F811
    page = (ROOT / "docs" / "serving.md").read_text()
    (example,) = [
        code for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "tritonclient import http" in code
    ]
    assert (
        run(triton_python, "-c", example.replace("localhost:8000", worker.address.removeprefix("http://")))[:1] == "["
    )
