from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.array_utils import byte_bounds

from datamodules import ETT, ExchangeRate, ForecastingDataModule, TableFile
from datamodules.forecasting.series import Series
from datamodules.forecasting.windows import Windows
from tests.conftest import needs_etth1, needs_exchange, waves


def module(path: Path, **changes: object) -> ForecastingDataModule:
    arguments = {"look_back": 48, "horizon": 12, "batch_size": 16, **changes}
    return ForecastingDataModule(series=TableFile(path=str(path), time_column="time", frequency="1h"), **arguments)


def covariate_series(rows: int = 60) -> Series:
    rng = np.random.default_rng(1)
    return Series(
        times=np.datetime64("2024-01-01", "us") + np.arange(rows + 8) * np.timedelta64(1, "h"),
        values=rng.standard_normal((rows, 3)),
        observed=rng.random((rows, 3)) > 0.2,
        past_covariates=rng.standard_normal((rows, 2)),
        future_covariates=rng.standard_normal((rows + 8, 4)),
        static_covariates=rng.standard_normal((3, 1)),
        channels=("a", "b", "c"),
    )


@needs_etth1
@pytest.mark.parametrize(("horizon", "num_windows"), [(96, 2785), (192, 2689), (336, 2545), (720, 2161)])
def test_etth1_has_the_window_counts_of_the_literature(horizon: int, num_windows: int) -> None:
    data = ForecastingDataModule(series=ETT(), look_back=720, horizon=horizon)
    assert len(data.dataset("test")) == num_windows
    assert len(data.dataset("val")) == num_windows
    assert len(data.dataset("train")) == 8640 - 720 - horizon + 1


@needs_exchange
@pytest.mark.parametrize(("horizon", "num_windows"), [(96, 1422), (192, 1326), (336, 1182), (720, 798)])
def test_exchange_has_the_window_counts_of_the_literature(horizon: int, num_windows: int) -> None:
    assert (
        len(ForecastingDataModule(series=ExchangeRate(), look_back=96, horizon=horizon).dataset("test")) == num_windows
    )


@pytest.mark.parametrize("batch_size", [1, 7, 64, 1000])
def test_no_test_window_is_dropped_or_repeated(table_file: Path, batch_size: int) -> None:
    data = module(table_file, eval_batch_size=batch_size)
    origins = torch.cat([batch["origin"] for batch in data.test_dataloader()]).tolist()
    assert origins == list(range(320, 400 - 12 + 1))


def test_training_windows_end_before_validation_begins(table_file: Path) -> None:
    data = module(table_file)
    first, last = data.dataset("train").origins
    assert first == 48
    assert last - 1 + data.horizon == data.boundaries[0] == 280


@settings(max_examples=40, deadline=None)
@given(
    look_back=st.integers(1, 20),
    horizon=st.integers(1, 8),
    starts=st.lists(st.integers(0, 20), min_size=1, max_size=5),
)
def test_gathered_windows_equal_slices_of_the_series(look_back: int, horizon: int, starts: list[int]) -> None:
    series = covariate_series()
    windows = Windows(series, look_back=look_back, horizon=horizon, origins=(look_back, 60 - horizon + 1), masked=True)
    batch = windows.__getitems__(np.array(starts))
    for row, start in enumerate(starts):
        middle, end = start + look_back, start + look_back + horizon
        expected = {
            "past": series.values[start:middle],
            "future": series.values[middle:end],
            "past_mask": series.observed[start:middle],
            "future_mask": series.observed[middle:end],
            "past_covariates": series.past_covariates[start:middle],
            "future_covariates": series.future_covariates[start:end],
            "static_covariates": series.static_covariates,
        }
        for name, value in expected.items():
            np.testing.assert_array_equal(batch[name][row].numpy(), value.astype(batch[name].numpy().dtype), name)
        assert int(batch["origin"][row]) == middle


def test_windows_are_views_of_one_copy_of_the_series() -> None:
    windows = Windows(covariate_series(), look_back=20, horizon=8, origins=(20, 53), masked=False)
    low, high = byte_bounds(windows._target)
    assert high - low == 60 * 3 * 4


def test_statistics_come_from_training_rows_only(table_file: Path) -> None:
    before = module(table_file).statistics["target"]
    frame = pl.read_csv(table_file)
    changed = frame.with_row_index().with_columns(
        pl.when(pl.col("index") >= 280).then(1e6).otherwise(pl.col("c0")).alias("c0")
    )
    changed.drop("index").write_csv(table_file)
    after = module(table_file).statistics["target"]
    assert torch.equal(before[0], after[0])
    assert torch.equal(before[1], after[1])


