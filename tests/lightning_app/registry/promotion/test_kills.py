"""SIGKILL between any two steps leaves the old or the new state; two at once do not mix."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lightning_app.registry import Registry
from lightning_app.registry.promotion.journal import Entry, Journal
from lightning_app.registry.storage.errors import PromotionConflictError
from lightning_app.registry.storage.store import MlflowStore
from tests.conftest import CONFIGS
from tests.packages import small_package
from tests.registries import place_registry

OLD = {"champion": 1}
NEW = {"champion": 2, "previous": 1}


@pytest.fixture
def start(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., Path]:
    """Makes a registry with version 1 as champion, and version 2."""

    def make(*, champion: int = 1) -> Path:
        folder = tmp_path / "start"
        folder.mkdir()
        place_registry(folder, request.config)
        for number in (1, 2, 3):
            small_package(tmp_path / f"package-{number}", noise=0.4 / number**2, seed=number)
        registry = Registry(f"sqlite:///{folder}/mlflow.db", cache=folder / "cache")
        for number in (1, 2):
            registry.register(tmp_path / f"package-{number}", "phase")
        for number in range(1, champion + 1):
            registry.promote(f"phase@{number}", to="champion", force="a test")
        return tmp_path

    return make


def program(folder: Path, verb: str, **options: Any) -> Any:
    """What `tests.registry_kills` finds."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.registry_kills"],
        input=json.dumps({"folder": str(folder), "verb": verb, **options}),
        env={**os.environ, "PYTHONPATH": str(CONFIGS.parent)},
        capture_output=True,
        text=True,
        timeout=280,
    )
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("OUTCOME ")] or [done.stderr]
    return json.loads(line.removeprefix("OUTCOME ")), done.stderr


def check_promotions(outcomes: list[dict[str, Any]], old: dict[str, int], new: dict[str, int]) -> None:
    entries = outcomes[0]["left"]["entries"]
    assert outcomes[0]["left"]["aliases"] == old
    assert outcomes[-1]["left"]["aliases"] == new
    for outcome in outcomes:
        assert outcome["left"]["seen"]["champion"] in (old["champion"], new["champion"]), outcome
        assert outcome["left"]["aliases"] in (old, new), outcome
        assert (outcome["left"]["entries"] > entries) == (outcome["left"]["aliases"] == new), outcome


@pytest.mark.parametrize("every", [160, pytest.param(1, marks=pytest.mark.slow)])
def test_a_promotion_that_is_killed_leaves_the_old_or_the_new_champion(every: int, start: Callable[..., Path]) -> None:
    outcomes, _ = program(start(), "promote", every=every, seed=os.getpid())
    assert len(outcomes) > 30 // every
    check_promotions(outcomes, OLD, NEW)
    for outcome in outcomes:
        assert outcome["after"]["aliases"] == NEW, outcome
        assert outcome["after"]["entries"] == 2, outcome  # once, however often it was begun


@pytest.mark.slow
def test_a_rollback_that_is_killed_leaves_the_old_or_the_new_champion(start: Callable[..., Path]) -> None:
    outcomes, _ = program(start(champion=2), "rollback", every=1, seed=0)
    assert len(outcomes) > 8
    check_promotions(outcomes, NEW, OLD)
    for outcome in outcomes:
        assert outcome["after"]["aliases"] == OLD, outcome


@pytest.mark.slow
def test_a_registration_that_is_killed_leaves_a_whole_version_or_none(start: Callable[..., Path]) -> None:
    outcomes, _ = program(start(), "register", every=4, seed=os.getpid())
    assert len(outcomes) > 20
    for outcome in outcomes:
        assert outcome["left"]["versions"] in (2, 3), outcome  # and all of them load, or the program had said so
        assert outcome["after"]["versions"] == 3, outcome
        assert outcome["after"]["aliases"] == OLD, outcome


def test_of_two_promotions_at_once_one_wins_and_the_other_is_told(start: Callable[..., Path]) -> None:
    folder = start()
    first, second = (Registry(f"sqlite:///{folder}/start/mlflow.db", cache=folder / name) for name in ("a", "b"))
    one, other = (Journal(MlflowStore(registry.address), "phase") for registry in (first, second))
    last = one.repair().last
    assert other.repair().last == last
    one.write(Entry(action="promote", alias="champion", before=1, after=2, changes=NEW, follows=last))
    with pytest.raises(PromotionConflictError, match="changed champion to version 2"):
        other.write(Entry(action="promote", alias="shadow", before=None, after=2, changes={"shadow": 2}, follows=last))
    assert second.resolve("phase").aliases == ("champion",)
    assert len(first.history("phase").entries) == 2


def test_a_promotion_of_a_version_that_was_deleted_meanwhile_does_not_block_the_journal(
    start: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    folder = start()
    registry = Registry(f"sqlite:///{folder}/start/mlflow.db", cache=folder / "a")
    journal = Journal(MlflowStore(registry.address), "phase")
    entry = Entry(action="promote", alias="champion", before=1, after=2, changes=NEW, follows=journal.repair().last)
    monkeypatch.setattr(journal, "repair", journal.read)  # as if it were killed before it sets the aliases
    journal.write(entry)
    MlflowClient(registry.address.uri, registry.address.uri).delete_model_version("phase", "2")
    assert registry.resolve("phase").version == 1
    assert registry.register(folder / "package-3", "phase") == 3
    assert registry.promote("phase@3", to="shadow").promoted


def test_processes_that_promote_at_once_are_told_by_the_lock(start: Callable[..., Path]) -> None:
    from lightning_app.registry.storage.lock import exclusive

    folder = start()
    registry = Registry(f"sqlite:///{folder}/start/mlflow.db")
    with (
        exclusive(folder / "start" / ".mlflow.db.locks", "phase", wait=0),
        pytest.raises(PromotionConflictError, match="another process changes it"),
    ):
        registry.promote("phase@2", to="champion")
    registry.promote("phase@2", to="champion")


@pytest.mark.slow
def test_of_processes_that_promote_at_once_one_writes_and_no_other(start: Callable[..., Path]) -> None:
    folder = start()
    codes, said = program(folder, "promote", count=4)
    assert 0 in codes
    told = said.count("another process changes it") + said.count("while this change was being prepared")
    assert codes.count(1) == told, said  # who came after it was done found the version champion already
    registry = Registry(f"sqlite:///{folder}/start/mlflow.db", cache=folder / "cache")
    assert {alias: version.record.number for version in registry.versions("phase") for alias in version.aliases} == NEW
    assert len(registry.history("phase").entries) == 2


@pytest.mark.slow
def test_processes_that_begin_a_registry_together_all_register(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        small_package(tmp_path / f"package-{number}", seed=number)
    codes, said = program(tmp_path, "register", count=4)
    assert codes == [0] * 4, said
    registry = Registry(f"sqlite:///{tmp_path}/start/mlflow.db", cache=tmp_path / "cache")
    assert len(registry.versions("phase")) == 1
