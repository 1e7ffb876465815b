from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from datamodules import MarketPanel, PanelDataModule, PanelFile
from lightning_app.__main__ import main
from tests.conftest import CONFIGS, only_run


def panel_table(rows: int = 300, tickers: int = 2) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    days = [date(2020, 1, 1) + timedelta(days=day) for day in range(rows)]
    return pl.concat(
        pl.DataFrame(
            {
                "ticker": [f"t{index}"] * rows,
                "date": days,
                "close": 50 * np.exp(0.01 * rng.standard_normal(rows).cumsum()),
            }
        )
        for index in range(tickers)
    )


def module(table: pl.DataFrame | None = None, **options: Any) -> PanelDataModule:
    (panel_table() if table is None else table).write_parquet("panel.parquet")
    return PanelDataModule(panel=PanelFile(path="panel.parquet"), **{"horizon": 10, "batch_size": 2, **options})


def origins_and_targets(data: PanelDataModule, split: str) -> tuple[set[int], set[int]]:
    rows = data.origins(split)  # type: ignore[arg-type]
    origins = set(rows[:, 0].tolist()) - {-1}
    return origins, {origin + step for origin in origins for step in range(1, data.horizon + 1)}


def test_no_value_is_a_target_of_two_splits() -> None:
    data = module(val_stride=1, test_stride=1)
    parts = {split: origins_and_targets(data, split) for split in ("train", "val", "test")}
    for one, other in (("train", "val"), ("val", "test")):
        assert max(parts[one][1]) < min(parts[other][1])
        assert min(parts[other][0]) - max(parts[one][0]) > data.horizon
    assert max(parts["test"][1]) == 299


def test_every_origin_of_a_split_is_streamed_once_with_what_follows_it() -> None:
    table = panel_table().with_row_index("row")
    data = module(table, chunk_size=16, test_stride=3, context=20)
    values = np.concatenate([ticker.values for ticker in data.tickers])
    for split, loader in (("train", data.train_dataloader()), ("test", data.test_dataloader())):
        seen = []
        for batch in loader:
            rows = batch["row"][batch["valid"]].numpy()
            seen += rows.tolist()
            assert np.allclose(batch["values"][batch["valid"]], values[rows])
            assert np.allclose(batch["future"][batch["valid"]], values[rows[:, None] + np.arange(1, 11)])
        origins = data.origins(split)  # type: ignore[arg-type]
        expected = (origins + data.offsets[:-1])[origins >= 0]
        assert sorted(seen) == sorted(expected.tolist())


def test_streams_of_test_begin_with_context_and_never_with_the_future() -> None:
    data = module(context=20)
    stream = data.dataset("test")
    first = data.origins("test")[0]
    assert (stream.documents[:, 0] == first - 20 + data.offsets[:-1]).all()


def test_tickers_may_begin_late_and_have_holidays() -> None:
    table = panel_table()
    late = (pl.col("ticker") == "t1") & (pl.col("date") < date(2020, 8, 20))
    holiday = (pl.col("ticker") == "t1") & (pl.col("date") == date(2020, 10, 1))
    data = module(table.filter(~late & ~holiday), test_stride=1, val_stride=1)
    assert (data.origins("train")[:, 1] == -1).all()
    assert len(data.dataset("train").documents) == 1
    assert len(data.dataset("test").documents) == 2
    days, values = data.table()
    assert values.shape == (len(days), 2)
    assert len(days) == 300 - 232 - 1


