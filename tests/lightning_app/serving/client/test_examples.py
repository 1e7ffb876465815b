"""The examples of the documentation run as they are."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lightning_app.packaging import Package
from lightning_app.serving.client.examples import examples
from tests.lightning_app.serving.model_packages import model_packages
from tests.lightning_app.serving.server import RunningWorker, running_worker
from tests.lightning_app.serving.v2.test_triton import triton_python  # noqa: F401

MODELS = ("prices", "sizes", "load", "letters")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return model_packages(tmp_path_factory.mktemp("packages"))


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory, packages: dict[str, Path]) -> Iterator[RunningWorker]:
    with running_worker(tmp_path_factory.mktemp("worker"), list(packages.items())) as running:
        yield running


def texts(worker: RunningWorker, packages: dict[str, Path], name: str, *, has_keys: bool = False) -> dict[str, str]:
    """Examples of a model with the sample request of its documentation, which is written to body.json too."""
    path = f"/models/{name}/predict"
    content = worker.client.get("/openapi.json").json()["paths"][path]["post"]["requestBody"]["content"]
    body = content["application/json"]["example"]
    Path("body.json").write_text(worker.client.build_request("POST", "/", json=body).content.decode())
    manifest = Package.load(packages[name]).manifest
    return examples(manifest, address=worker.address, name=name, body=body, has_keys=has_keys)


@pytest.mark.parametrize("name", MODELS)
def test_curl_and_python_are_answered(worker: RunningWorker, packages: dict[str, Path], name: str) -> None:
    found = texts(worker, packages, name)
    curl = subprocess.run(["sh", "-c", found["curl"]], capture_output=True, text=True, check=True)
    assert f'"model":"{name}"' in curl.stdout
    python = subprocess.run([sys.executable, "-c", found["Python"]], capture_output=True, text=True)
    assert python.returncode == 0, found["Python"] + python.stderr
    assert " None " in python.stdout  # the version of a folder


@pytest.mark.parametrize("name", MODELS)
def test_tritonclient_is_answered(
    worker: RunningWorker, packages: dict[str, Path], name: str, triton_python: str  # noqa: F811
) -> None:  # fmt: skip
    example = texts(worker, packages, name)["tritonclient"]
    environment = {**os.environ, "PYTHONPATH": ""}
    done = subprocess.run([triton_python, "-c", example], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, example + done.stderr
    assert done.stdout


def test_keys_come_from_the_environment_and_not_from_the_page(worker: RunningWorker, packages: dict[str, Path]) -> None:
    for title, text in texts(worker, packages, "prices", has_keys=True).items():
        assert "LIGHTNING_APP_KEY" in text, title
        if title != "curl":
            compile(text, title, "exec")
