"""Calendar features: those that matter are chosen, and no other."""

from datetime import datetime, timedelta

import numpy as np
import pytest

from features.series.calendar_choice import calendar_effects, describe_effects

START = datetime(2001, 1, 1)


def times_of(rows: int, step: timedelta) -> np.ndarray:
    return np.array([START + step * row for row in range(rows)], dtype="datetime64[us]")


def taken(times: np.ndarray, values: np.ndarray) -> list[str]:
    table = values if values.ndim == 2 else values[:, None]
    return [effect.feature for effect in calendar_effects(times, table) if effect.taken]


def test_the_hour_is_taken_and_a_weekday_that_changes_it() -> None:
    rows, rng = np.arange(24 * 7 * 20), np.random.default_rng(0)
    hours = np.sin(2 * np.pi * rows / 24)
    weekend = rows // 24 % 7 >= 5
    noise = rng.standard_normal(len(rows))
    times = times_of(len(rows), timedelta(hours=1))
    assert taken(times, hours + noise) == ["hour"]
    assert taken(times, np.where(weekend, 1 - hours, 1 + 2 * hours) + noise) == ["hour", "day_of_week"]


def test_days_and_months() -> None:
    rng = np.random.default_rng(0)
    days = np.arange(3000)
    times = times_of(len(days), timedelta(days=1))
    assert taken(times, (days % 7 == 5) + rng.standard_normal(len(days)) / 2) == ["day_of_week"]
    weeks = times_of(800, timedelta(weeks=1))
    month = weeks.astype("datetime64[M]").astype(int) % 12
    assert taken(weeks, np.cos(2 * np.pi * month / 12) + rng.standard_normal(800)) == ["month"]


@pytest.mark.parametrize("walk", [False, True])
def test_noise_and_walks_take_nothing(walk: bool) -> None:
    for seed in range(6):
        values = np.random.default_rng(seed).standard_normal((2500, 2))
        values = values.cumsum(axis=0) if walk else values
        for step in (timedelta(hours=1), timedelta(days=1)):
            assert taken(times_of(len(values), step), values) == []


def test_an_effect_that_is_over_is_not_taken() -> None:
    rows = np.arange(24 * 100)
    hours = np.sin(2 * np.pi * rows / 24) * (rows < 0.5 * len(rows))
    values = hours + np.random.default_rng(0).standard_normal(len(rows))
    assert taken(times_of(len(rows), timedelta(hours=1)), values) == []


def test_units_and_gaps_change_nothing_and_an_empty_column_is_passed_over() -> None:
    rng = np.random.default_rng(0)
    rows = np.arange(24 * 60)
    values = np.sin(2 * np.pi * rows / 24)[:, None] + rng.standard_normal((len(rows), 1))
    times = times_of(len(rows), timedelta(hours=1))
    before = calendar_effects(times, values)
    now = calendar_effects(times, np.concatenate([-30 * values + 7, np.full_like(values, np.nan)], axis=1))
    assert [effect.gain for effect in now] == pytest.approx([effect.gain for effect in before])
    values[rng.random(len(rows)) < 0.2] = np.nan
    assert taken(times, values) == ["hour"]


def test_what_cannot_be_judged_is_said() -> None:
    times = times_of(24 * 4, timedelta(hours=1))
    said = describe_effects(calendar_effects(times, np.random.default_rng(0).standard_normal((96, 1))))
    assert said.startswith("calendar: no feature taken; not hour (too few cycles), day_of_week (too few cycles)")
    assert calendar_effects(times[:1], np.zeros((1, 1))) == ()