@pytest.mark.usefixtures("rendered")
def test_the_last_row_of_each_ticker_is_forecast_from(tmp_path: Path) -> None:
    panel_table().write_parquet("panel.parquet")
    panel = ("--data.panel=PanelFile", "--data.panel.path=panel.parquet", "--data.horizon=10", "--data.batch_size=2")
    config = str(CONFIGS / "recurrent/market_lstm63.yaml")
    few = ("--trainer.max_epochs=1", "--model.warm_up=8", "--trainer.num_sanity_val_steps=-1")
    assert main(["fit", "-c", config, *panel, *few]) == 0
    checkpoint = str(only_run(Path("runs")) / "checkpoints/best.ckpt")
    assert main(["predict", "--ckpt_path", checkpoint]) == 0
    table = pl.read_parquet(only_run(Path("runs")) / "predictions.parquet")
    assert table.columns[:4] == ["series", "origin", "step", "volatility"]
    assert table.select("series", "step").rows() == [(name, step) for name in ("t0", "t1") for step in range(1, 11)]
    assert table["origin"].unique().to_list()[0].date() == date(2020, 10, 26)
    quantiles = table.drop("series", "origin", "step", "volatility").to_numpy()
    assert (np.diff(quantiles, axis=1) >= 0).all()

    assert main(["test", "--ckpt_path", checkpoint]) == 0
    report = (only_run(Path("runs")) / "report.md").read_text()
    assert "## model against classical" in report
    assert "no skill is claimed" in report  # noise
    assert (only_run(Path("runs")) / "forecast.png").exists()


