"""A challenger is withdrawn: audited, and nothing else changes."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lightning_app.__main__ import main
from lightning_app.registry import Registry

Register = Callable[..., int]


def aliases(registry: Registry) -> dict[str, int]:
    return {alias: version.record.number for version in registry.versions("phase") for alias in version.aliases}


def test_withdrawals_are_audited_once_and_say_when_there_is_nothing_to_withdraw(
    register: Register, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    for noise in (0.3, 0.1):
        register(noise=noise)
    registry.promote("phase@1", to="champion", reason="the first")
    registry.promote("phase@2", to="challenger")
    verdicts = registry.check("phase@2", to="champion")
    assert all(verdict.passed for verdict in verdicts), verdicts
    assert main(["withdraw", "phase@1"]) == 2
    assert "challenger is phase@2" in capsys.readouterr().err
    assert main(["withdraw", "phase@2", "--reason", "slower"]) == 0
    assert "phase@2 is no longer challenger" in capsys.readouterr().out
    assert aliases(registry) == {"champion": 1}
    assert main(["withdraw", "phase@2"]) == 0
    assert "nothing changed" in capsys.readouterr().out
    assert main(["withdraw", "phase@9"]) == 2
    assert main(["models", "show", "phase", "--json"]) == 0
    history = json.loads(capsys.readouterr().out)["history"]
    assert [(entry["action"], entry["before"], entry["after"], entry["reason"]) for entry in history] == [
        ("promote", None, 1, "the first"),
        ("promote", None, 2, None),
        ("withdraw", 2, None, "slower"),
    ]
    assert main(["models", "show", "phase"]) == 0
    shown = capsys.readouterr().out
    assert "challenger 2 ->" in shown
    assert "overruled" not in shown
    assert registry.promote("phase@2", to="champion", reason="better after all").promoted
    assert registry.rollback("phase").after == 1


def test_a_champion_is_not_withdrawn_and_a_reason_does_not_overrule_gates(
    register: Register, registry: Registry, tmp_path: Path
) -> None:
    register()
    gates = tmp_path / "gates.yaml"
    gates.write_text("metrics: {test/mse: {max: 0.0}}\n")
    assert main(["promote", "phase@1", "--to", "champion", "--gates", str(gates), "--reason", "I like it"]) == 1
    assert main(["promote", "phase@1", "--to", "champion", "--force", "a", "--reason", "b"]) == 2
    registry.promote("phase@1", to="champion")
    with pytest.raises(ValueError, match="rollback phase"):
        registry.withdraw("phase@1", alias="champion")
