"""The fast path of a plain table gives the windows of the general one, and leaves all else to it."""

from collections.abc import Callable
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from features.series.plain import PlainWindow
from features.series.regularize import regularize
from features.series.spec import SeriesSpec
from features.series.tables import read_long, read_wide
from features.series.windows import horizon_times, windows_at

STEPS = {"15m": timedelta(minutes=15), "1h": timedelta(hours=1), "1d": timedelta(days=1), "1w": timedelta(weeks=1)}


def spec_of(frequency: str | None) -> SeriesSpec:
    return SeriesSpec(
        time_column="t", targets=("b", "a"), look_back=30, horizon=7, frequency=frequency, past_covariates=("c",),
        calendar=("hour", "month"), channel_attributes=((1.0, 2.0), (3.0, 4.0)), missing="fill",
    )  # fmt: skip


def table_of(step: timedelta) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    times = [datetime(2024, 1, 1) + step * index for index in range(50)]
    return pl.DataFrame({"t": times, "a": rng.standard_normal(50), "b": range(50), "c": rng.standard_normal(50)})


@pytest.mark.parametrize("frequency", STEPS)
def test_the_windows_are_those_of_the_general_path(frequency: str) -> None:
    spec, table = spec_of(frequency), table_of(STEPS[frequency])
    missing = [pl.int_range(pl.len()).is_in(rows) for rows in ([0, 1, 9], [49])]
    gone = [pl.when(rows).then(None).otherwise("a").alias("a") for rows in missing]
    texts = [table.with_columns(pl.col("t").dt.to_string(form)) for form in ("iso", "%Y-%m-%d %H:%M:%S")]
    for rows in (table, *texts, table.tail(30), *(table.with_columns(column) for column in gone)):
        plain = PlainWindow(spec).read(rows)
        assert plain is not None
        series = read_wide(rows, spec, name="table")
        general = windows_at(series, spec, np.array([len(rows)]))
        assert plain[0].keys() == general.keys()
        for name, values in general.items():
            np.testing.assert_array_equal(plain[0][name], values)
            assert plain[0][name].dtype == values.dtype
        np.testing.assert_array_equal(plain[1], horizon_times(series, spec, np.array([len(rows)])))
        assert plain[2] == series.repairs


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.tail(29),
        lambda table: table.filter(pl.int_range(pl.len()) != 20),
        lambda table: table.reverse(),
        lambda table: pl.concat([table, table.tail(1)]),
        lambda table: table.with_columns(a=pl.lit(None, dtype=pl.Float64)),
        lambda table: table.with_columns(pl.when(pl.col("b") < 49).then(pl.col("a", "b"))),
        lambda table: table.with_columns(a=pl.when(pl.col("b") > 40).then("a")),
        lambda table: table.with_columns(
            t=pl.when(pl.col("b") == 7).then(pl.lit("2024-01-01")).otherwise(pl.col("t").dt.to_string("%F %T"))
        ),
        lambda table: table.with_columns(a=pl.col("a") * 1e300),
        lambda table: table.with_columns(pl.col("a").cast(pl.String)),
        lambda table: table.with_columns(t=pl.lit("soon")),
        lambda table: table.with_columns(pl.col("t").dt.replace_time_zone("UTC")),
    ],
)
def test_what_needs_repair_or_a_message_is_not_plain(change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    assert PlainWindow(spec_of("1h")).read(change(table_of(STEPS["1h"]))) is None


@pytest.mark.parametrize("frequency", [None, "1mo", "1y"])
def test_uneven_steps_are_never_plain(frequency: str | None) -> None:
    assert not PlainWindow(spec_of(frequency)).is_possible


@pytest.mark.parametrize("frequency", STEPS)
def test_a_complete_series_of_a_long_table_is_that_of_the_general_path(frequency: str) -> None:
    table = table_of(STEPS[frequency]).with_columns(name=pl.lit("x"))
    spec = SeriesSpec(
        time_column="t", id_column="name", targets=("a",), look_back=30, horizon=7, frequency=frequency,
        past_covariates=("b",), future_covariates=("c",), calendar=("hour", "month"), missing="fill",
    )  # fmt: skip
    (fast,) = read_long(table, spec, name="table")
    (general,) = read_long(table.reverse(), spec, name="table")
    assert fast.series is not None
    assert general.series is not None
    assert general.series.repairs is not None
    assert general.series.repairs.unsorted
    for name in ("times", "values", "observed", "past_covariates", "future_covariates", "static_covariates"):
        np.testing.assert_array_equal(getattr(fast.series, name), getattr(general.series, name))
        assert getattr(fast.series, name).dtype == getattr(general.series, name).dtype


def test_a_wrong_year_is_refused_before_its_gap_is_filled() -> None:
    times = [datetime(2024, 1, 1) + timedelta(hours=hour) for hour in range(60)] + [datetime(9999, 1, 1)]
    table = pl.DataFrame({"time": times, "load": 1.0})
    with pytest.raises(ValueError, match="61 rows from 2024-01-01 .* would become 69,907,417 rows, 1h apart"):
        regularize(
            table, name="load", time_column="time", time_format=None, frequency="1h", columns=["load"],
            num_channels=1, missing="fill",
        )  # fmt: skip
