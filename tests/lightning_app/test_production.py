"""From a fit to scored rows, for a config of each family: every step takes only what the one before it wrote."""

from pathlib import Path

import polars as pl
import pytest

from lightning_app.__main__ import main
from lightning_app.packaging import Package
from tests.conftest import CONFIGS
from tests.registries import place_registry

CARD = [f"--card.{name}=To test." for name in ("intended_use", "out_of_scope", "limitations", "ethical_considerations")]
SHORT = ["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "5", "--trainer.limit_val_batches", "2"]


@pytest.mark.parametrize(
    "config",
    [
        pytest.param("forecasting/co2_phase", marks=pytest.mark.slow),  # `make demo` does the same for co2_ridge
        pytest.param("recurrent/topics_gru", marks=pytest.mark.slow),
        "graph/digits_sage",
    ],
)
def test_a_fit_becomes_a_champion_that_scores_a_table(
    config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("LIGHTNING_APP_CACHE", str(tmp_path / "cache"))
    place_registry(tmp_path, request.config)
    path = str(CONFIGS / f"{config}.yaml")
    assert main(["fit", "-c", path, *SHORT]) == 0
    assert main(["export", "best", "-c", path, "--output", "package", "--", *CARD]) == 0
    assert main(["package", "verify", "package"]) == 0
    assert main(["register", "package", "--name", "model"]) == 0
    assert main(["promote", "model@1", "--to", "champion"]) == 0
    rows = pl.read_parquet("package/reference.parquet").head(20)
    rows.write_parquet("rows.parquet")
    assert main(["score", "model@champion", "rows.parquet", "--output", "scored.parquet"]) == 0
    scored, wanted = pl.read_parquet("scored.parquet"), Package.load("package").predict(rows)
    assert scored["model_version"].unique().to_list() == ["model@1"]
    answered = scored.select(wanted.columns)
    assert answered.rows() == wanted.cast(dict(answered.schema)).rows()  # rows that differ in size are lists in a file
