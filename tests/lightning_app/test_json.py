"""Tables for people are whole in a pipe and in a narrow terminal; programs get JSON."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lightning_app.__main__ import main
from tests.conftest import CONFIGS
from tests.packages import COLUMNS, small_package
from tests.registries import place_registry

NAIVE, SEASONAL = (str(CONFIGS / f"forecasting/co2_{name}.yaml") for name in ("naive", "seasonal"))


@pytest.fixture
def package(tmp_path: Path) -> str:
    return str(small_package(tmp_path / "package"))


def said(capsys: pytest.CaptureFixture[str], *args: str) -> Any:
    """What a command prints, which must be JSON and nothing else."""
    capsys.readouterr()
    assert main([*args, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_compare_prints_json_alone(capsys: pytest.CaptureFixture[str]) -> None:
    found = said(capsys, "compare", NAIVE)
    assert found["rows"][0]["name"] == "co2_naive"
    assert found["rows"][0]["metrics"]["test/mse"] > 0
    assert Path(found["table"]).is_file()


def test_packages_and_scores_print_json(package: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = str(small_package(tmp_path / "other", seed=1))
    shown = said(capsys, "package", "show", package)
    (verified,) = said(capsys, "package", "verify", package)
    assert verified["digest"] == shown["digest"]
    assert verified["rows"] > 0
    difference = said(capsys, "package", "diff", package, other)
    assert difference["first"] == shown["digest"]
    assert "files.model.onnx" in difference["fields"]
    assert max(difference["by_output"].values()) > 0
    assert not said(capsys, "package", "diff", package, package)["fields"]
    pl.DataFrame({name: [1.0, 2.0] for name in COLUMNS}).write_csv("data.csv")
    scored = said(capsys, "score", package, "data.csv", "--output", "found.parquet")
    assert scored["num_rows"] == 2
    assert scored["output"] == "found.parquet"


def test_the_registry_prints_json_and_whole_tables(
    package: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.setenv("LIGHTNING_APP_CACHE", str(tmp_path / "cache"))
    place_registry(tmp_path, request.config)
    assert said(capsys, "models", "list") == []
    assert main(["register", package, "--name", "phase"]) == 0
    assert main(["promote", "phase@1", "--to", "champion", "--force", "a reason of many words " * 9]) == 0
    (listed,) = said(capsys, "models", "list")
    assert (listed["model"], listed["versions"], listed["champion"]) == ("phase", 1, 1)
    shown = said(capsys, "models", "show", "phase")
    assert shown["versions"][0]["aliases"] == ["champion"]
    assert shown["history"][0]["reason"].startswith("a reason")
    assert said(capsys, "models", "show", "phase@champion")["version"] == 1
    first, second = said(capsys, "models", "compare", "phase@1", package)
    assert first["metrics"] == second["metrics"]

    assert main(["models", "show", "phase"]) == 0
    piped = capsys.readouterr().out
    assert "a reason of many words " * 8 in piped  # one line, however long
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["models", "show", "phase"]) == 0
    narrow = capsys.readouterr().out
    assert max(map(len, narrow.splitlines())) <= 80
    assert "…" not in narrow
