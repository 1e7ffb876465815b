"""What lets a version through, and what does not."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from lightning_app.__main__ import main
from lightning_app.packaging import Manifest, write_package
from lightning_app.registry import GateFile, Registry
from lightning_app.registry.promotion.gate_file import LatencyRule
from tests.conftest import CONFIGS

Register = Callable[..., int]


def refused(registry: Registry, gates: str = "{}", *, to: str = "champion", model: str = "phase@1") -> set[str]:
    """Names of the gates that refuse a version."""
    Path("gates.yaml").write_text(gates)
    done = registry.promote(model, to=to, gates=GateFile.read("gates.yaml"))
    assert done.promoted == all(verdict.passed for verdict in done.verdicts)
    return {verdict.gate for verdict in done.verdicts if not verdict.passed}


def test_a_refused_version_exits_1_with_the_table_and_changes_nothing(
    register: Register, registry: Registry, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    register(noise=0.1)
    register(noise=0.5)
    assert main(["promote", "phase@1", "--to", "champion"]) == 0
    before = registry.history("phase")
    capsys.readouterr()
    assert main(["promote", "phase@2", "--to", "champion"]) == 1
    said = capsys.readouterr()
    assert "phase@2 does not become champion" in said.err
    (line,) = [line for line in said.out.splitlines() if line.startswith("│ champion")]
    assert "at most +2.0%" in line
    assert "against phase@1" in line
    assert "refused" in line
    assert registry.resolve("phase").version == 1
    assert registry.history("phase") == before


def test_force_overrules_the_gates_and_is_recorded(register: Register, registry: Registry) -> None:
    register(noise=0.1)
    register(noise=0.5)
    assert main(["promote", "phase@1", "--to", "champion"]) == 0
    assert main(["promote", "phase@2", "--to", "champion", "--force", "the old one leaks"]) == 0
    entry = list(registry.history("phase").entries.values())[-1]
    assert (entry.before, entry.after, entry.reason) == (1, 2, "the old one leaks")
    assert {gate["gate"] for gate in entry.gates if not gate["passed"]} == {"champion", "slices"}
    assert entry.who
    assert entry.when


@pytest.mark.parametrize(
    ("gate", "changes"),
    [
        ("parity", {"parity": {"rows": 256, "max_relative_error": 2e-4}}),
        ("parity", {"parity": {"rows": 100, "max_relative_error": 1e-6}}),
        ("parity", {"parity": {}}),
        ("latency", {"latency": {"p50_ms": {"1": 101.0}}}),
        ("latency", {"latency": {}}),
        ("card", {"card": {"complete": False, "missing": ["limitations"]}}),
        ("data", {"lineage": {}}),
    ],
)
def test_each_gate_refuses_what_the_manifest_says(
    gate: str, changes: Mapping[str, Any], register: Register, registry: Registry
) -> None:
    register(changes=changes)
    for alias in ("shadow", "champion"):
        assert refused(registry, to=alias) == {gate}


@pytest.mark.parametrize(
    ("gate", "gates"),
    [
        ("test/mse", "metrics: {test/mse: {max: 1.0e-6}}"),
        ("test/mse", "metrics: {test/mse: {min: 1000}}"),
        ("test/mae", "metrics: {test/mae: {max: 1000}}"),
        ("size", "size: {max_megabytes: 0.001}"),
        ("slices", "slices: {max_ratio: 1, min_rows: 10}"),
        ("data", f"data: {{known: ['{'3' * 64}']}}"),
    ],
)
def test_each_bound_of_the_file_counts(gate: str, gates: str, register: Register, registry: Registry) -> None:
    register()
    assert refused(registry, gates) == {gate}
    assert refused(registry, f"{gate.split('/')[0] if '/' not in gate else 'metrics'}: null") == set()


def test_metric_bounds_and_known_data_let_what_is_within_them_pass(register: Register, registry: Registry) -> None:
    register()
    gates = f"{{metrics: {{test/mse: {{max: 10, min: 0}}}}, data: {{known: ['{'2' * 64}']}}}}"
    assert refused(registry, gates) == set()


def test_an_optimized_package_has_a_parity_bound_of_its_own(register: Register, registry: Registry) -> None:
    register(changes={"parity": {"rows": 256, "max_relative_error": 0.01}, "optimization": {"kind": "int8"}})
    assert refused(registry, "parity: {max_relative_error_optimized: 0.001}") == {"parity"}
    assert refused(registry) == set()


def test_a_version_that_is_as_good_as_the_champion_passes_and_a_better_one_too(
    register: Register, registry: Registry
) -> None:
    register(noise=0.2)
    register(noise=0.2, changes={"card": {"complete": True, "missing": [], "again": "the same weights"}})
    register(noise=0.05)
    assert refused(registry) == set()
    errors = [pl.read_parquet(registry.resolve(f"phase@{number}").path / "evaluation.parquet") for number in (1, 3)]
    assert errors[1]["error"].mean() < errors[0]["error"].mean()
    assert refused(registry, model="phase@3") == set()


def test_versions_that_were_tested_on_other_data_are_not_compared(register: Register, registry: Registry) -> None:
    register()
    register(num_rows=150)
    register(changes={"lineage": {"data": {"sha256": "9" * 64}}})
    assert refused(registry) == set()
    assert refused(registry, model="phase@2") == {"champion"}  # a quarter of the rows is missing
    assert refused(registry, model="phase@3") == {"champion"}
    assert refused(registry, model="phase@3", to="challenger") == set()  # is not compared


def test_a_fingerprint_with_fewer_keys_is_of_the_same_data(register: Register, registry: Registry) -> None:
    before: dict[str, Any] = {"sha256": "9" * 64, "source": "drawn"}
    for data in (before, {**before, "repairs": {}, "dropped": 0}, {**before, "source": "another"}):
        register(0.1 if data is before else 0.01, changes={"lineage": {"data": data}})
    assert refused(registry) == set()
    assert refused(registry, model="phase@2") == set()
    assert refused(registry, model="phase@3") == {"champion"}


def test_a_slice_that_got_much_worse_refuses_what_is_better_on_the_whole(
    register: Register, registry: Registry, tmp_path: Path
) -> None:
    register(noise=0.3)
    old = pl.read_parquet("package-1/evaluation.parquet")
    factor = pl.when(pl.col("slice.size") == "small").then(1.3).otherwise(0.01)
    old.with_columns(pl.col("error") * factor).write_parquet("evaluation.parquet")
    files = {name: tmp_path / "package-1" / name for name in Manifest.read("package-1").files or {}}
    files["evaluation.parquet"] = tmp_path / "evaluation.parquet"
    write_package("package-2", manifest=Manifest.read("package-1"), files=files)
    assert main(["register", "package-2", "--name", "phase"]) == 0
    assert refused(registry) == set()
    assert refused(registry, "slices: {min_rows: 50}", model="phase@2") == {"slices"}
    assert refused(registry, "slices: {min_rows: 50, max_worse: 0.6}", model="phase@2") == set()


def test_the_shipped_file_holds_without_a_file_and_for_what_a_file_leaves_out(tmp_path: Path) -> None:
    default = GateFile.read()
    assert asdict(default) == yaml.safe_load((CONFIGS / "gates" / "default.yaml").read_text())
    own = tmp_path / "own.yaml"
    own.write_text("latency: {max_p50_ms: 3}\ncard: null\nslices: {min_rows: 50}")
    assert default.slices is not None
    assert GateFile.read(own) == replace(
        default, latency=LatencyRule(max_p50_ms=3), card=None, slices=replace(default.slices, min_rows=50)
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("latencies: {}", "gates.latencies: no such key"),
        ("latency: {max: 3}", "latency.max: no such key, allowed: max_p50_ms"),
        ("latency: 3", "latency: 3 given"),
        ("latency: {max_p50_ms: soon}", "latency.max_p50_ms: 'soon' given, a number from 0 is needed"),
        ("size: {max_megabytes: -1}", "a number from 0"),
        ("champion: {confidence: 95}", "a number between 0 and 1"),
        ("champion: {block: 0}", "'auto' or a number of rows"),
        ("card: {complete: 1}", "true or false"),
        ("metrics: {test/mse: 3}", "metrics.test/mse: 3 given"),
        ("metrics: {test/mse: {}}", "min, max or both"),
        ("data: {known: none}", "'any' or a list of sha256"),
        ("[", "is no YAML"),
    ],
)
def test_a_wrong_file_is_told_with_its_key(content: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("gates.yaml").write_text(content)
    assert main(["promote", "phase@1", "--to", "champion", "--gates", "gates.yaml"]) == 2
    assert message in capsys.readouterr().err
