"""Long histories: sums, means and deviations lose no digits, whatever came before the window."""

import math
import statistics
from datetime import datetime, timedelta
from fractions import Fraction

import numpy as np
import polars as pl
import pytest

from features.batch import training_table
from features.batch.ranges import Ranges
from features.batch.sums import range_means, range_stds, range_sums
from features.definitions import Aggregate, Column, Decayed, Definitions, Feature, FeatureView, Source

START = datetime(2020, 1, 1)


def _ranges(rng: np.random.Generator, size: int, count: int) -> Ranges:
    ends = np.sort(rng.integers(0, size + 1, (count, 2)), axis=1)
    ends[: count // 2, 0] = np.maximum(ends[: count // 2, 1] - 5, 0)
    return Ranges(low=ends[:, 0], high=ends[:, 1])


@pytest.mark.parametrize("kind", ["normal", "huge then small", "cancelling", "far from zero"])
def test_sums_and_deviations_are_those_of_exact_arithmetic(kind: str) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=3000)
    if kind == "huge then small":
        values[:1500] *= 1e15
        values[1500:] *= 1e-6
    elif kind == "cancelling":
        values = np.stack([values * 1e12, -values * 1e12, rng.normal(size=3000)], axis=1).ravel()[:3000]
    elif kind == "far from zero":
        values += 1e9
    ranges = _ranges(rng, len(values), 300)
    sums, stds = range_sums(values, ranges), range_stds(values, ranges)
    for row, (low, high) in enumerate(zip(ranges.low, ranges.high, strict=True)):
        window = values[low:high].tolist()
        assert math.isclose(sums[row], math.fsum(window), rel_tol=1e-14, abs_tol=1e-300)
        if len(window) > 1:
            exact = statistics.variance([Fraction(value) for value in window])
            assert math.isclose(stds[row], math.sqrt(exact), rel_tol=1e-9)


def test_the_deviation_of_a_constant_window_is_exactly_zero() -> None:
    values = np.concatenate([np.random.default_rng(0).normal(size=1000) * 1e8, np.full(1000, 0.1), [0.1, 0.3]])
    low = np.array([1000, 1500, 999, 2000])
    assert (range_stds(values, Ranges(low=low, high=np.array([2001, 1502, 1001, 2002]))) > 0).tolist() == [
        False, False, True, True,
    ]  # fmt: skip


def test_infinite_values_stay_in_their_windows() -> None:
    values = np.array([1.0, np.inf, 2.0, -np.inf, 3.0])
    ranges = Ranges(low=np.array([0, 2, 1, 0, 4]), high=np.array([1, 3, 3, 5, 5]))
    np.testing.assert_array_equal(range_sums(values, ranges), [1, 2, np.inf, np.nan, 3])


def test_the_largest_numbers_stay_in_their_windows() -> None:
    largest = np.finfo(np.float64).max  # as some write "no data"
    values = np.array([-largest, -largest, 1.0, 2.0, 4.0, 1e-200, 3e-200, largest])
    ranges = Ranges(low=np.array([0, 0, 2, 2, 5, 7]), high=np.array([1, 2, 4, 5, 7, 8]))
    np.testing.assert_allclose(range_sums(values, ranges), [-largest, -np.inf, 3, 7, 4e-200, largest])
    np.testing.assert_allclose(range_means(values, ranges), [-largest, -largest, 1.5, 7 / 3, 2e-200, largest])
    stds = [np.nan, 0, math.sqrt(0.5), math.sqrt(7 / 3), math.sqrt(2) * 1e-200, np.nan]
    np.testing.assert_allclose(range_stds(values, ranges), stds)


def _table(features: dict[str, Feature], events: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    definitions = Definitions(
        sources={"log": Source(time="time", columns={"x": Column(type="float")})},
        views={"v": FeatureView(source="log", features=features)},
    )
    return training_table(definitions, rows, tables={"log": events})


@pytest.mark.slow
def test_a_window_of_half_a_million_events_agrees_with_their_sum() -> None:
    rng = np.random.default_rng(0)
    count = 500_000
    values = rng.lognormal(sigma=4, size=count)
    times = pl.Series([START]).new_from_index(0, count) + pl.Series(np.arange(count)).cast(pl.Duration("ms"))
    rows = pl.DataFrame({"time": [START + timedelta(milliseconds=at) for at in (1, 1000, 123_456, 499_999, 500_000)]})
    table = _table(
        {
            "all": Aggregate(function="sum", column="x"),
            "std": Aggregate(function="std", column="x"),
            "short": Aggregate(function="sum", column="x", window="5ms"),
            "distinct": Aggregate(function="distinct", column="x", window="100s"),
            "decayed": Decayed(function="sum", column="x", half_life="20s"),
        },
        pl.DataFrame({"time": times, "x": values}),
        rows,
    )
    for row, end in enumerate((1, 1000, 123_456, 499_999, 500_000)):
        window = values[:end]
        assert math.isclose(table["all"][row], math.fsum(window), rel_tol=1e-15)
        assert math.isclose(table["short"][row], math.fsum(values[max(end - 5, 0) : end]), rel_tol=1e-15)
        assert table["distinct"][row] == len(set(values[max(end - 100_000, 0) : end]))
        weights = 0.5 ** ((end - np.arange(end)) / 20_000)
        assert math.isclose(table["decayed"][row], math.fsum(weights * window), rel_tol=1e-11)
        if end > 1:
            assert math.isclose(
                table["std"][row],
                window.std(ddof=1),
                rel_tol=1e-9,
            )
