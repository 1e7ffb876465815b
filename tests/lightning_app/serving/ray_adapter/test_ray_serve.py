"""The server's application in Ray Serve: a real cluster of one node, in the environment .peer/ray."""

import os
import re
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, redirect_stdout, suppress
from io import StringIO
from pathlib import Path

import httpx
import pytest
import yaml

from lightning_app.__main__ import main
from tests.conftest import CONFIGS
from tests.packages import COLUMNS, small_package

ROOT = CONFIGS.parent
PYTHON = ROOT / ".peer/ray/bin/python"
BODY = {"records": [dict.fromkeys(COLUMNS, 0.5)]}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not PYTHON.exists(), reason="needs ray[serve] in the environment .peer/ray, see .ci/run"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ray")


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[httpx.Client]:
    """A client with a key, of two replicas."""
    keys = folder / "keys.yaml"
    package = small_package(folder / "price", name="price")
    config = f"models: [{{model: {package}}}]\nkeys: {keys}\njournal: {{url: 'sqlite:///{folder}/journal.db'}}\n"
    (folder / "serve.yaml").write_text(config)
    key = new_key(keys, "--id", "all", "--scopes", "predict,feedback,admin")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    application = yaml.safe_load((ROOT / "deploy/ray/serve.yaml").read_text())
    application["http_options"]["port"] = port
    application["applications"][0]["args"]["config"] = str(folder / "serve.yaml")
    (folder / "ray.yaml").write_text(yaml.safe_dump(application))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0", "TMPDIR": str(folder)}
    environment |= {"RAY_TMPDIR": "/tmp", "RAY_AUTH_MODE": "disabled", "RAY_raylet_start_wait_time_s": "120"}
    program = [PYTHON.with_name("serve"), "run", "--blocking", folder / "ray.yaml"]
    with (folder / "ray.log").open("wb") as log:
        process = subprocess.Popen(program, stdout=log, stderr=log, env=environment)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, headers={"X-Api-Key": key}) as asked:
            wait_for(lambda: asked.get("/health/ready").status_code == 200)
            yield asked
    except TimeoutError as error:
        raise AssertionError((folder / "ray.log").read_text()[-4000:]) from error
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def wait_for(what: Callable[[], bool], seconds: float = 150.0) -> None:
    end = time.monotonic() + seconds
    while True:
        with suppress(httpx.TransportError):
            if what():
                return
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.5)


def replicas(folder: Path) -> list[int]:
    """Processes of the replicas of this test."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            is_replica = (process / "cmdline").read_bytes().startswith(b"ray::ServeReplica:price")
            if is_replica and f"TMPDIR={folder}\0".encode() in (process / "environ").read_bytes():
                found.append(int(process.name))
    return found


def new_key(file: Path, *options: str) -> str:
    """Makes a key; the line that it is printed in."""
    with redirect_stdout(StringIO()) as printed:
        assert main(["keys", "add", str(file), *options]) == 0
    return printed.getvalue().strip()


def rows(folder: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(folder / "journal.db")) as connection:
        return connection.execute(query).fetchall()


def answered(client: httpx.Client) -> float:
    """Predictions that all replicas of the node have counted as answered."""
    counts = re.findall(r'^lightning_app_requests_total\{.*code="200".*\} (\S+)$', client.get("/metrics").text, re.M)
    return sum(map(float, counts))


def test_replicas_answer_with_keys_journal_and_metrics_and_survive_the_death_of_one(client, folder):
    assert client.post("/predict", json=BODY, headers={"X-Api-Key": "none"}).status_code == 401
    ids = []
    for _ in range(20):
        answer = client.post("/models/price/predict", json=BODY)
        assert answer.status_code == 200, answer.text
        ids.append(answer.json()["request_id"])
    tensor = {"name": "length", "datatype": "FP32", "shape": [1, 1], "data": [0.5]}
    refused = client.post("/v2/models/price/infer", json={"inputs": [tensor]})
    assert refused.status_code == 400
    assert "error" in refused.json()
    assert client.get("/").status_code == 200
    feedback = client.post("/feedback", json={"request_id": ids[0], "outcome": 1.5})
    assert feedback.json()["status"] == "stored"
    assert {found for (found,) in rows(folder, "SELECT request_id FROM predictions")} == set(ids)
    assert answered(client) == 20
    wait_for(lambda: has_workers(client, 2))

    os.kill(replicas(folder)[0], signal.SIGKILL)
    wait_for(lambda: client.post("/predict", json=BODY).status_code == 200)
    wait_for(lambda: len(replicas(folder)) == 2 and has_workers(client, 2))
    assert len(rows(folder, "SELECT request_id FROM predictions")) == answered(client) > 20


def has_workers(client: httpx.Client, number: int) -> bool:
    return f"\nlightning_app_workers {number}.0\n" in client.get("/metrics").text
