"""Delays of outcomes: recent windows are judged by outcomes like those that will come, or not at all."""

import numpy as np
import polars as pl
import pytest

from lightning_app.monitoring.quality.delays import DelayModel, DelayRows, delay_model
from lightning_app.monitoring.quality.quality import delays_of, quality_results
from lightning_app.monitoring.quality.settled import settled_outcomes
from lightning_app.monitoring.report.structs import QualityResult, Window
from tests.lightning_app.monitoring.quality.tables import (
    CHURN,
    DAY,
    EVER,
    NOW,
    SETTINGS,
    churn_rows,
    facts_of,
    journal_table,
)


def rows_of(ages, delays, values) -> DelayRows:
    known = delays <= ages
    return DelayRows(
        ages=ages, delays=np.where(known, delays, np.nan), values=np.where(known, values, np.nan),
        errors=np.where(known, 0.0, np.nan),
    )  # fmt: skip


def churn_window(seed: int, *, days: float = 7.0, count: int = 6000) -> tuple[float, float, QualityResult]:
    """Quick bad news: who leaves is known after a day or two, who stays after a week.

    Returns:
        truth: Accuracy of the window once all outcomes are known.
        naive: That of the rows whose outcome has come.
        result: Ours.
    """
    columns, outcome, is_right = churn_rows(count, seed)
    random = np.random.default_rng(seed + 1000)
    days_ago = random.uniform(0, 40, count)
    leaves = outcome == "leaves"
    delay = np.where(leaves, random.exponential(1.5, count), random.gamma(4.0, 1.5, count))
    table = journal_table(columns, outcome, days_ago=days_ago, delay_days=delay)
    window = Window(since=NOW - days * DAY, until=NOW)
    [result] = quality_results(
        table, version="churn@1", facts=facts_of(CHURN), settings=SETTINGS, window=window, now=NOW
    )
    inside = days_ago < days
    return is_right[inside].mean(), is_right[inside & (delay <= days_ago)].mean(), result


def test_recent_weeks_are_not_judged_by_the_outcomes_that_come_first():
    found = [churn_window(seed, days=10.0) for seed in range(30)]
    truth = np.array([truth for truth, _, _ in found])
    naive = np.array([naive for _, naive, _ in found]) - truth
    ours = np.array([result.metrics[0].value for _, _, result in found]) - truth
    assert abs(naive.mean()) > 4 * naive.std() / np.sqrt(30)  # biased beyond doubt
    assert abs(naive.mean()) > 0.03
    assert abs(ours.mean()) < 3 * ours.std() / np.sqrt(30)
    assert abs(ours.mean()) < 0.01
    assert all(result.metrics[0].low <= value <= result.metrics[0].high for value, _, result in found)
    assert not any(result.is_mature for _, _, result in found)
    assert "immature" in found[0][2].notes[-1]


def test_rows_are_labelled_waited_for_or_overdue():
    _, _, result = churn_window(0, days=10.0)
    assert result.labelled + result.waiting == result.rows
    assert result.waiting > 0.2 * result.rows
    columns, outcome, _ = churn_rows(90, 0)
    some = np.where(np.arange(90) % 3 == 0, None, outcome).tolist()
    table = journal_table(columns, some, days_ago=[20.0] * 60 + [5.0] * 30, delay_days=1.0)
    [result] = quality_results(table, version="churn@1", facts=facts_of(CHURN), settings=SETTINGS, window=EVER, now=NOW)
    assert (result.labelled, result.overdue, result.waiting) == (60, 20, 10)


def test_rows_whose_outcomes_have_come_slowly_are_worth_more():
    random = np.random.default_rng(0)
    count = 20_000
    ages, values = random.uniform(0, 45, count), (random.random(count) < 0.5).astype(float)
    delays = np.where(values == 1, random.exponential(2, count), random.exponential(6, count))
    rows = rows_of(ages, delays, values)
    model = delay_model([rows], within=30.0)
    weights = model.weights(rows)
    used = weights > 0
    recent = used & (ages < 10) & (ages >= model.least_age)
    assert (values[recent].mean() - 0.5) > 0.05  # as they came
    assert np.average(values[recent], weights=weights[recent]) == pytest.approx(0.5, abs=0.02)
    assert model.ever == pytest.approx((delays <= 30).mean(), abs=0.01)
    assert model.half == pytest.approx(np.median(delays[delays <= 30]), abs=0.2)


def test_the_share_of_outcomes_at_an_age_is_the_true_one_although_delays_are_truncated():
    random = np.random.default_rng(1)
    ages, delays = random.uniform(0, 25, 30_000), random.gamma(2.0, 2.0, 30_000)
    model = delay_model([rows_of(ages, delays, np.zeros(30_000))], within=20.0)
    [curve] = model.curves.values()
    at = np.array([1.0, 3.0, 6.0, 12.0])
    expected = [(delays <= age).mean() / (delays <= 20).mean() for age in at]
    assert curve.share(at) == pytest.approx(expected, abs=0.015)


def test_the_estimate_of_the_delays_makes_intervals_wider():
    _, _, narrow = churn_window(3, days=10.0, count=60_000)
    _, _, wide = churn_window(3, days=10.0, count=6000)
    width = [one.metrics[0].high - one.metrics[0].low for one in (narrow, wide)]
    assert width[1] > 2.5 * width[0]


def test_nothing_is_weighted_while_too_few_rows_are_old():
    random = np.random.default_rng(2)
    ages = random.uniform(0, 5, 1000)
    rows = rows_of(ages, random.exponential(1, 1000), np.zeros(1000))
    model: DelayModel = delay_model([rows], within=14.0)
    assert model.curves is None
    assert model.least_age == 14.0
    assert not model.weights(rows).any()
    nothing = delay_model([], within=14.0)
    assert (nothing.ever, nothing.half, nothing.curves) == (None, None, None)


def test_outcomes_that_come_at_once_need_no_weights():
    ages = np.linspace(0.1, 30, 500)
    rows = rows_of(ages, np.zeros(500), np.tile([0.0, 1.0], 250))
    model = delay_model([rows], within=14.0)
    assert model.least_age == 0.0
    assert (model.weights(rows) == 1).all()


def test_outcomes_of_young_rows_are_not_compared_as_they_are():
    columns, outcome, _ = churn_rows(6000, 4)
    random = np.random.default_rng(4)
    days_ago = random.uniform(0, 40, 6000)
    delay = np.where(outcome == "leaves", random.exponential(1.5, 6000), random.gamma(4.0, 1.5, 6000))
    table = journal_table(columns, outcome, days_ago=days_ago, delay_days=delay)
    delays = delays_of([(table, facts_of(CHURN))], settings=SETTINGS, now=NOW)
    recent = table.filter(pl.Series(days_ago < 20))
    settled = settled_outcomes(recent, delays, now=NOW)
    shares = [(one["journal.outcome"].drop_nulls() == "leaves").mean() for one in (recent, settled)]
    truth = (outcome == "leaves").mean()
    assert shares[0] > truth + 0.03
    assert shares[1] == pytest.approx(truth, abs=0.025)
    assert 8 < delays.settled_age / DAY <= 14
    assert settled.drop("journal.outcome").equals(recent.drop("journal.outcome"))
