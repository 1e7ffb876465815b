"""Long tables: series of different lengths under one global model, answered under their names."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from datamodules import ForecastingDataModule, LongForecastingDataModule, LongTableFile
from lightning_app.__main__ import main
from lightning_app.packaging import BadRowsError, Package
from tests.conftest import only_run

LOOK_BACK, HORIZON = 48, 12


def shops() -> pl.DataFrame:
    """Five shops of different size and age: one is too short for a window, one has a gap."""
    rng = np.random.default_rng(0)
    parts = []
    for index, (rows, scale, start) in enumerate(
        [(300, 1, 0), (200, 1000, 50), (400, 10, 10), (30, 5, 0), (120, 3, 9)]
    ):
        steps = np.arange(rows)
        sales = scale * (10 + np.sin(2 * np.pi * steps / 24) + 0.1 * rng.standard_normal(rows))
        times = [datetime(2024, 1, 1) + timedelta(hours=int(step) + start) for step in steps]
        shop = {"shop": [f"{index:03d}"] * rows, "when": times, "sales": sales}
        parts.append(pl.DataFrame(shop).with_columns(size=pl.lit(float(scale)), kind=pl.lit("ab"[index % 2])))
    return pl.concat(parts).filter(~((pl.col("shop") == "002") & pl.int_range(pl.len()).is_between(600, 603)))


def data_module(path: Path, **options: object) -> LongForecastingDataModule:
    source = LongTableFile(
        path=path, id_column="shop", time_column="when", value_column="sales", frequency="1h", **options
    )
    return LongForecastingDataModule(series=source, look_back=LOOK_BACK, horizon=HORIZON, missing="fill")


@pytest.fixture
def table_path(tmp_path: Path) -> Path:
    shops().write_csv(tmp_path / "shops.csv")
    return tmp_path / "shops.csv"


def test_windows_stay_within_their_series_and_split(table_path: Path) -> None:
    data = data_module(table_path)
    long = data.long
    assert long.lengths.tolist() == [300, 200, 400, 30, 120]
    for split, bounds in (("train", (0.0, 0.7)), ("val", (0.7, 0.8)), ("test", (0.8, 1.0))):
        for start, length, origins in zip(long.starts, long.lengths, long.origins(split), strict=True):
            first, last = max(int(bounds[0] * length), LOOK_BACK), int(bounds[1] * length) - HORIZON
            assert (origins - start).tolist() == list(range(first, last + 1))
    dataset = data.dataset("test")
    batch = dataset.__getitems__(np.arange(len(dataset)))
    assert batch["past"].shape[1:] == (LOOK_BACK, 1)
    assert not {"past_mask", "static_covariates"} & batch.keys()
    assert batch["past"].abs().max() < 5  # in units of each series, from 1 to 1,000


def test_what_is_short_or_filled_is_counted_and_named(table_path: Path) -> None:
    notes = "\n".join(data_module(table_path).notes())
    assert "1 of 5 series too short for train: 003" in notes
    assert "series 002: 396 rows read, 400 used: 4 rows inserted in gaps; values filled: sales 4" in notes


def test_a_date_splits_all_series_alike(table_path: Path) -> None:
    data = data_module(table_path, split=("2024-01-07", "2024-01-09", 1.0))
    times = data.series.times
    train = times[np.concatenate(data.long.origins("train")) + HORIZON - 1]
    test = times[np.concatenate(data.long.origins("test"))]
    assert train.max() < np.datetime64("2024-01-07")
    assert test.min() >= np.datetime64("2024-01-09")


def test_statistics_are_of_training_rows_and_known_series(table_path: Path) -> None:
    changed = shops().with_columns(sales=pl.when(pl.col("when") > datetime(2024, 1, 16)).then(1e6).otherwise("sales"))
    changed.write_csv(table_path.with_name("later.csv"))
    before, after = (
        data_module(path).long.spec.scales["002"] for path in (table_path, table_path.with_name("later.csv"))
    )
    assert before == after


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda table: table.vstack(table.tail(20)), {}, "14.3% of the data would be dropped"),
        (lambda table: table.with_columns(shop=None), {}, "1046 rows have no series in 'shop'"),
        (lambda table: table.with_columns(sales=pl.lit("many")), {}, "'sales' holds 'many' in line 2"),
        (lambda table: table.head(40), {}, "none of its 1 series has look_back 48 . horizon 12 training rows"),
        (lambda table: table, {"static_attributes": ["sales"]}, "series '000' has several values of sales"),
        (lambda table: table.drop("when"), {}, "no column 'when'"),
    ],
)
def test_a_long_table_that_does_not_fit_is_refused(
    table_path: Path, change: Callable[[pl.DataFrame], pl.DataFrame], options: dict[str, object], message: str
) -> None:
    change(shops()).write_csv(table_path)
    with pytest.raises(ValueError, match=message):
        _ = data_module(table_path, **options).long


def test_a_long_table_needs_the_data_module_of_long_tables(table_path: Path) -> None:
    source = LongTableFile(path=table_path, id_column="shop", time_column="when", value_column="sales")
    data = ForecastingDataModule(series=source, look_back=LOOK_BACK, horizon=HORIZON)
    with pytest.raises(ValueError, match="is a long table of many series; use LongForecastingDataModule"):
        data.setup("fit")


CONFIG = """
seed_everything: 3
trainer: {{max_epochs: 1, limit_train_batches: 10, accelerator: cpu, logger: false}}
model:
  class_path: Forecaster
  init_args:
    network:
      class_path: PatchTransformer
      init_args:
        patch_size: 12
        stride: 12
        hidden_size: 8
        feed_forward_size: 8
        num_layers: 1
        num_heads: 2
        quantiles: [0.1, 0.5, 0.9]
        norm: {{class_path: ReversibleNorm, init_args: {{mode: last}}}}
    loss: {{class_path: PinballLoss, init_args: {{quantiles: [0.1, 0.5, 0.9]}}}}
    optimizer: {{class_path: AdamW, init_args: {{lr: 0.004}}}}
