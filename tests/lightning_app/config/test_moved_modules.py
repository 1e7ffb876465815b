"""Class paths that name a module where it was before."""

import importlib
import sys
from pathlib import Path

import pytest
import yaml

from lightning_app.__main__ import main
from tests.conftest import CONFIGS


def split(path: str) -> tuple[str, str, str]:
    return path.rpartition(".")


@pytest.mark.parametrize(
    ("old", "now"),
    [
        ("models.forecaster.Forecaster", "models.Forecaster"),
        ("models.graph.gcn.GCN", "models.graph.GCN"),
        ("datamodules.series.Series", "datamodules.Series"),
        ("datamodules.forecasting.ForecastingDataModule", "datamodules.ForecastingDataModule"),
        ("lightning_app.offline_runs.read_offline_runs", "lightning_app.runs.offline_runs.read_offline_runs"),
        (
            "lightning_app.evaluation.walk_forward.walk_forward",
            "lightning_app.evaluation.trajectories.rolling_origin.walk_forward",
        ),
        ("datamodules.repairs.Repairs", "features.series.repairs.Repairs"),
        ("datamodules.forecasting.repairs.Repairs", "features.series.repairs.Repairs"),
        ("datamodules.graph.planetoid.Planetoid", "datamodules.graph.Planetoid"),
    ],
)
def test_a_class_is_the_same_by_its_old_path(old: str, now: str) -> None:
    if old.startswith(("models.graph", "datamodules.graph")):
        pytest.importorskip("torch_geometric", reason="graphs need PyG, of the extra graph")
    classes = [
        getattr(importlib.import_module(path.rpartition(".")[0]), path.rpartition(".")[2]) for path in (old, now)
    ]
    assert classes[0] is classes[1]
    assert sys.modules[classes[0].__module__].__spec__.name == classes[0].__module__  # type: ignore[union-attr]


def test_a_config_with_an_old_path_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    config = str(CONFIGS / "forecasting" / "co2_naive.yaml")
    assert main(["fit", "-c", config, "--model", "models.forecaster.Forecaster", "--print_config"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["model"]["class_path"] == "models.forecaster.Forecaster"


def test_a_module_of_the_user_comes_before_one_that_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "quantile_levels.py").write_text("MINE = True\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "models.quantile_levels", raising=False)
    assert importlib.import_module("models.quantile_levels").MINE
    monkeypatch.delitem(sys.modules, "models.quantile_levels")