def test_statistics_of_a_constant_channel_do_not_divide_by_zero(tmp_path: Path) -> None:
    path = tmp_path / "flat.parquet"
    waves().with_columns(pl.lit(5.0).alias("c1")).write_parquet(path)
    assert module(path).statistics["target"][1][1] == 1.0


def test_order_of_batches_is_a_function_of_seed_and_epoch(table_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def epochs(seed: int) -> list[list[int]]:
        monkeypatch.setenv("PL_GLOBAL_SEED", str(seed))
        data = module(table_file)
        orders = []
        for epoch in range(2):
            monkeypatch.setattr(data, "_position", lambda epoch=epoch: (epoch, 0))
            orders.append(torch.cat([batch["origin"] for batch in data.train_dataloader()]).tolist())
        return orders

    first, again, other = epochs(1), epochs(1), epochs(2)
    assert first == again
    assert first[0] != first[1]
    assert first != other


@pytest.mark.parametrize("num_workers", [0, 2])
def test_workers_give_the_same_batches(table_file: Path, num_workers: int) -> None:
    data = module(table_file, num_workers=num_workers)
    reference = module(table_file)
    for batch, expected in zip(data.train_dataloader(), reference.train_dataloader(), strict=True):
        assert torch.equal(batch["past"], expected["past"])


def test_calendar_features_reach_over_the_horizon_and_beyond_the_end(table_file: Path) -> None:
    data = module(table_file, calendar=["hour", "day_of_week"])
    assert data.num_future_covariates == 2
    batch = next(iter(data.predict_dataloader()))
    assert batch["future_covariates"].shape == (1, 60, 2)
    assert "future" not in batch
    assert np.array_equal(data.forecast_times(400)[:1], np.array(["2024-01-17T16:00"], dtype="datetime64[us]"))


def test_known_future_rows_are_those_without_a_target(tmp_path: Path) -> None:
    path = tmp_path / "future.csv"
    frame = waves().with_columns(pl.int_range(400).alias("price").cast(pl.Float64)).with_row_index()
    frame.with_columns(pl.when(pl.col("index") < 380).then(pl.col(name)).alias(name) for name in ("c0", "c1")).drop(
        "index"
    ).write_csv(path)
    source = TableFile(
        path=str(path), time_column="time", frequency="1h", channels=["c0", "c1"], future_covariates=["price"]
    )
    data = ForecastingDataModule(series=source, look_back=48, horizon=12)
    assert len(data.series) == 380
    batch = next(iter(data.predict_dataloader()))
    assert batch["future_covariates"][0, :, 0].tolist() == list(range(380 - 48, 380 + 12))


def test_predict_without_the_covariates_of_the_future_says_how_many_rows_are_missing(tmp_path: Path) -> None:
    path = tmp_path / "short.csv"
    waves().with_columns(pl.lit(1.0).alias("price")).write_csv(path)
    source = TableFile(path=str(path), time_column="time", frequency="1h", channels=["c0"], future_covariates=["price"])
    data = ForecastingDataModule(series=source, look_back=48, horizon=12)
    with pytest.raises(ValueError, match="known-future covariates of 12 rows"):
        data.predict_dataloader()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"look_back": 0}, "data.look_back: 0"),
        ({"batch_size": 0}, "data.batch_size: 0"),
        ({"horizon": 60}, "the val split holds no window"),
        ({"split": (0.5, 0.4, 1.0)}, "does not ascend"),
        ({"split": (300, 350, 500)}, "does not ascend within the 400 rows"),
    ],
)
def test_impossible_windows_name_the_setting(table_file: Path, changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        module(table_file, **changes).setup("fit")


def test_a_batch_larger_than_the_training_split_is_refused(table_file: Path) -> None:
    with pytest.raises(ValueError, match="1000 x 1 processes is more than the 221 training samples"):
        module(table_file, batch_size=1000).train_dataloader()


def test_missing_rows_are_said_where_no_frequency_refuses_or_fills_them(tmp_path: Path) -> None:
    hours = pl.datetime_range(pl.datetime(2024, 1, 1), pl.datetime(2024, 1, 9), "1h", eager=True)
    table = pl.DataFrame({"time": hours, "load": range(len(hours))}).filter(pl.int_range(pl.len()) != 100)
    table.write_csv(tmp_path / "hours.csv")

    def notes(**arguments: str) -> str:
        source = TableFile(path=tmp_path / "hours.csv", time_column="time", **arguments)
        source.read(root=None, missing="fill")
        return " ".join(source.notes())

    assert "a row is missing between times that are else 1h apart" in notes()
    assert "missing between" not in notes(frequency="1h")
