from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lightning_app.__main__ import main
from lightning_app.commands.trained_forecaster import TrainedForecaster, read_series
from lightning_app.evaluation.trajectories.rolling_origin import rolling_origin_forecasts
from tests.conftest import CONFIGS, run_folders
from tests.datamodules.streams.test_panel import panel_table

TRAJECTORY = str(CONFIGS / "recurrent/market_lstm63.yaml")
PANEL = ("--data.panel=PanelFile", "--data.panel.path=panel.parquet", "--data.horizon=10", "--data.batch_size=2")
FEW = ("--trainer.max_epochs=1", "--model.warm_up=8", "--trainer.enable_progress_bar=false")
LEVELS = "[0.025, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.975]"


@pytest.mark.slow
def test_a_panel_is_walked_with_a_fit_per_fold_beside_the_classics(capsys: pytest.CaptureFixture[str]) -> None:
    panel_table(rows=400).write_parquet("panel.parquet")
    options = ("--stride", "10", "--refit_every", "30", "--period", "5", "--root", "runs")
    assert main(["walk-forward", TRAJECTORY, *options, "--", *PANEL, *FEW]) == 0
    printed = capsys.readouterr().out
    for name in (
        "market_lstm63: WQL",
        "market_lstm63, calibrated: WQL",
        "empirical quantiles by volatility: WQL",
        "season before: WQL",
    ):
        assert name in printed
    fits = [folder for folder in run_folders(Path("runs")) if folder.parent.name == "market_lstm63"]
    assert len(fits) == 3  # at origins 320, 350 and 380
    (walk,) = Path("runs/walk_market_lstm63").iterdir()
    report = (walk / "report.md").read_text()
    assert "# market_lstm63 against random walk" in report
    assert "embargo of 10 rows" in report
    assert (walk / "forecast.png").exists()
    assert "# Sampled paths" in report
    assert len(pl.read_parquet(walk / "paths.parquet")) == 2 * 100 * 10
    assert len(list(walk.glob("fold_*.parquet"))) == 3
    table = pl.read_parquet(walk / "forecasts.parquet")
    assert table["origin"].unique().to_list() == list(range(320, 390, 10))
    assert len(table) == 7 * 2 * 10


def forecasts(options: tuple[str, ...]) -> np.ndarray:
    data = read_series(TRAJECTORY, options)
    forecaster = TrainedForecaster(TRAJECTORY, data, options=options, root="runs", folder=Path())
    return rolling_origin_forecasts(forecaster.values, forecaster, stride=10, refit_every=None).forecasts


def test_shuffling_the_future_leaves_every_earlier_forecast_of_a_trained_model_unchanged() -> None:
    table = panel_table(tickers=1)
    table.write_parquet("panel.parquet")
    before = forecasts((*PANEL, *FEW, "--data.batch_size=1"))
    closes = table["close"].to_numpy().copy()
    closes[261:] = np.random.default_rng(0).permutation(closes[261:])
    table.with_columns(close=pl.Series(closes)).write_parquet("panel.parquet")
    after = forecasts((*PANEL, *FEW, "--data.batch_size=1"))
    assert np.array_equal(before[:3], after[:3])  # origins 240, 250, 260
    assert not np.array_equal(before[3:], after[3:])


def test_a_window_forecaster_with_quantiles_is_walked_too() -> None:
    config = str(CONFIGS / "forecasting/sp500_patch.yaml")
    quantiles = (f"--model.network.quantiles={LEVELS}", f"--model.loss.quantiles={LEVELS}")
    few = ("--trainer.max_epochs=1", "--trainer.limit_train_batches=3")
    options = ("--start", "0.9", "--refit_every", "0", "--root", "runs")
    assert main(["walk-forward", config, *options, "--", *quantiles, *few]) == 0


BAD = [
    (["nowhere.yaml"], "config: 'nowhere.yaml' does not exist"),
    ([str(CONFIGS / "recurrent/topics_gru.yaml")], "walk-forward needs a panel or a table of series"),
    ([str(CONFIGS / "trainer/cpu.yaml")], "has no data section"),
    ([TRAJECTORY, "--gamma", "2"], "gamma: 2.0 given, 0 up to below 1 is allowed"),
    ([str(CONFIGS / "forecasting/sp500_naive.yaml"), "--refit_every", "0"], "Forecaster forecasts none"),
    ([TRAJECTORY, "--stride", "0", "--", *PANEL, *FEW], "stride: 0 given"),
    ([str(CONFIGS / "forecasting/co2_naive.yaml"), "--stride", "x"], "argument --stride: invalid int value: 'x'"),
    ([str(CONFIGS / "forecasting/sp500_patch.yaml"), "--", *FEW[:1], "--trainer.limit_train_batches=2"],
     "let the forecaster give these levels as well"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "message"), BAD)
def test_bad_usage_is_named(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    panel_table().write_parquet("panel.parquet")
    assert main(["walk-forward", *words]) == 2
    assert message in capsys.readouterr().err
    assert not list(Path("runs").glob("walk_market*/*"))


def test_tickers_without_a_common_day_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    table = panel_table(rows=400)
    apart = (pl.col("ticker") == "t0") == (pl.col("date") < date(2020, 7, 1))
    table.filter(apart).write_parquet("panel.parquet")
    assert main(["walk-forward", TRAJECTORY, "--", *PANEL]) == 2
    assert "t0, t1 share no day" in capsys.readouterr().err
