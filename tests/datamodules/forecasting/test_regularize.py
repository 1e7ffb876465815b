from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from datamodules.forecasting.series import Series, build_series
from features.series.calendar import extend
from tests.conftest import waves


def build(frame: pl.DataFrame, missing: str = "error", frequency: str | None = "1h") -> Series:
    return build_series(
        frame, name="table", time_column="time", frequency=frequency, missing=missing, columns=["c0", "c1"]
    )


def with_gap(frame: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([frame[:10], frame[13:]])


def with_nan(frame: pl.DataFrame) -> pl.DataFrame:
    values = frame["c0"].to_numpy().copy()
    values[10:13] = [np.nan, np.inf, -np.inf]
    return frame.with_columns(pl.Series("c0", values))


def with_duplicates(frame: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([frame[:11], frame[10:11].with_columns(pl.lit(99.0).alias("c0")), frame[11:]])


def unsorted(frame: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([frame[:5], frame[10:], frame[5:10]])


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (with_gap, "3 steps of 1h are absent (first: 2024-01-01 10:00:00)"),
        (with_nan, "3 values are NaN, infinite or empty (first: column 'c0' at 2024-01-01 10:00:00, row 11)"),
        (with_duplicates, "1 rows repeat a timestamp (first: 2024-01-01 10:00:00)"),
        (unsorted, "timestamps are not sorted (2024-01-01 05:00:00 comes after 2024-01-17 15:00:00"),
    ],
)
def test_error_policy_refuses_and_says_where(broken, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        build(broken(waves()))
    assert message in str(caught.value)
    assert "data.missing" in str(caught.value)


@pytest.mark.parametrize("policy", ["fill", "mask"])
@pytest.mark.parametrize("broken", [with_gap, with_nan])
def test_missing_values_are_carried_forward_and_remembered(broken, policy: str) -> None:
    series = build(broken(waves()), policy)
    whole = build(waves())
    assert len(series) == len(whole)
    assert series.values[10:13, 0].tolist() == [whole.values[9, 0]] * 3
    assert not series.observed[10:13, 0].any()
    assert series.observed[13:].all()
    np.testing.assert_array_equal(series.values[13:], whole.values[13:])


def test_of_duplicated_rows_the_last_counts() -> None:
    assert build(with_duplicates(waves()), "fill").values[10, 0] == 99.0


def test_unsorted_rows_are_put_in_order() -> None:
    np.testing.assert_array_equal(build(unsorted(waves()), "fill").values, build(waves()).values)


def test_a_gap_at_the_beginning_takes_the_first_known_value() -> None:
    frame = waves().with_row_index().with_columns(pl.when(pl.col("index") > 3).then(pl.col("c1")).alias("c1"))
    series = build(frame, "fill")
    assert series.values[:4, 1].tolist() == [series.values[4, 1]] * 4


def test_uneven_steps_are_accepted_without_a_frequency() -> None:
    assert len(build(with_gap(waves()), frequency=None)) == 397


def test_a_timestamp_off_the_grid_names_the_frequency() -> None:
    frame = waves().with_columns(
        pl.when(pl.int_range(400) == 7)
        .then(pl.col("time") + timedelta(minutes=5))
        .otherwise(pl.col("time"))
        .alias("time")
    )
    with pytest.raises(ValueError, match="not a multiple of 1h"):
        build(frame, "fill")


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (waves().clear(), "has no rows"),
        (waves().drop("c1"), "no column named 'c1'"),
        (
            waves().with_columns(pl.lit("x").alias("c1")),
            "column 'c1' holds 'x' in row 1 and 399 more cells like it, expected a number",
        ),
        (waves().with_columns(pl.lit(None, dtype=pl.Float64).alias(name) for name in ("c0", "c1")), "hold no number"),
        (waves().with_columns(pl.lit("soon").alias("time")), "does not read as ISO 8601"),
        (waves().with_columns(pl.lit(3).alias("time")), "expected text or timestamps"),
    ],
)
def test_tables_that_cannot_be_used_say_why(frame: pl.DataFrame, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(frame)


MONTH_ENDS = ["2019-11-30", "2019-12-31", "2020-01-31", "2020-02-29", "2020-03-31", "2020-04-30", "2020-05-31"]


@pytest.mark.parametrize(
    ("first", "later"),
    [(MONTH_ENDS, ["2020-06-30", "2020-07-31"]), (["2020-01-30", "2020-02-29", "2020-03-30"], ["2020-04-30"])],
)
def test_months_are_counted_from_the_first_or_from_end_to_end(first: list[str], later: list[str]) -> None:
    frame = pl.DataFrame({"time": first, "c0": range(len(first)), "c1": range(len(first))})
    times = build(frame, frequency="1mo").times
    assert extend(times, "1mo", len(first) + len(later)).astype("datetime64[D]").astype(str).tolist() == first + later


def test_a_column_may_be_called_time_but_has_one_role_and_one_place() -> None:
    frame = waves().rename({"time": "when", "c0": "time"})
    arguments = {"name": "table", "time_column": "when", "frequency": "1h", "missing": "error"}
    series = build_series(frame, columns=["time", "c1"], **arguments)
    assert np.array_equal(series.values[:, 0], frame["time"].to_numpy())
    with pytest.raises(ValueError, match="'c1' is named for two roles"):
        build_series(frame, columns=["c1", "c1"], num_channels=1, **arguments)
    with pytest.raises(ValueError, match="'c1' occurs twice in the header"):
        build_series(frame.with_columns(c1_duplicated_0=0), columns=["c1"], **arguments)


def test_past_covariates_may_be_empty_beyond_the_last_target_and_truth_values() -> None:
    frame = waves().with_columns(pl.when(pl.int_range(pl.len()) < 40).then(pl.col("c0")), holiday=pl.col("c1") > 0)
    frame = frame.with_columns(pl.when(pl.int_range(pl.len()) < 40).then(pl.col("c1")))
    series = build_series(
        frame,
        name="table",
        time_column="time",
        frequency="1h",
        missing="error",
        columns=["c0", "c1", "holiday"],
        num_channels=1,
        num_past_covariates=1,
    )
    assert len(series) == 40
    assert np.array_equal(series.future_covariates[:, 0], frame["holiday"].to_numpy())


@pytest.mark.parametrize(("time_format", "pattern"), [("%Y%m%d", "%Y%m%d"), ("%s", "%s")])
def test_whole_numbers_are_times_where_their_format_is_stated(time_format: str, pattern: str) -> None:
    days = waves().with_columns(
        pl.Series("time", [datetime(2020, 1, 1) + timedelta(days=i) for i in range(len(waves()))])
    )
    numbers = days.with_columns(pl.col("time").dt.strftime(pattern).cast(pl.Int64))
    arguments = {"name": "table", "time_column": "time", "frequency": "1d", "missing": "error", "columns": ["c0"]}
    series = build_series(numbers, time_format=time_format, **arguments)
    assert np.array_equal(series.times, days["time"].to_numpy())
    with pytest.raises(ValueError, match="of whole numbers state the time_format"):
        build_series(numbers, **arguments)
