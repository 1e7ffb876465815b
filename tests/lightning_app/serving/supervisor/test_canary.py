"""Canaries of a server: bad versions are taken back; a good one becomes champion although the server is killed."""

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import yaml
from onnx import TensorProto, helper

from lightning_app.packaging import TensorSpec
from lightning_app.registry import Registry
from lightning_app.serving.experiments.store import Experiment, ExperimentStore
from lightning_app.serving.journal.stores import open_database
from tests.lightning_app.serving.supervisor.running_server import RunningServer, running_server
from tests.packages import manifest_of, onnx_model, package_of, small_package
from tests.registries import place_registry

URL = "sqlite:///journal.db"
COLUMNS = ("a", "b")
NO_GATES = dict.fromkeys(("champion", "parity", "latency", "size", "card", "slices", "data"))
CANARY = {
    "steps": [0.2, 0.5, 1.0],
    "min_requests": 100,
    "min_seconds": 2,
    "max_seconds": 300,
    "margins": {"errors": 0.5, "latency": 0.5, "reward": 0.1},
    "reward": {"kind": "binary", "within_seconds": 60},
    "gates": "gates.yaml",
}


def failing_package(folder: Path) -> Path:
    """Looks `a` up in a table of a thousand; a larger one is refused."""
    inputs = TensorSpec("features", "float32", ("batch", 2), columns=COLUMNS)
    output = TensorSpec("price", "float32", ("batch",))
    nodes = [
        helper.make_node("Gather", ["features", "first"], ["a"], axis=1),
        helper.make_node("Cast", ["a"], ["place"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "place"], ["price"]),
    ]
    constants = {"first": np.array(0), "table": np.arange(1000, dtype=np.float32)}
    manifest = manifest_of(inputs=[inputs], outputs=[output], name="phase", task="regression")
    request = {"features": np.array([[1, 2], [3, 4]], dtype=np.float32)}
    return package_of(folder, manifest, onnx_model(nodes, [inputs], [output], constants), request)


class Users:
    """Threads that ask, a twelfth of the time something odd, and say whether they liked the answer.

    Attributes:
        liked: Share of answers that are liked, by arm.
        status: Status codes.
    """

    def __init__(self, num_users: int = 3) -> None:
        self.address = ""
        self.liked: dict[str, float] = {"champion": 0.8, "challenger": 0.8}
        self.status: Counter[int] = Counter()
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(num_users)]

    def __enter__(self) -> "Users":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        chance = random.Random(number)
        with httpx.Client(timeout=10) as client:
            while not self._end.is_set():
                row = {"a": 5000.0 if chance.random() < 1 / 12 else 0.5, "b": 0.5}
                try:
                    self._ask(client, row, chance)
                except httpx.HTTPError:
                    time.sleep(0.1)  # the server was killed

    def _ask(self, client: httpx.Client, row: Mapping[str, float], chance: random.Random) -> None:
        answer = client.post(f"{self.address}/predict", json={"records": [row]})
        self.status[answer.status_code] += 1
        if answer.status_code == 200:
            reward = float(chance.random() < self.liked[answer.headers["x-arm"]])
            client.post(f"{self.address}/feedback", json={"request_id": answer.json()["request_id"], "reward": reward})


@pytest.fixture
def registry(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Version 1 of `phase` is champion, and none is challenger; the working folder has the configuration."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("LIGHTNING_APP_CACHE", str(tmp_path / "cache"))
    place_registry(tmp_path, request.config)
    Path("gates.yaml").write_text(yaml.safe_dump(NO_GATES))
    model = {"model": "phase@champion", "canary": CANARY, "batching": "off"}
    config = {"models": [model], "workers": 2, "poll_seconds": 0.5, "journal": {"url": URL}}
    Path("server.yaml").write_text(yaml.safe_dump(config))
    registry = Registry()
    challenge(registry, small_package(tmp_path / "first", columns=COLUMNS))
    registry.promote("phase@1", to="champion", force="a test")
    return registry


def challenge(registry: Registry, package: Path) -> int:
    """Registers a package, and makes it challenger."""
    number = registry.register(package, "phase")
    registry.promote(f"phase@{number}", to="challenger", force="a test")
    return number


def aliases(registry: Registry) -> dict[str, int]:
    return {alias: version.record.number for version in registry.versions("phase") for alias in version.aliases}


def canaries() -> list[Experiment]:
    database = open_database(URL)
    try:
        return list(ExperimentStore(database).list())
    finally:
        database.close()


def end_of(server: RunningServer, number: int) -> Experiment:
    """The canary of a version, once it has ended."""

    def ended() -> list[Any]:
        return [row for row in canaries() if row.state["version"] == number and row.status != "running"]

    server.wait_for(lambda: bool(ended()), seconds=240)
    return ended()[0]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_versions_that_fail_are_slower_or_are_liked_less_are_taken_back(registry: Registry, tmp_path: Path) -> None:
    with Users() as users, running_server("--config", "server.yaml") as server:
        users.address = server.address
        row = end_of(server, challenge(registry, failing_package(tmp_path / "failing")))
        assert (row.status, (row.reason or "").split(" worse")[0]) == ("rolled_back", "errors"), row.reason
        assert aliases(registry) == {"champion": 1}
        assert users.status[422] > 3
        assert users.status[500] == 0

        slow = small_package(tmp_path / "slow", columns=COLUMNS, hidden_size=2_000_000)
        row = end_of(server, challenge(registry, slow))
        assert (row.status, (row.reason or "").split(" p")[0]) == ("rolled_back", "latency"), row.reason

        users.liked["challenger"] = 0.5
        row = end_of(server, challenge(registry, small_package(tmp_path / "disliked", columns=COLUMNS, seed=4)))
        assert (row.status, (row.reason or "").split(" worse")[0]) == ("rolled_back", "reward"), row.reason
        assert aliases(registry) == {"champion": 1}
    entries = registry.history("phase").entries.values()
    assert [(entry.action, entry.before) for entry in entries if entry.reason != "a test"] == [
        ("withdraw", 2), ("withdraw", 3), ("withdraw", 4),
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_good_version_becomes_champion_although_the_server_is_killed_in_mid_step(
    registry: Registry, tmp_path: Path
) -> None:
    good = challenge(registry, small_package(tmp_path / "good", columns=COLUMNS, seed=5))
    with Users() as users:
        with running_server("--config", "server.yaml") as server:
            users.address = server.address
            server.wait_for(lambda: any(row.state["step"] == 1 for row in canaries()), seconds=240)
            (before,) = canaries()
            server.stop(signal.SIGKILL)
        with running_server("--config", "server.yaml") as server:
            users.address = server.address
            row = end_of(server, good)
            assert (row.id, row.created) == (before.id, before.created)
            assert row.status == "promoted", row.reason
            assert aliases(registry) == {"champion": good, "previous": 1}
            server.wait_for(lambda: server.predict({"a": 0.5, "b": 0.5})["version"] == good, seconds=120)
            assert server.stop() == 0
    entries = registry.history("phase").entries.values()
    assert [(entry.action, entry.after) for entry in entries if entry.reason != "a test"] == [("promote", good)]
