"""Versions that were tested on other data are compared on the data that both were evaluated on later."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from lightning_app.__main__ import main
from lightning_app.errors import UsageError
from lightning_app.registry import Registry

Register = Callable[..., int]
OTHER = {"lineage": {"data": {"sha256": "b" * 64}, "evaluation_data": {"sha256": "b" * 64}}}
WINDOW = {"kind": "frozen evaluation", "sha256": "c" * 64, "rows": 400}


def errors(mean: float) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    size = np.where(np.arange(400) % 2 == 0, "large", "small")
    return pl.DataFrame({"row": np.arange(400), "error": mean * rng.uniform(0.5, 1.5, 400), "slice.size": size})


@pytest.fixture
def two_versions(register: Register) -> None:
    register(noise=0.1)
    register(noise=0.1, changes=OTHER)
    assert main(["promote", "phase@1", "--to", "champion"]) == 0


@pytest.mark.usefixtures("two_versions")
def test_a_champion_of_other_data_is_compared_on_what_both_were_evaluated_on(registry: Registry) -> None:
    (verdict,) = [one for one in registry.check("phase@2", to="champion") if one.gate == "champion"]
    assert "no further evaluation is of both" in verdict.value
    registry.add_evaluation("phase@2", errors(0.9), WINDOW)
    registry.add_evaluation("phase@1", errors(1.0), {**WINDOW, "sha256": "d" * 64})
    (verdict,) = [one for one in registry.check("phase@2", to="champion") if one.gate == "champion"]
    assert not verdict.passed
    registry.add_evaluation("phase@champion", errors(1.0), WINDOW)
    (verdict,) = [one for one in registry.check("phase@2", to="champion") if one.gate == "champion"]
    assert verdict.passed
    assert verdict.value.startswith("-10.0%")
    assert verdict.value.endswith("against phase@1 on 400 rows of frozen evaluation cccccccccccc")
    assert registry.promote("phase@2", to="champion").promoted
    recorded = list(registry.history("phase").entries.values())[-1]
    assert any("frozen evaluation cccccccccccc" in str(gate["value"]) for gate in recorded.gates)


@pytest.mark.usefixtures("two_versions")
def test_a_version_that_became_worse_is_refused_by_both_gates_and_shown_by_compare(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.add_evaluation("phase@2", errors(2.0), WINDOW)
    registry.add_evaluation("phase@1", errors(1.0), WINDOW)
    refused = {one.gate: one for one in registry.check("phase@2", to="champion") if not one.passed}
    assert set(refused) == {"champion", "slices"}
    assert "size large: +100.0%" in refused["slices"].value
    assert main(["models", "compare", "phase@1", "phase@2"]) == 0
    assert "+100.0%" in capsys.readouterr().out
    registry.add_evaluation("phase@2", errors(0.9), WINDOW)  # the same data once more replaces it
    assert not [one for one in registry.check("phase@2", to="champion") if not one.passed]


@pytest.mark.usefixtures("two_versions")
@pytest.mark.parametrize(
    ("table", "data", "message"),
    [
        (pl.DataFrame({"row": [1]}), WINDOW, "table: error missing"),
        (pl.DataFrame({"row": [1, 1], "error": [0.0, 1.0]}), WINDOW, "a row is there twice"),
        (pl.DataFrame({"row": [1], "error": [float("nan")]}), WINDOW, "not finite"),
        (pl.DataFrame({"row": [1], "error": [0.5]}), {"kind": "x"}, "data: sha256 None"),
    ],
)
def test_evaluations_of_another_form_are_refused(
    table: pl.DataFrame, data: dict[str, str], message: str, registry: Registry
) -> None:
    with pytest.raises(UsageError, match=message):
        registry.add_evaluation("phase@2", table, data)
