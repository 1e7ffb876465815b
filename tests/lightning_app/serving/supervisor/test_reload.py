"""Versions that change while requests are answered, and registries that do not answer."""

import hashlib
import re
import shutil
import signal
import time
from pathlib import Path

import httpx
import pytest

from lightning_app.__main__ import main
from lightning_app.registry.storage.address import RegistryAddress
from lightning_app.registry.storage.store import MlflowStore
from tests.lightning_app.serving.supervisor.conftest import Versions
from tests.lightning_app.serving.supervisor.running_server import RECORDS, running_server
from tests.packages import small_package

OPTIONS = ("--journal", "none", "--poll-seconds", "0.2", "--workers", "2")


def test_a_version_that_cannot_be_verified_is_refused_once_and_the_one_before_stays(versions: Versions) -> None:
    assert main(["register", str(small_package(Path("package-3"), seed=3)), "--name", "phase"]) == 0
    (third,) = (
        path for path in Path("mlartifacts").rglob("model.onnx") if digest_of(path) not in versions.digests.values()
    )
    third.write_bytes(b"no model")
    assert main(["promote", "phase@2", "--to", "shadow"]) == 0
    with running_server("phase@shadow", *OPTIONS) as server:
        store = MlflowStore(RegistryAddress.find())
        store.set_aliases("phase", {"shadow": 3})
        server.wait_for_log(f"phase@3 is refused, phase@2 {versions.digests[2][:12]} is served on: package: ")
        server.wait_for(lambda: server.get("/health/ready").get("registry", {}).get("refused"))
        ready = server.get("/health/ready")
        assert ready["status"] == "ready"
        assert ready["models"]["phase"]["version"] == 2
        (refused,) = ready["registry"]["refused"]
        assert (refused["name"], refused["version"]) == ("phase", 3)
        line = 'lightning_app_version_refused{model="phase"} '
        assert f"{line}1.0" in httpx.get(f"{server.address}/metrics").text
        time.sleep(1.0)
        assert server.errors.count("is refused") == 1
        store.set_aliases("phase", {"shadow": 2})
        server.wait_for(lambda: server.get("/health/ready")["registry"]["refused"] == [])
        server.wait_for(lambda: f"{line}0.0" in httpx.get(f"{server.address}/metrics").text)
        assert server.stop() == 0


@pytest.mark.slow
def test_without_its_registry_a_server_goes_on_starts_from_the_cache_and_says_so(versions: Versions) -> None:
    registry, aside = Path("mlflow.db"), Path("aside.db")
    versions.move(2)
    versions.move(1)
    with running_server("phase", *OPTIONS) as server:
        registry.rename(aside)
        server.wait_for_log("there is no registry at")
        server.wait_for(lambda: server.get("/health/ready")["registry"]["reachable"] is False)
        assert server.predict(RECORDS["records"][0])["version"] == 1
        metrics = httpx.get(f"{server.address}/metrics").text
        assert re.search(r"^\w*registry_reachable\S* 0(\.0)?$", metrics, re.MULTILINE)
        aside.rename(registry)
        server.wait_for_log("the registry answers again")
        server.wait_for(lambda: server.get("/health/ready")["registry"]["reachable"] is True)
        registry.rename(aside)
        server.wait_for(lambda: server.get("/health/ready")["registry"]["reachable"] is False)
        assert main(["rollback", "phase"]) == 0  # on this machine alone
        server.wait_for_log("is served, it was phase@1")
        assert server.stop() == 0
    with running_server("phase", *OPTIONS) as server:
        assert f"; phase@2 {versions.digests[2][:12]}; 2 workers" in server.announcement
        assert "going by what was known of phase" in server.errors
        server.wait_for(lambda: server.get("/health/ready").get("registry", {}).get("reachable") is False)
        assert server.stop(signal.SIGINT) == 0
    shutil.rmtree("cache")
    assert main(["serve", "phase", *OPTIONS, "--port", "0"]) == 1


def digest_of(model: Path) -> str:
    return hashlib.sha256((model.parent / "manifest.json").read_bytes()).hexdigest()
