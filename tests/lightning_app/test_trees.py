"""Boosted trees through the command line: fit, test, predict, export, score; settings that make no sense."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lightning_app.__main__ import main
from lightning_app.packaging import Package
from tests.conftest import only_run
from tests.families import TABULAR, write_shops

pytest.importorskip("lightgbm", reason="extra boosted")

HEAD = """
seed_everything: 3
trainer: {max_epochs: 1, log_every_n_steps: 1, accelerator: cpu}
"""
MODEL = """
model:
  class_path: models.trees.BoostedTrees
  init_args:
    booster: {class_path: models.trees.LightGBM, init_args: {num_leaves: 7, rounds: 10, learning_rate: 0.3}}
    task: models.tasks.Regression
"""
CONFIG = HEAD + MODEL + TABULAR[TABULAR.index("data:") :]


@pytest.fixture
def tree_args(tmp_path: Path) -> Callable[..., list[str]]:
    write_shops(tmp_path)
    config = tmp_path / "trees.yaml"
    config.write_text(CONFIG)

    def args(*options: str, verb: str = "fit") -> list[str]:
        return [verb, "-c", str(config), "--run.root", str(tmp_path / "runs"), *options]

    return args


def test_trees_are_fitted_tested_exported_and_answer_raw_rows(
    tree_args: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(tree_args()) == 0
    run = only_run(tmp_path / "runs")
    rows = list(csv.DictReader((run / "metrics.csv").open()))
    losses = [float(row["val/loss"]) for row in rows[:10]]
    assert [int(row["step"]) for row in rows[:10]] == list(range(1, 11))
    assert losses[-1] < losses[0]
    assert int(rows[-1]["step"]) == 1 + int(np.argmin(losses))
    assert float(rows[-1]["val/loss"]) == pytest.approx(min(losses), rel=1e-4)
    checkpoint = str(run / "checkpoints/best.ckpt")
    assert main(["test", "--ckpt_path", checkpoint]) == 0
    assert "| sold_of_week | " in (run / "report.md").read_text()
    assert main(["predict", "--ckpt_path", checkpoint]) == 0
    package = tmp_path / "package"
    assert main(["export", str(run), "--output", str(package)]) == 0
    table = pl.read_csv(tmp_path / "shops.csv")
    assert "| weekday | " in (package / "gain.md").read_text()
    answer = Package.load(package).predict(table)
    predicted = pl.read_parquet(run / "predictions.parquet")
    np.testing.assert_allclose(answer["prediction"], predicted["prediction"], rtol=1e-5)
    assert main(["score", str(package), str(tmp_path / "shops.csv"), "--output", "scored.parquet"]) == 0
    capsys.readouterr()
    assert main(["export", str(run), "--optimize", "fp16", "--output", str(tmp_path / "half")]) != 0
    assert "trees have thresholds and no weights" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--trainer.max_epochs", "3"], "is fitted in one epoch; give 1"),
        (["--model.monotone", "{colour: 1}"], "'colour' is no number of the data"),
        (["--model.monotone", "{price: 2}"], "1 (rising) and -1 (falling)"),
    ],
)
def test_settings_that_make_no_sense_are_refused_in_a_line(
    tree_args: Callable[..., list[str]], options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(tree_args(*options)) != 0
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_a_sweep_prunes_trees_between_rounds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_shops(tmp_path)
    config, space = tmp_path / "trees.yaml", tmp_path / "rates.yaml"
    config.write_text(CONFIG.replace("rounds: 10", "rounds: 60"))
    space.write_text("""
metrics: {val/loss: minimize}
sampler: grid
pruner: {name: median, n_startup_trials: 1}
space:
  model.booster.learning_rate: {type: categorical, choices: [0.1, 1.0e-6]}
""")
    sweep = ["sweep", "-c", str(config), "--space", str(space), "--root", str(tmp_path / "runs"), "--trials", "2"]
    assert main(sweep) == 0
    assert "trial 1 pruned: " in capsys.readouterr().out
    curves = [
        len(list(csv.DictReader(path.open())))
        for path in sorted((tmp_path / "runs/sweeps/rates/trials").rglob("metrics.csv"))
    ]
    assert curves[0] >= 60
    assert curves[1] < 40