data:
  class_path: LongForecastingDataModule
  init_args:
    series:
      class_path: LongTableFile
      init_args:
        path: {path}
        id_column: shop
        time_column: when
        value_column: sales
        frequency: 1h
        static_attributes: [size, kind]
        static_path: {static}
    missing: fill
    calendar: [hour]
    look_back: 48
    horizon: 12
    batch_size: 16
"""


def test_one_model_of_all_series_is_trained_tested_and_answers_raw_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    attributes = shops().select("shop", "size", "kind").unique(maintain_order=True)
    attributes.write_csv(tmp_path / "static.csv")
    table = shops().drop("size", "kind")
    table.write_csv(tmp_path / "shops.csv")
    (tmp_path / "long.yaml").write_text(CONFIG.format(path=tmp_path / "shops.csv", static=tmp_path / "static.csv"))
    assert main(["fit", "-c", "long.yaml", "--run.root", "runs"]) == 0
    checkpoint = str(only_run(tmp_path / "runs") / "checkpoints/best.ckpt")
    assert main(["test", "--ckpt_path", checkpoint]) == 0
    capsys.readouterr()
    assert main(["predict", "--ckpt_path", checkpoint]) == 0
    assert "data: 1 of 5 series too short for predict: 003" in capsys.readouterr().out
    assert main(["export", checkpoint, "--output", "package"]) == 0
    (path,) = Path("runs").rglob("predictions.parquet")
    predicted = pl.read_parquet(path)
    assert predicted.columns == ["time", "channel", "q0.1", "q0.5", "q0.9"]
    assert predicted["channel"].unique(maintain_order=True).to_list() == ["000", "001", "002", "004"]
    (errors,) = Path("runs").rglob("channels.csv")
    by_shop = pl.read_csv(errors, schema_overrides={"channel": pl.String})
    assert by_shop["mae"][1] > 20 * by_shop["mae"][0]  # in units of the table
    assert by_shop["values"].to_list()[3] == 0

    package = Package.load("package")
    assert package.manifest.parity["raw_rows"]["max_relative_error"] < 1e-5
    with pytest.raises(BadRowsError, match="series '003': 30 rows up to .*, 48 are needed"):
        package.predict(table)
    usable = table.filter(pl.col("shop") != "003")
    with pytest.warns(UserWarning, match="1 series repaired: 4 rows inserted in gaps, 4 values filled"):
        answer = package.predict(usable)
    assert answer.drop("q0.1", "q0.5", "q0.9").equals(predicted.drop("q0.1", "q0.5", "q0.9"))
    np.testing.assert_allclose(answer["q0.5"].to_numpy(), predicted["q0.5"].to_numpy(), rtol=1e-5)
    capsys.readouterr()
    assert main(["score", "package", "shops.csv", "--output", "all.parquet", "--at", "all"]) == 0
    assert "1 series not answered (003): no row has a history of 48 rows" in capsys.readouterr().out
    score = ["score", "package", "shops.csv", "--output", "scored.parquet", "--max-rejected"]
    assert main([*score, "0"]) == 1
    assert main([*score, "1"]) == 0  # the rejected rows of the same job are not in the way
    assert "already finished" not in capsys.readouterr().out
    assert main([*score, "1"]) == 0
    assert "this job is already finished; nothing was done" in capsys.readouterr().out
    assert main([*score, "1", "--at", "all"]) == 2
    assert "scored.parquet exists; give another output" in capsys.readouterr().err
    np.testing.assert_allclose(pl.read_parquet("scored.parquet")["q0.5"], answer["q0.5"], rtol=1e-5)

    new = usable.filter(pl.col("shop") == "001").with_columns(shop=pl.lit("new"))
    with pytest.raises(BadRowsError, match="series 'new': it was not in training; give its static attributes as colum"):
        package.predict(new)
    new = new.with_columns(size=1000.0, kind=pl.lit("b"))
    with pytest.warns(UserWarning, match="1 series were not in training .new.: scaled by their own look-back"):
        unknown = package.predict(new)
    with pytest.warns(UserWarning, match="kind: c not in training, taken as none of its texts"):
        package.predict(new.with_columns(kind=pl.lit("c")))
    known = predicted.filter(pl.col("channel") == "001")
    np.testing.assert_allclose(unknown["q0.5"].to_numpy(), known["q0.5"].to_numpy(), rtol=0.1)


def test_known_future_covariates_are_given_beyond_the_target(table_path: Path) -> None:
    promo = (pl.col("when").dt.hour() == 9).cast(pl.Float64).alias("promo")
    table = shops().with_columns(promo)
    table.write_csv(table_path)
    with pytest.raises(ValueError, match="the predict split holds no window"):
        data_module(table_path, future_covariates=["promo"]).dataset("predict")
    last = table.filter(pl.col("shop") == "001").tail(1)
    ahead = [last.with_columns(pl.col("when").dt.offset_by(f"{step + 1}h"), sales=None) for step in range(HORIZON)]
    pl.concat([table, *ahead]).with_columns(promo).write_csv(table_path)
    data = data_module(table_path, future_covariates=["promo"])
    batch = data.dataset("predict").__getitems__(np.arange(1))
    assert batch["future_covariates"].shape == (1, LOOK_BACK + HORIZON, 1)
    hours = data.forecast_times(int(batch["origin"][0])).astype("datetime64[h]").astype(int) % 24
    assert batch["future_covariates"][0, LOOK_BACK:, 0].tolist() == (hours == 9).astype(float).tolist()
    assert "4 of 5 series too short for predict: 000, 002, 003, 004" in "\n".join(data.notes())
