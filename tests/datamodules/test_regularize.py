from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from datamodules.series import Series, build_series
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
        (unsorted, "timestamps are not sorted (2024-01-01 05:00:00 stands after 2024-01-17 15:00:00"),
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
