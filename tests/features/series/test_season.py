"""Seasons: found where values repeat, and nowhere else."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.series.season import calendar_periods, find_seasons, season_strength


def sine(period: int, cycles: int, *, seed: int, noise: float = 0.5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = np.arange(period * cycles)
    return (np.sin(2 * np.pi * (rows / period + rng.random())) + noise * rng.standard_normal(len(rows)))[:, None]


@settings(max_examples=25, deadline=None)
@given(period=st.integers(3, 40), seed=st.integers(0, 2**20))
def test_a_sine_is_found_with_its_period(period: int, seed: int) -> None:
    season = find_seasons([sine(period, 30, seed=seed)])[0]
    assert abs(season.rows - period) <= period // 20  # a row in 20 is within what noise allows
    assert season.strength > 0.4


@pytest.mark.parametrize("steps", [0, 1, 2], ids=["white noise", "random walk", "integrated walk"])
@pytest.mark.parametrize("rows", [30, 200, 1500])
def test_noise_and_walks_have_no_season(steps: int, rows: int) -> None:
    found = []
    for seed in range(12):
        values = np.random.default_rng([seed, rows]).standard_normal((rows, 2))
        for _ in range(steps):
            values = values.cumsum(axis=0)
        found += [seed] if find_seasons([values], calendar=(7, 24, 168)) else []
    assert len(found) <= 1


@settings(max_examples=15, deadline=None)
@given(scale=st.floats(1e-3, 1e4), sign=st.sampled_from([1, -1]), shift=st.floats(-1e4, 1e4), seed=st.integers(0, 99))
def test_units_change_nothing(scale: float, sign: int, shift: float, seed: int) -> None:
    values = sine(12, 30, seed=seed)
    before, now = find_seasons([values]), find_seasons([sign * scale * values + shift])
    assert [season.rows for season in before] == [season.rows for season in now]
    assert [season.strength for season in now] == pytest.approx([season.strength for season in before], rel=1e-3)


def test_a_trend_a_walk_beside_it_gaps_and_outliers_do_not_hide_a_season() -> None:
    rng = np.random.default_rng(0)
    values = sine(24, 40, seed=1) + 0.05 * np.arange(24 * 40)[:, None]
    values[rng.random(len(values)) < 0.2] = np.nan
    values[[100, 900]] = 1e4
    assert find_seasons([values])[0].rows == 24
    beside = np.concatenate([sine(24, 40, seed=1), rng.standard_normal((960, 1)).cumsum(axis=0)], axis=1)
    assert find_seasons([beside])[0].rows == 24


def test_a_sharp_shape_is_found_whole_and_not_by_its_harmonics() -> None:
    rows = np.arange(24 * 40)
    peaks = np.exp(-np.square((rows % 24) - 8) / 4) + 0.8 * np.exp(-np.square((rows % 24) - 18) / 4)
    noisy = peaks + 0.1 * np.random.default_rng(0).standard_normal(len(rows))
    assert find_seasons([noisy[:, None]])[0].rows == 24


def test_a_week_is_taken_where_days_are_much_less_alike() -> None:
    days = np.random.default_rng(0).standard_normal((7, 24))
    values = np.tile(days.flatten(), 30)[:, None]
    assert find_seasons([values], calendar=(24, 168))[0].rows == 168


def test_a_period_near_one_of_the_calendar_is_that_one() -> None:
    values = sine(365, 12, seed=0)
    assert find_seasons([values], calendar=(7, 365))[0].rows == 365


def test_columns_without_numbers_or_without_change_and_short_tables_have_none() -> None:
    tables = [np.full((100, 1), np.nan), np.ones((100, 2)), np.zeros((0, 1)), sine(24, 3, seed=0)]
    assert find_seasons(tables, calendar=(24,)) == ()
    assert season_strength(tables, 50) == 0.0


def test_strength_is_that_of_the_period_asked_for() -> None:
    values = sine(24, 40, seed=0, noise=0.1)
    assert season_strength([values], 24) > 0.9
    assert season_strength([values], 36) < 0.2


@pytest.mark.parametrize(
    ("frequency", "step", "expected"),
    [
        ("1h", timedelta(hours=1), (24, 168)),
        ("15m", timedelta(minutes=15), (4, 96, 672)),
        ("10m", timedelta(minutes=10), (6, 144, 1008)),
        ("1d", timedelta(days=1), (7, 365)),
        ("1w", timedelta(weeks=1), (52,)),
        (None, timedelta(minutes=30), (2, 48, 336)),
        ("7h", timedelta(hours=7), (24,)),
    ],
)
def test_periods_of_the_calendar(frequency: str | None, step: timedelta, expected: tuple[int, ...]) -> None:
    times = np.array([datetime(2024, 1, 1) + step * index for index in range(400)], dtype="datetime64[us]")
    assert calendar_periods(frequency, times) == expected


def test_periods_of_months_and_of_trading_days() -> None:
    months = pl.datetime_range(datetime(2020, 1, 1), datetime(2024, 1, 1), "1mo", eager=True).to_numpy()
    assert calendar_periods("1mo", months) == (12,)
    days = pl.datetime_range(datetime(2020, 1, 1), datetime(2024, 1, 1), "1d", eager=True)
    assert calendar_periods(None, days.filter(days.dt.weekday() < 6).to_numpy()) == (5, 21, 252)
