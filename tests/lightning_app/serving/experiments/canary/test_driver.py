"""Canaries of a real registry and a real journal: begun, decided, carried out once, by one of two servers."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lightning_app.registry import Registry
from lightning_app.serving.config.control_channel import ModelRouting, ResolvedModel
from lightning_app.serving.config.experiment_config import CanaryConfig
from lightning_app.serving.experiments.assignment import shares_of
from lightning_app.serving.experiments.canary.driver import CanaryDriver
from lightning_app.serving.experiments.canary.state import CanaryState
from lightning_app.serving.experiments.store import ArmCounts, CanaryRunningError, Experiment, ExperimentStore
from lightning_app.serving.journal.arm_count import ArmCount
from lightning_app.serving.journal.stores.open_store import open_database, open_store
from tests.packages import small_package
from tests.registries import place_registry

CONFIG = CanaryConfig(min_requests=50, min_seconds=0, steps=[0.25, 1.0])


@dataclass
class World:
    """A registry with versions 1 and 2 of `phase`, and servers that have loaded what its aliases say."""

    url: str
    registry: Registry
    servers: list[CanaryDriver] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.database = open_database(self.url)
        self.store = ExperimentStore(self.database)
        self.follow()

    def follow(self) -> None:
        """Servers load what the aliases say."""
        arms = [
            (alias, version.record)
            for version in self.registry.versions("phase")
            for alias in version.aliases
            if alias in ("champion", "challenger")
        ]
        self.loaded = [
            ResolvedModel(
                name="phase", reference=f"phase@{arm}", version=record.number, digest=record.digest, path="", arm=arm
            )
            for arm, record in arms
        ]

    def server(self, config: CanaryConfig = CONFIG) -> CanaryDriver:
        driver = CanaryDriver(
            name="phase",
            config=config,
            registry=None,
            poll_seconds=0.1,
            database=open_database(self.url),
            holder=f"server-{len(self.servers)}",
            models=lambda: self.loaded,
        )
        self.servers.append(driver)
        return driver

    def count(self, canary: str, share: float, *, failures: int = 0, requests: int = 60) -> None:
        """Requests of both arms at a share of the challenger; failures of the challenger."""
        others = round(requests * (1 - share) / share)
        arms = [("challenger", 2, share, requests, failures)]
        arms += [("champion", 1, 1 - share, others, 0)] if others else []
        ArmCounts(self.database).add(
            [
                ArmCount(
                    time=time.time(), experiment=canary, worker="w", arm=arm, version=version, probability=probability,
                    requests=count, failures=failed, degraded=0, latencies=[0] * 40 + [count - failed],
                )
                for arm, version, probability, count, failed in arms
            ]
        )  # fmt: skip

    def tick(self, server: CanaryDriver, until: Callable[[ModelRouting | None], Any]) -> ModelRouting | None:
        end = time.monotonic() + 200
        while not until(routing := server.tick(time.time())):
            assert time.monotonic() < end, self.rows()
            time.sleep(0.05)
        return routing

    def rows(self) -> list[Experiment]:
        return list(self.store.list())

    def aliases(self) -> dict[str, int]:
        return {
            alias: version.record.number for version in self.registry.versions("phase") for alias in version.aliases
        }

    def audit(self) -> list[tuple[str, str]]:
        entries = self.registry.history("phase").entries.values()
        return [(entry.action, entry.reason or "") for entry in entries if (entry.reason or "").startswith("canary:")]


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Path:
    folder = tmp_path_factory.mktemp("canary")
    file = place_registry(folder, pytestconfig)
    registry = Registry(f"sqlite:///{file}", cache=folder / "cache")
    for number, noise in enumerate((0.2, 0.05), start=1):
        registry.register(small_package(folder / f"package-{number}", noise=noise, seed=number), "phase")
    registry.promote("phase@1", to="champion", force="a test")
    registry.promote("phase@2", to="challenger", force="a test")
    return folder


@pytest.fixture
def world(made_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    (tmp_path / "mlflow.db").write_bytes((made_once / "mlflow.db").read_bytes())
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("LIGHTNING_APP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[5]), os.environ.get("PYTHONPATH", "")])
    )
    url = f"sqlite:///{tmp_path}/journal.db"
    open_store(url).close()
    world = World(url, Registry(uri))
    yield world
    for server in world.servers:
        server.close()


def begun(world: World, server: CanaryDriver) -> str:
    """Id of a canary whose gates have passed."""
    routing = world.tick(server, lambda routing: routing)
    assert routing is not None
    assert shares_of(routing.layout)["challenger"] == pytest.approx(0.25)
    return routing.experiment


def ended(world: World) -> Callable[[Any], bool]:
    return lambda _: world.rows()[-1].status != "running"


def test_a_good_challenger_becomes_champion_through_the_gates_and_a_restart_goes_on_in_mid_step(world: World) -> None:
    server = world.server()
    canary = begun(world, server)
    world.count(canary, 0.25, requests=30)
    server.tick(time.time())
    other = world.server()  # of another machine: it follows, and does not decide
    assert other.tick(time.time()) == server.tick(time.time())
    server.close()  # as if it were killed; the other takes the lease over
    world.count(canary, 0.25, requests=60)
    routing = world.tick(other, lambda routing: routing and len(routing.layout) == 1)
    assert routing is not None
    world.count(canary, 1.0)
    world.tick(other, ended(world))
    (row,) = world.rows()
    assert (row.id, row.status) == (canary, "promoted")
    assert other.tick(time.time()) == server.tick(time.time()) != None  # noqa: E711  # until the server has followed
    world.follow()
    assert world.aliases() == {"champion": 2, "previous": 1}
    ((action, reason),) = world.audit()
    assert action == "promote"
    assert reason.startswith(f"{canary}: no worse than tolerated in 2 steps; it saw 150 of 420 requests")
    assert other.tick(time.time()) is None
    kinds = [event.kind for event in world.store.events(canary)]
    assert [kind for kind in kinds if kind != "look"] == ["created", "gates", "step", "verdict", "door", "ended"]


@pytest.mark.slow
def test_a_bad_challenger_gets_no_requests_at_once_and_is_withdrawn_once_although_the_server_dies(world: World) -> None:
    server = world.server()
    canary = begun(world, server)
    world.count(canary, 0.25, requests=300, failures=20)
    assert world.tick(server, lambda routing: routing is None) is None
    server.close()  # between the verdict and the registry
    again = world.server()
    world.tick(again, ended(world))
    (row,) = world.rows()
    assert row.status == "rolled_back"
    assert (row.reason or "").startswith("errors worse than tolerated at 25 %: 20 of 300 of the challenger")
    assert world.aliases() == {"champion": 1}
    assert [action for action, _ in world.audit()] == ["withdraw"]


@pytest.mark.slow
def test_a_version_that_the_gates_refuse_gets_no_request(world: World, tmp_path: Path) -> None:
    gates = tmp_path / "gates.yaml"
    gates.write_text("metrics: {test/mse: {max: 0.0}}\n")
    server = world.server(CanaryConfig(min_requests=50, min_seconds=0, gates=str(gates)))
    seen: list[ModelRouting] = []
    world.tick(server, lambda routing: (routing and seen.append(routing)) or (world.rows() and ended(world)(None)))
    (row,) = world.rows()
    assert seen == []
    assert row.status == "rolled_back"
    assert "1 of" in (row.reason or "")
    assert "gates refuse it: test/mse" in (row.reason or "")
    assert world.aliases() == {"champion": 1}


@pytest.mark.slow
def test_another_challenger_ends_a_canary_and_begins_its_own(world: World, tmp_path: Path) -> None:
    server = world.server()
    first = begun(world, server)
    world.registry.register(small_package(tmp_path / "package-3", noise=0.04, seed=3), "phase")
    world.registry.promote("phase@3", to="challenger", force="a test")
    world.follow()
    world.tick(server, lambda routing: routing and routing.experiment != first)
    before, after = world.rows()
    assert (before.status, before.reason) == ("stopped", "superseded by phase@3")
    assert after.status == "running"
    assert world.audit() == []


@pytest.mark.slow
def test_a_person_promotes_a_canary_whatever_was_measured(world: World) -> None:
    server = world.server()
    canary = begun(world, server)
    row = world.store.get(canary)
    assert row is not None
    wish = {"action": "promote", "reason": "the old one leaks", "who": "ann@host"}
    assert world.store.update(row, state={**row.state, "request": wish})
    world.tick(server, ended(world))
    assert world.aliases()["champion"] == 2
    ((_, reason),) = world.audit()
    assert "ann@host: the old one leaks" in reason


@pytest.mark.slow
def test_a_challenger_that_a_person_has_withdrawn_is_not_withdrawn_again(world: World) -> None:
    server = world.server()
    canary = begun(world, server)
    world.count(canary, 0.25, requests=300, failures=20)
    world.registry.withdraw("phase@2", alias="challenger", reason="by hand")
    world.tick(server, ended(world))  # the server has not followed yet
    assert world.rows()[0].status == "stopped"
    assert world.audit() == []
    assert server.tick(time.time()) is None


def test_a_second_canary_under_the_same_name_is_refused_with_a_message(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    state = CanaryState(
        model="phase", registered="other", version=5, digest="c", champion=4, champion_digest="d",
        started=time.time(), step_started=time.time(),
    )  # fmt: skip
    world.store.create("canary:phase@5:1", model="phase", kind="canary", spec={}, state=msgspec.to_builtins(state))
    server = world.server()
    assert server.tick(time.time()) is None
    assert "canary:phase@5:1 is of other and runs under the name phase" in caplog.text
    assert [(row.id, row.status) for row in world.rows()] == [("canary:phase@5:1", "running")]
    with pytest.raises(CanaryRunningError):
        world.store.create("canary:phase@2:1", model="phase", kind="canary", spec={}, state={})
