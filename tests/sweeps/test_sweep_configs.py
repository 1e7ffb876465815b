"""Each shipped sweep runs with two workers over the config that it is made for."""

from pathlib import Path

import polars as pl
import pytest
import yaml

from lightning_app.__main__ import main
from tests.conftest import CONFIGS, needs

# The config that each file of configs/sweeps varies.
BASES = {
    "co2_phase": "forecasting/co2_phase",
    "topics_gru": "recurrent/topics_gru",
    "cora_gcn": "graph/cora_gcn",
    "digits_encoder": "graph/digits_sage",
}


def test_no_shipped_sweep_is_left_out() -> None:
    assert {path.stem for path in (CONFIGS / "sweeps").glob("*.yaml")} == set(BASES)


@pytest.mark.parametrize(
    "name",
    [
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("co2_phase", "topics_gru", "digits_encoder")),
        pytest.param("cora_gcn", marks=[pytest.mark.slow, needs("planetoid/Cora/raw/ind.cora.x")]),
    ],
)
def test_a_shipped_sweep_runs_with_two_workers(name: str, tmp_path: Path) -> None:
    words = ["-c", str(CONFIGS / f"{BASES[name]}.yaml"), "--space", str(CONFIGS / f"sweeps/{name}.yaml")]
    short = ["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2", "--trainer.limit_val_batches", "2"]
    assert main(["sweep", *words, "--trials", "2", "--workers", "2", "--root", str(tmp_path), "--", *short]) == 0
    folder = tmp_path / "sweeps" / name
    assert yaml.safe_load((folder / "best.yaml").read_text())["model"]
    trials = pl.read_parquet(folder / "trials.parquet")
    assert trials["state"].str.to_lowercase().to_list() == ["complete", "complete"]
