"""Packages of trajectories answer raw panels: as the run predicts, by name and time, or say why not."""

import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from datamodules import PanelFile
from features.series.panel import horizon_times
from lightning_app.__main__ import main
from lightning_app.packaging import BadRowsError, Package, RequestError
from tests.conftest import only_run
from tests.families import HEAD, TRAJECTORY, TrainedFamily, write_panel

HORIZON, WARM_UP, CONTEXT = 10, 64, 100


@pytest.fixture
def trained(family: Callable[[str], TrainedFamily]) -> TrainedFamily:
    return family("trajectory")


@pytest.fixture
def package(trained: TrainedFamily) -> Package:
    return Package.load(trained.package)


@pytest.fixture
def panel(trained: TrainedFamily) -> pl.DataFrame:
    return pl.read_parquet(trained.folder / "panel.parquet")


def assert_same(answer: pl.DataFrame, expected: pl.DataFrame) -> None:
    names = ["series", "origin", "step"]
    assert answer.columns == expected.columns
    assert answer.select(names).equals(expected.select(names))
    np.testing.assert_allclose(answer.drop(names).to_numpy(), expected.drop(names).to_numpy(), rtol=1e-4)


def test_a_raw_panel_is_answered_as_predict_does(
    trained: TrainedFamily, package: Package, panel: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert package.manifest.parity["raw_rows"]["max_relative_error"] < 1e-5
    panel.write_csv("panel.csv")
    assert main(["score", str(trained.package), "panel.csv", "--output", "scored.parquet"]) == 0
    scored = pl.read_parquet("scored.parquet").drop("model_version", "scored_at")
    run = Path.cwd() / "run"
    shutil.copytree(trained.run, run)
    monkeypatch.chdir(trained.folder)  # its config names the panel there
    assert main(["predict", "--ckpt_path", str(run / "checkpoints/best.ckpt")]) == 0
    path = run / "predictions.parquet"
    assert_same(scored, pl.read_parquet(path))
    assert_same(package.predict(panel.sample(fraction=1.0, shuffle=True, seed=0)), scored)


def test_an_answer_depends_on_its_context_alone(package: Package, panel: pl.DataFrame) -> None:
    everywhere = package.predict(panel, at="all")
    assert len(everywhere) == 2 * (400 - WARM_UP) * HORIZON
    origin = date(1970, 12, 1)
    one = everywhere.filter(pl.col("origin").dt.date() == origin)
    assert_same(package.predict(panel, at=[origin]), one)
    upto = panel.filter(pl.col("date") <= origin)
    assert_same(package.predict(upto), one)
    newest = upto.filter(pl.int_range(pl.len()).over("ticker", order_by="date", descending=True) <= CONTEXT)
    assert_same(package.predict(newest), one)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda panel: panel.rename({"close": "Close"}), "close: no such column .target.*; 'Close' is near"),
        (lambda panel: panel.with_columns(close=pl.lit("dear")), "'close' holds 'dear' in row 1"),
        (lambda panel: pl.concat([panel, panel.tail(1)]), "2 rows repeat a day of their ticker .first: B"),
        (lambda panel: panel.with_columns(ticker=None), "'ticker' is empty"),
        (lambda panel: panel.head(0), "no rows"),
        (lambda panel: panel.with_columns(pl.col("date").cast(pl.String) + "T00:00:00Z"), "times in UTC given"),
    ],
)
def test_a_panel_that_does_not_fit_is_refused_with_the_reason(
    package: Package, panel: pl.DataFrame, change: Callable[[pl.DataFrame], pl.DataFrame], message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        package.predict(change(panel))


def test_a_series_that_cannot_be_forecast_is_rejected_and_the_others_are_answered(
    trained: TrainedFamily, package: Package, panel: pl.DataFrame
) -> None:
    bad = pl.concat(
        [
            panel,
            panel.filter(ticker="A").with_columns(ticker=pl.lit("NA"), close=pl.col("close") - 90),
            panel.filter(ticker="A").tail(WARM_UP).with_columns(ticker=pl.lit("007")),
            panel.filter(ticker="A").with_columns(ticker=pl.lit("D"), close=1.0),
        ]
    )
    with pytest.raises(BadRowsError, match="NA is .* no logarithm"):
        package.predict(bad)
    bad.write_csv("bad.csv")
    assert main(["score", str(trained.package), "bad.csv", "--output", "scored.parquet", "--max-rejected", "3"]) == 0
    assert pl.read_parquet("scored.parquet")["series"].unique().sort().to_list() == ["A", "B"]
    reasons = "\n".join(pl.read_parquet("scored.rejected.parquet")["reason"])
    assert "NA is" in reasons
    assert "007 has 64 values up to 1971-02-04T00:00:00.000000, more than 64 are needed" in reasons
    assert "D is constant at 1" in reasons
    with pytest.raises(BadRowsError, match="A has no row at 2031"):
        package.predict(panel, at=[date(2031, 1, 1)])


def test_what_is_left_out_is_said(package: Package, panel: pl.DataFrame) -> None:
    gap = panel.with_columns(pl.when(pl.int_range(pl.len()) != 399).then("close"))
    with pytest.warns(UserWarning, match="1 rows without a number left out"):
        answer = package.predict(gap)
    assert answer["origin"].dt.date().unique().sort().to_list() == [date(1971, 2, 3), date(1971, 2, 4)]
    with pytest.warns(UserWarning, match="columns not read: volume"):
        package.predict(panel.with_columns(volume=1))


@pytest.mark.slow
def test_a_wide_panel_is_trained_on_and_answered_with_times(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_panel(tmp_path)
    wide = pl.read_parquet("panel.parquet").pivot("ticker", index="date", values="close")
    wide.write_csv("wide.csv")
    columns = "{path: wide.csv, value_columns: all, frequency: weekdays}"
    Path("wide.yaml").write_text((HEAD + TRAJECTORY).replace("{path: panel.parquet}", columns))
    assert main(["fit", "-c", "wide.yaml", "--trainer.max_epochs", "1"]) == 0
    assert main(["export", str(only_run(Path("runs"))), "--output", "package"]) == 0
    capsys.readouterr()
    assert main(["package", "show", "package"]) == 0
    assert "weekdays apart" in capsys.readouterr().out
    assert main(["score", "package", "wide.csv", "--output", "scored.parquet"]) == 0
    scored = pl.read_parquet("scored.parquet")
    assert scored["series"].to_list() == ["A"] * HORIZON + ["B"] * HORIZON
    assert scored["time"][:3].dt.date().to_list() == [date(1971, 2, 5), date(1971, 2, 8), date(1971, 2, 9)]
    assert json.loads(Path("package/panel.json").read_text())["columns"]["value_columns"] == ["A", "B"]


def test_a_wide_panel_is_read_as_the_long_one(panel: pl.DataFrame) -> None:
    panel.write_csv("long.csv")
    panel.pivot("ticker", index="date", values="close").write_csv("wide.csv")
    long = PanelFile(path="long.csv").read(root=None)
    wide = PanelFile(path="wide.csv", value_columns=["B", "A"]).read(root=None)
    assert [ticker.name for ticker in wide] == ["A", "B"]
    for one, other in zip(long, wide, strict=True):
        assert (one.times == other.times).all()
        assert (one.values == other.values).all()
    every = PanelFile(path="wide.csv", value_columns="all", exclude=["B"]).read(root=None)
    assert [(ticker.name, ticker.values.tolist()) for ticker in every] == [("A", long[0].values.tolist())]
    with pytest.raises(
        ValueError, match="no column 'ticker'; it has date, A, B; .* value_columns: all takes every one"
    ):
        PanelFile(path="wide.csv").read(root=None)
    with pytest.raises(ValueError, match="value_columns: given with value_column"):
        PanelFile(path="wide.csv", value_columns=["A"], value_column="B")
    with pytest.raises(ValueError, match="'3 days' is not a duration.*or weekdays"):
        PanelFile(path="wide.csv", frequency="3 days")


def test_times_of_the_horizon_follow_the_calendar() -> None:
    origin = np.array(["2024-01-31T12:00"], dtype="datetime64[us]")
    months = horizon_times(origin, 2, "1mo").astype(str)
    assert months.tolist() == [["2024-02-29T12:00:00.000000", "2024-03-31T12:00:00.000000"]]
    assert horizon_times(origin, 3, "weekdays").astype("datetime64[D]").astype(str)[0, -1] == "2024-02-05"
