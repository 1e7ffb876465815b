"""The image is built, and a container of it serves: without torch, root and a file system that can be written."""

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from lightning_app.serving.security.api_keys import new_key
from tests.deploy.container import Image, build_image, container, in_container, needs_buildah
from tests.packages import COLUMNS, small_package

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400), needs_buildah]
OWNER = 10001
MOST_BYTES = 900e6
"""Of what the image adds to its base."""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return build_image(tmp_path_factory.mktemp("image"))


def output(image: Image, *command: str) -> str:
    done = subprocess.run(in_container(image, list(command), {}), capture_output=True, text=True, timeout=60)
    return f"{done.stdout}{done.stderr}"


def test_image_holds_a_server_and_nothing_of_training(image: Image) -> None:
    assert image.config["User"] == f"{OWNER}:{OWNER}"
    assert image.config["StopSignal"] == "SIGTERM"
    assert output(image, "lightning-app", "--version").startswith("lightning-app ")
    for name in ("torch", "lightning", "pip", "setuptools"):
        assert f"No module named '{name}'" in output(image, "python", "-c", f"import {name}")
    assert "Read-only file system" in output(image, "touch", "/opt/file")
    assert "Read-only file system" in output(image, "touch", "/etc/file")
    venv = image.root / "opt/venv"
    assert sum(file.stat().st_size for file in venv.rglob("*") if not file.is_symlink()) < MOST_BYTES
    others = [file for place in ("data", "cache") for file in (image.root / place, *(image.root / place).rglob("*"))]
    assert {file.stat().st_uid for file in others} == {OWNER}
    assert venv.stat().st_uid == 0, "the server could change its own code"


def test_container_answers_journals_and_ends_in_order(image: Image, tmp_path: Path) -> None:
    data, settings = tmp_path / "data", tmp_path / "settings"
    data.mkdir()
    settings.mkdir()
    os.chown(data, OWNER, OWNER)
    small_package(settings / "price", name="price")
    key, digest = new_key("client")
    keys = {"keys": [{"id": "client", "sha256": digest, "scopes": ["predict", "admin"]}]}
    (settings / "keys.json").write_text(json.dumps(keys))
    os.chown(settings / "keys.json", OWNER, OWNER)
    (settings / "keys.json").chmod(0o400)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    place = "/etc/lightning-app"
    config = {
        "models": [{"model": f"{place}/price"}],
        "port": port,
        "host": "127.0.0.1",
        "workers": 2,
        "keys": f"{place}/keys.json",
        "journal": {"url": "sqlite:////data/journal.db"},
    }
    (settings / "serve.yaml").write_text(json.dumps(config))
    with container(image, {data: "/data", settings: place}, tmp_path / "log") as process:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"X-Api-Key": key}, timeout=30) as client:
            end = time.monotonic() + 60
            while not _is_ready(client):
                assert time.monotonic() < end, (tmp_path / "log").read_text()
                time.sleep(0.2)
            answer = client.post("/predict", json={"records": [dict.fromkeys(COLUMNS, 0.5)]})
            assert answer.status_code == 200, answer.text
            health = [word.replace(":8000/", f":{port}/") for word in image.config["Healthcheck"]["Test"][1:]]
            assert output(image, *health) == ""
        assert re.search(rf"^Uid:\t{OWNER}\t", Path(f"/proc/{process}/status").read_text(), re.MULTILINE)
        os.kill(process, signal.SIGTERM)  # as the first process it would ignore what it does not handle
    with closing(sqlite3.connect(data / "journal.db")) as journal:
        assert journal.execute("SELECT request_id FROM predictions").fetchall() == [(answer.json()["request_id"],)]


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/health/ready").status_code == 200
    except httpx.TransportError:
        return False