def test_the_untrained_model_is_kept_where_training_only_makes_it_worse(tmp_path: Path) -> None:
    panel_table().write_parquet("panel.parquet")
    panel = ("--data.panel=PanelFile", "--data.panel.path=panel.parquet", "--data.horizon=10", "--data.batch_size=2")
    worse = ("--trainer.max_epochs=1", "--model.warm_up=8", "--model.optimizer.lr=30", "--trainer.callbacks=[]")
    assert main(["fit", "-c", str(CONFIGS / "recurrent/market_lstm63.yaml"), *panel, *worse]) == 0
    import torch

    checkpoint = torch.load(only_run(Path("runs")) / "checkpoints/best.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 0
    assert checkpoint["state_dict"]["head.correction.weight"].eq(0).all()


def test_bundled_markets_are_read() -> None:
    data = PanelDataModule(panel=MarketPanel(symbols=["sp500", "wti"]))
    assert [ticker.name for ticker in data.tickers] == ["sp500", "wti"]
    assert data.protocol()["split"].startswith("to 20")


BAD_TABLES = {
    "sorted twice": (lambda table: pl.concat([table, table.head(1)]), "2 rows repeat a day of their ticker"),
    "empty column": (
        lambda table: table.with_columns(close=pl.when(pl.col("ticker") == "t1").then(pl.col("close"))),
        "t0 has no number in 'close'; leave it out",
    ),
    "no rows": (lambda table: table.head(0), "panel.parquet has no rows"),
    "no such column": (lambda table: table.rename({"close": "last"}), "no column 'close'; it has ticker, date, last"),
    "no such time column": (
        lambda table: table.rename({"date": "day"}),
        "no column 'date'; it has .*; data.panel.time_column names that of times",
    ),
    "constant": (
        lambda table: table.with_columns(close=pl.when(pl.col("ticker") == "t1").then(pl.col("close")).otherwise(7.0)),
        "t0 is constant at 7; leave it out",
    ),
    "zero price": (
        lambda table: table.with_columns(
            close=pl.when(pl.col("date") == date(2020, 2, 3)).then(0.0).otherwise(pl.col("close"))
        ),
        "t0 is 0 on 2020-02-03, which has no logarithm; use model.units: level with data.positive: false",
    ),
    "too short": (
        lambda table: table.filter(pl.col("date") < date(2020, 1, 9)),
        "t0 has 8 rows, at least 22 are needed",
    ),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_bad_tables_are_named(name: str) -> None:
    change, message = BAD_TABLES[name]
    with pytest.raises(ValueError, match=message):
        module(change(panel_table())).setup("fit")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"horizon": 0}, "data.horizon: 0 given"),
        ({"test_stride": 0}, "data.test_stride: 0 given"),
        ({"context": -1}, "data.context: -1 given"),
        ({"split": (0.8, 0.7, 1.0)}, "three shares that ascend"),
        ({"chunk_size": 0}, "data.chunk_size: 0 given"),
        ({"split": (0.5, 0.52, 1.0)}, "the val part of .* holds no origin with 10 values after it"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        module(**options).setup("fit")


def test_zero_and_negative_levels_are_fine_without_logarithms(tmp_path: Path) -> None:
    table = panel_table().with_columns(close=pl.col("close") - 50)
    table.write_parquet("panel.parquet")
    panel = ("--data.panel=PanelFile", "--data.panel.path=panel.parquet", "--data.horizon=10", "--data.batch_size=2")
    options = (*panel, "--data.positive=false", "--model.units=level", "--model.warm_up=8", "--trainer.max_epochs=1")
    assert main(["fit", "-c", str(CONFIGS / "recurrent/market_lstm63.yaml"), *options]) == 0


def test_rows_without_a_number_are_no_rows() -> None:
    table = panel_table().with_columns(
        close=pl.when(pl.col("date") == date(2020, 2, 3)).then(float("nan")).otherwise(pl.col("close"))
    )
    data = module(table)
    assert [len(ticker.values) for ticker in data.tickers] == [299, 299]


def test_a_ticker_shorter_than_one_chunk_is_streamed_whole() -> None:
    data = module(panel_table(rows=60), chunk_size=64, split=(0.5, 0.75, 1.0))
    (batch,) = data.train_dataloader()
    assert int(batch["valid"].sum()) == 2 * (30 - 10)


def fit(*options: str) -> int:
    panel = ("--data.panel=PanelFile", "--data.panel.path=panel.parquet", "--data.horizon=10", "--data.batch_size=2")
    few = ("--trainer.max_epochs=1", "--model.warm_up=8")
    return main(["fit", "-c", str(CONFIGS / "recurrent/market_lstm63.yaml"), *panel, *few, *options])


def test_tickers_that_start_late_or_end_early_are_fitted_and_tested_by_the_others() -> None:
    table = panel_table(tickers=3)
    late = (pl.col("ticker") == "t1") & (pl.col("date") < date(2020, 8, 20))
    gone = (pl.col("ticker") == "t2") & (pl.col("date") > date(2020, 8, 1))
    table.filter(~late & ~gone).write_parquet("panel.parquet")
    assert fit() == 0
    checkpoint = str(only_run(Path("runs")) / "checkpoints/best.ckpt")
    assert main(["test", "--ckpt_path", checkpoint]) == 0
    assert "without an origin in the test part: t2" in (only_run(Path("runs")) / "report.md").read_text()


def test_days_before_1970_are_days() -> None:
    data = module(panel_table().with_columns(pl.col("date").dt.offset_by("-80y")), chunk_size=16)
    assert len(data.origins("train")) == 204 - 10


def test_other_quantiles_are_tested_without_the_comparison() -> None:
    panel_table().write_parquet("panel.parquet")
    assert fit("--model.quantiles=[0.1,0.5,0.9]") == 0
    checkpoint = str(only_run(Path("runs")) / "checkpoints/best.ckpt")
    assert main(["test", "--ckpt_path", checkpoint]) == 0
    assert "Not compared: model.quantiles lacks" in (only_run(Path("runs")) / "report.md").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--data.positive=false",), "model.units: 'log_return' given with data.positive: false"),
        (("--data.context=4",), "data.context: 4 given, at least model.warm_up 8 is needed"),
        (("--model.warm_up=250", "--data.context=300"), "no series has an origin to train on"),
    ],
)
def test_what_model_and_data_do_not_agree_on_is_named(
    options: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    panel_table().write_parquet("panel.parquet")
    assert fit(*options) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"date": pl.when(pl.col("close") > 50).then(pl.col("date"))}, "rows have no timestamp in 'date'"),
        ({"ticker": pl.when(pl.col("close") > 50).then(pl.col("ticker"))}, "'ticker' is empty in row"),
        ({"close": pl.lit("1,234.5")}, "column 'close' holds '1,234.5' in row 1 and .* more cells.*no decimal comma"),
    ],
)
def test_rows_that_cannot_be_read_are_refused(change: dict[str, pl.Expr], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        module(panel_table().with_columns(**change)).setup("fit")


def test_a_file_with_one_series_needs_no_tickers() -> None:
    panel_table(tickers=1).drop("ticker").write_csv("one.csv")
    panel = ("--data.panel=PanelFile", "--data.panel.path=one.csv", "--data.panel.ticker_column=", "--data.horizon=10")
    few = ("--trainer.max_epochs=1", "--model.warm_up=8", "--data.batch_size=1")
    assert main(["fit", "-c", str(CONFIGS / "recurrent/market_lstm63.yaml"), *panel, *few]) == 0


def test_days_with_a_zone_are_said_to_be_read_as_utc() -> None:
    table = panel_table().with_columns(pl.col("date").cast(pl.Datetime("us")).dt.replace_time_zone("Europe/Berlin"))
    assert module(table).notes() == [
        "timestamps with a zone (Europe/Berlin): read as UTC, where a day may be another one"
    ]
    assert module().notes() == []


def test_texts_of_times_with_a_zone_are_read_as_utc_and_said_to_be() -> None:
    naive = module().tickers[0].times
    for offset, hours in (("+00:00", 0), ("-05:00", 5)):
        texts = pl.col("date").cast(pl.Datetime("us")).dt.to_string("%Y-%m-%d %H:%M:%S") + offset
        panel_table().with_columns(texts).write_csv("zoned.csv")
        read = PanelDataModule(panel=PanelFile(path="zoned.csv"), horizon=10, batch_size=2)
        assert np.array_equal(read.tickers[0].times, naive + np.timedelta64(hours, "h"))
        assert read.notes() == ["timestamps with a zone (UTC): read as UTC, where a day may be another one"]


@pytest.mark.parametrize(
    ("date", "message"),
    [
        (
            pl.when(pl.col("close") > 50)
            .then(pl.lit("1999-01-22 00:00:00+00:00"))
            .otherwise(pl.col("date").cast(pl.Date).cast(pl.String)),
            r"'date' does not read as ISO 8601 \('.*' in row \d+\); [\d,]+ of [\d,]+ times have a zone: give one",
        ),
        (pl.col("date").cast(pl.Datetime("us")).dt.time(), "the time column 'date' holds Time"),
        (pl.col("date").cast(pl.Datetime("us")) - pl.datetime(1999, 1, 22), "the time column 'date' holds Duration"),
    ],
)
def test_a_time_column_that_names_no_moments_is_refused_in_one_line(date: pl.Expr, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        module(panel_table().with_columns(date=date)).setup("fit")
    assert "\n" not in str(refused.value)


def test_columns_of_a_wide_file_that_begin_late_or_end_early_are_read_where_they_have_numbers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    wide = panel_table().pivot("ticker", index="date", values="close").with_row_index("row")
    row = pl.col("row")
    late = pl.when(row >= 150, row != 200).then("t1")
    wide.with_columns(late, ended=pl.when(row < 200).then("t0"), note=pl.lit("x")).drop("row").write_csv("wide.csv")
    wide_file = ("--data.panel=PanelFile", "--data.panel.path=wide.csv", "--data.panel.value_columns=all")
    args = ("--data.horizon=10", "--data.batch_size=2", "--trainer.max_epochs=1", "--model.warm_up=8")
    config = ["fit", "-c", str(CONFIGS / "recurrent/market_lstm63.yaml"), *wide_file, *args]
    assert main(config) == 2
    assert "column 'note' holds 'x' in line 2" in (said := capsys.readouterr().err)
    assert "leave the column out by name: data.panel.exclude: [note]" in said
    assert main([*config, "--data.panel.exclude=[note]"]) == 0
    said = capsys.readouterr().out
    assert "data: rows before the first or after the last number of a series: ended 100, t1 150" in said
    assert "data: rows without a number left out: t1 1" in said
