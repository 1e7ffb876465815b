"""Orders of a canary to a real registry: done once, refused by gates, or overtaken by a person."""

from pathlib import Path

import msgspec
import pytest

from lightning_app.registry import Registry
from lightning_app.serving.experiments.canary.registry_door import Order, carry_out
from tests.packages import small_package
from tests.registries import place_registry

ORDER = Order(
    canary="canary:phase@2:1", registry=None, name="phase", version=2, champion=1, alias="challenger", gates=None,
    action="promote", reason="no worse",
)  # fmt: skip


@pytest.fixture
def registry(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Versions 1, the champion, and 2, the challenger, of `phase`."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{place_registry(tmp_path, request.config)}")
    monkeypatch.setenv("LIGHTNING_APP_CACHE", str(tmp_path / "cache"))
    registry = Registry()
    for number, (noise, alias) in enumerate(((0.2, "champion"), (0.05, "challenger")), start=1):
        registry.register(small_package(tmp_path / f"package-{number}", noise=noise, seed=number), "phase")
        registry.promote(f"phase@{number}", to=alias)
    return registry


def order(**changes: object) -> Order:
    return msgspec.structs.replace(ORDER, **changes)


def aliases(registry: Registry) -> dict[str, int]:
    return {alias: version.record.number for version in registry.versions("phase") for alias in version.aliases}


def test_a_promotion_is_done_once_even_if_a_person_has_undone_it_since(registry: Registry) -> None:
    assert carry_out(order()).outcome == "done"
    assert aliases(registry) == {"champion": 2, "previous": 1}
    registry.rollback("phase")
    assert carry_out(order()).outcome == "already"
    assert aliases(registry) == {"champion": 1}
    entry = list(registry.history("phase").entries.values())[2]
    assert entry.reason == "canary:phase@2:1: no worse"
    assert all(gate["passed"] for gate in entry.gates)


def test_gates_refuse_unless_a_person_overrules_them(registry: Registry, tmp_path: Path) -> None:
    gates = tmp_path / "gates.yaml"
    gates.write_text("metrics: {test/mse: {max: 0.0}}\n")
    for action in ("check", "promote"):
        done = carry_out(order(action=action, gates=str(gates)))
        assert done.outcome == "refused"
        assert "gates refuse it: test/mse" in done.words
    assert aliases(registry) == {"champion": 1, "challenger": 2}
    assert carry_out(order(gates=str(gates), forced=True)).outcome == "done"
    assert aliases(registry)["champion"] == 2
    assert carry_out(order(action="check", gates=str(tmp_path / "none.yaml"))).outcome == "failed"


def test_a_challenger_is_withdrawn_once(registry: Registry) -> None:
    withdrawal = order(action="roll_back", reason="slower")
    assert carry_out(withdrawal).outcome == "done"
    assert aliases(registry) == {"champion": 1}
    registry.promote("phase@2", to="challenger")
    assert carry_out(withdrawal).outcome == "already"
    assert aliases(registry) == {"champion": 1, "challenger": 2}


def test_what_a_person_has_changed_meanwhile_stays(registry: Registry) -> None:
    registry.withdraw("phase@2", alias="challenger")
    for action in ("check", "promote", "roll_back"):
        assert carry_out(order(action=action)).outcome == "moved"
    assert aliases(registry) == {"champion": 1}


def test_a_registry_that_is_away_is_asked_again_later(registry: Registry) -> None:
    Path(registry.address.uri.removeprefix("sqlite:///")).unlink()
    assert carry_out(order()).outcome == "later"
