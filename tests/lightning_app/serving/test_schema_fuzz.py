"""Requests drawn from the OpenAPI document, valid and not: no 500, every refusal as documented."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lightning_app.__main__ import main
from tests.lightning_app.serving.model_packages import model_packages
from tests.lightning_app.serving.server import RunningWorker, running_worker

# A valid JSON may still not fit: columns of different lengths, too little history, an empty array of 48 numbers.
# 504 is the answer to a deadline that the client sent, and 5e-324 milliseconds is one.
CONFIG = """
hooks = "unknown_headers"
[checks]
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", 504]
positive_data_acceptance.expected-statuses = ["2xx", 401, 403, 404, 409, 422, 504]
[[operations]]
include-path-regex = "^/v2/"
checks.positive_data_acceptance.expected-statuses = ["2xx", 400, 401, 422]
"""
HOOKS = '''
import schemathesis


@schemathesis.hook
def filter_case(context, case):
    """HTTP lets a client send headers that a server does not know."""
    return not any("unknown-property" in name for name in case.headers or {})
'''


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorker]:
    packages = model_packages(tmp_path_factory.mktemp("packages"))
    folder = tmp_path_factory.mktemp("worker")
    journal = {"journal": {"url": f"sqlite:///{folder / 'journal.db'}"}}
    with running_worker(folder, list(packages.items()), config=journal) as running:
        yield running


def test_requests_of_every_kind_are_answered_as_documented(worker: RunningWorker, tmp_path: Path) -> None:
    fuzz(worker, tmp_path, "--max-examples", "4", "--phases", "examples,fuzzing")


@pytest.mark.slow
def test_a_server_with_keys_answers_as_documented(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", "add", str(tmp_path / "keys.yaml"), "--id", "all", "--scopes", "predict,feedback,admin"]) == 0
    key = next(word for word in capsys.readouterr().out.split() if word.startswith("all."))
    packages = model_packages(tmp_path_factory.mktemp("packages"))
    config = {"keys": str(tmp_path / "keys.yaml")}
    with running_worker(tmp_path / "worker", list(packages.items()), config=config) as guarded:
        options = ["--header", f"Authorization: Bearer {key}", "--max-examples", "4", "--phases", "examples,coverage"]
        fuzz(guarded, tmp_path, *options)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_many_requests_are_answered_as_documented(worker: RunningWorker, tmp_path: Path) -> None:
    fuzz(worker, tmp_path, "--max-examples", "60", "--phases", "examples,coverage,fuzzing")


def fuzz(worker: RunningWorker, folder: Path, *options: str) -> None:
    (folder / "schemathesis.toml").write_text(CONFIG)
    (folder / "unknown_headers.py").write_text(HOOKS)
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml", "run"]
    # Seeded: a failure of one run is one of the next too; the long run is for finding new ones.
    done = subprocess.run(
        [*command, f"{worker.address}/openapi.json", "--checks", "all", "--seed", "0", *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert worker.client.get("/health/ready").status_code == 200
