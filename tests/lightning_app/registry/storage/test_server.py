"""The same verbs against a real MLflow server on loopback."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from lightning_app.__main__ import main
from lightning_app.packaging import Package
from lightning_app.registry import PromotionConflictError, Registry, RegistryUnreachableError
from lightning_app.registry.promotion.journal import Entry, Journal
from lightning_app.registry.storage.address import RegistryAddress
from lightning_app.registry.storage.alias_reader import AliasReader
from lightning_app.registry.storage.store import MlflowStore
from tests.packages import small_package

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("flask") is None, reason="needs the server of MLflow: lightning-r2p[registry-server]"),
]


class Server:
    """`mlflow server`, started and killed as often as a test likes, at one address with one memory."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.folder = folder
        self.uri = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db", "--workers", "1"]
        command += ["--artifacts-destination", str(self.folder / "server-artifacts")]
        environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        end = time.monotonic() + 120
        while time.monotonic() < end:
            try:
                Registry(self.uri).address.check(timeout=2)
            except RegistryUnreachableError:
                time.sleep(0.2)
            else:
                return
        raise RuntimeError((self.folder / "server.log").read_text())

    def kill(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that `$MLFLOW_TRACKING_URI` names."""
    server = Server(tmp_path)
    try:
        server.start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
        yield server
    finally:
        server.kill()


def test_from_package_to_champion_and_back_also_while_the_server_is_down(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    for number, noise in enumerate((0.3, 0.1, 0.6), start=1):
        small_package(tmp_path / f"package-{number}", noise=noise, seed=number)
        assert main(["register", f"package-{number}", "--name", "phase"]) == 0
    assert main(["register", "package-1", "--name", "phase"]) == 0
    assert main(["promote", "phase@1", "--to", "champion"]) == 0
    assert main(["promote", "phase@2", "--to", "champion"]) == 0
    assert main(["promote", "phase@3", "--to", "champion"]) == 1
    assert main(["models", "show", "phase"]) == 0
    registry = Registry()
    assert registry.resolve("phase").version == 2

    mlflow.set_tracking_uri(server.uri)
    features = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    answer = mlflow.pyfunc.load_model("models:/phase@champion").predict({"features": features})
    np.testing.assert_array_equal(answer["price"], Package.load("package-2").predict({"features": features})["price"])

    server.kill()
    begin = time.perf_counter()
    assert main(["rollback", "phase", "--reason", "all is down"]) == 0
    took = time.perf_counter() - begin
    print(f"rollback without the server: {took:.3f} s")
    assert took < 1
    assert Registry().resolve("phase@champion").version == 1
    assert main(["promote", "phase@3", "--to", "champion"]) == 1
    assert "does not answer" in capsys.readouterr().err

    server.start()
    assert Registry().resolve("phase@champion").version == 1  # tells the server
    elsewhere = Registry(cache=tmp_path / "other machine")
    assert elsewhere.resolve("phase@champion").version == 1
    assert list(elsewhere.history("phase").entries.values())[-1].reason == "all is down"
    begin = time.perf_counter()
    Registry().promote("phase@2", to="champion")
    promoted = time.perf_counter() - begin
    begin = time.perf_counter()
    Registry().rollback("phase")
    print(f"promotion with the server: {promoted:.3f} s, rollback: {time.perf_counter() - begin:.3f} s")


def test_of_two_machines_that_promote_at_once_one_wins(server: Server, tmp_path: Path) -> None:
    for number in (1, 2):
        small_package(tmp_path / f"package-{number}", noise=0.3 / number, seed=number)
        Registry().register(f"package-{number}", "phase")
    one, other = (Journal(MlflowStore(Registry().address), "phase") for _ in range(2))
    first = Entry(action="promote", alias="champion", before=None, after=1, changes={"champion": 1}, follows=0)
    second = Entry(action="promote", alias="champion", before=None, after=2, changes={"champion": 2}, follows=0)
    one.write(first)
    with pytest.raises(PromotionConflictError):
        other.write(second)
    assert Registry().resolve("phase").version == 1


def test_aliases_are_read_from_a_server_without_mlflow(server: Server, tmp_path: Path) -> None:
    small_package(tmp_path / "package")
    reader, champion = AliasReader(Registry().address), ("phase", "champion")
    assert reader.read([champion]) == {champion: None}
    Registry().register("package", "phase")
    assert reader.read([champion]) == {champion: None}
    Registry().promote("phase@1", to="champion")
    assert reader.read([champion]) == {champion: 1}
    with pytest.raises(RegistryUnreachableError, match="404"):
        AliasReader(RegistryAddress.find(f"{server.uri}/elsewhere")).read([champion])
    server.kill()
    with pytest.raises(RegistryUnreachableError, match="does not answer"):
        reader.read([champion])
