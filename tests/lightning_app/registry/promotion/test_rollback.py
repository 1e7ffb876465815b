"""Back to the champion before, with the registry and without it."""

import logging
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lightning_app.__main__ import main
from lightning_app.registry import Registry
from tests.packages import small_package
from tests.registries import place_registry

Register = Callable[..., int]


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Path:
    """The file of a registry where versions 1, 2 and 3 of `phase` were champion one after another."""
    folder = tmp_path_factory.mktemp("three_champions")
    file = place_registry(folder, pytestconfig)
    registry = Registry(f"sqlite:///{file}", cache=folder / "cache")
    for number, noise in enumerate((0.4, 0.2, 0.05), start=1):
        registry.register(small_package(folder / f"package-{number}", noise=noise, seed=number), "phase")
        registry.promote(f"phase@{number}", to="champion", force="a test")
    return file


@pytest.fixture
def three_champions(made_once: Path, registry: Registry) -> Registry:
    """A copy of it, where commands look for it."""
    shutil.copy(made_once, "mlflow.db")
    return registry


def aliases(registry: Registry) -> dict[str, int]:
    return {alias: version.record.number for version in registry.versions("phase") for alias in version.aliases}


def test_rollback_goes_back_champion_by_champion_in_less_than_a_second(
    three_champions: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert aliases(three_champions) == {"champion": 3, "previous": 2}
    begin = time.process_time()
    assert main(["rollback", "phase", "--reason", "it drifts"]) == 0
    assert time.process_time() - begin < 1
    assert "phase@2 is champion instead of phase@3" in capsys.readouterr().out
    assert aliases(three_champions) == {"champion": 2, "previous": 1}
    assert main(["rollback", "phase"]) == 0
    assert aliases(three_champions) == {"champion": 1}
    assert main(["rollback", "phase"]) == 2
    reasons = [entry.reason for entry in three_champions.history("phase").entries.values()]
    assert reasons[-2:] == ["it drifts", None]


def test_what_was_rolled_back_and_promoted_again_can_be_rolled_back_again(three_champions: Registry) -> None:
    three_champions.rollback("phase")
    three_champions.promote("phase@3", to="champion", force="it was not the model")
    assert aliases(three_champions) == {"champion": 3, "previous": 2}
    three_champions.rollback("phase")
    assert aliases(three_champions) == {"champion": 2, "previous": 1}


def test_a_champion_that_was_set_by_other_means_is_one_to_go_back_from_and_to(three_champions: Registry) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(three_champions.address.uri, three_champions.address.uri)
    client.set_registered_model_alias("phase", "champion", "1")
    assert three_champions.resolve("phase").version == 1
    three_champions.promote("phase@2", to="champion", force="a test")
    assert aliases(three_champions) == {"champion": 2, "previous": 1}
    three_champions.rollback("phase")
    assert aliases(three_champions) == {"champion": 1, "previous": 3}


def test_a_version_that_was_deleted_is_no_champion_to_go_back_to(three_champions: Registry) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(three_champions.address.uri, three_champions.address.uri)
    client.delete_model_version("phase", "2")
    assert three_champions.rollback("phase").after == 1
    assert aliases(three_champions) == {"champion": 1}


def test_a_challenger_that_becomes_champion_is_no_challenger_any_more(register: Register, registry: Registry) -> None:
    register()
    registry.promote("phase@1", to="challenger")
    registry.promote("phase@challenger", to="champion")
    assert aliases(registry) == {"champion": 1}
    assert registry.promote("phase@1", to="champion").verdicts == ()  # it is already
    assert len(registry.history("phase").entries) == 2


def test_without_the_registry_this_machine_rolls_back_and_tells_it_later(
    three_champions: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert three_champions.resolve("phase@1").version == 1
    assert three_champions.resolve("phase").version == 3  # fetches the previous one too
    Path("mlflow.db").rename("away.db")
    begin = time.process_time()
    assert main(["rollback", "phase", "--reason", "the server is down too"]) == 0
    assert time.process_time() - begin < 1
    assert "updated when it answers again" in capsys.readouterr().out
    found = Registry().resolve("phase@champion")
    assert (found.version, found.aliases) == (2, ("champion",))
    assert main(["rollback", "phase"]) == 0
    assert Registry().resolve("phase").version == 1
    Path("away.db").rename("mlflow.db")
    assert Registry().resolve("phase").version == 1
    assert aliases(three_champions) == {"champion": 1}
    entries = list(three_champions.history("phase").entries.values())[-2:]
    assert [(entry.action, entry.before, entry.after) for entry in entries] == [("rollback", 3, 2), ("rollback", 2, 1)]


def test_rollbacks_are_told_to_the_end_where_their_telling_was_killed_midway(
    three_champions: Registry, tmp_path: Path
) -> None:
    three_champions.resolve("phase@1")
    three_champions.resolve("phase")
    Path("mlflow.db").rename("away.db")
    for champion in (2, 1):
        assert three_champions.rollback("phase").after == champion
    Path("away.db").rename("mlflow.db")
    Registry(cache=tmp_path / "killed").rollback("phase")  # what it had told
    assert Registry().resolve("phase").version == 1
    assert aliases(three_champions) == {"champion": 1}
    entries = list(three_champions.history("phase").entries.values())[-2:]
    assert [(entry.before, entry.after) for entry in entries] == [(3, 2), (2, 1)]


def test_a_rollback_is_not_told_to_a_registry_whose_champion_is_another_by_now(
    three_champions: Registry, register: Register, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    three_champions.resolve("phase")
    Path("mlflow.db").rename("away.db")
    three_champions.rollback("phase")
    Path("away.db").rename("mlflow.db")
    register(noise=0.01)
    other = Registry(cache=tmp_path / "other machine")
    shutil.copytree(tmp_path / "cache" / "registries", tmp_path / "kept")
    other.promote("phase@4", to="champion")
    shutil.rmtree(tmp_path / "cache" / "registries")
    shutil.copytree(tmp_path / "kept", tmp_path / "cache" / "registries")
    with caplog.at_level(logging.WARNING):
        assert Registry().resolve("phase").version == 4
    assert aliases(other)["champion"] == 4


def test_what_another_version_of_the_application_remembers_is_asked_anew(
    three_champions: Registry, tmp_path: Path
) -> None:
    three_champions.resolve("phase")
    (known,) = (tmp_path / "cache" / "registries").rglob("phase.json")
    for content in ("{}", "[]", '{"digests": {}, "of": "later"}', "{"):
        known.write_text(content)
        assert three_champions.resolve("phase").version == 3


def test_without_registry_and_without_package_nothing_is_rolled_back(
    three_champions: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    three_champions.resolve("phase")
    shutil.rmtree(tmp_path / "cache" / "packages")
    Path("mlflow.db").unlink()
    assert main(["rollback", "phase"]) == 2
    assert "phase@2 is not in the local cache" in capsys.readouterr().err
    assert main(["rollback", "other"]) == 1
    assert main(["models", "show", "phase@champion"]) == 1


def test_a_server_that_is_down_or_silent_is_noticed_within_a_second(
    three_champions: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, never answers
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        registry = Registry(uri)
        three_champions.resolve("phase")
        known = tmp_path / "cache" / "registries" / three_champions.address.key
        shutil.copytree(known, known.parent / registry.address.key)
        begin = time.perf_counter()
        done = registry.rollback("phase")
        assert (done.after, done.synced) == (2, False)
        assert time.perf_counter() - begin < 2  # half a second of it is the server's; the machine may be busy
    assert registry.resolve("phase").version == 2  # nobody listens there now
    assert "does not answer" in caplog.text
