"""Quality of a version in a window: late outcomes are joined, and what is wrong with rows and outcomes is said."""

import math

import msgspec
import numpy as np
import polars as pl
import pytest

from lightning_app.drift.answers.answer_form import AnswerForm
from lightning_app.monitoring.config.monitor_config import QualitySettings
from lightning_app.monitoring.quality import ModelFacts, quality_results
from lightning_app.monitoring.report.structs import QualityResult, Window
from tests.lightning_app.monitoring.quality.tables import (
    CHURN,
    DAY,
    EVER,
    NOW,
    PRICE,
    SETTINGS,
    churn_rows,
    facts_of,
    journal_table,
)


def judge(table: pl.DataFrame, form: AnswerForm | None = PRICE, **options) -> list[QualityResult]:
    given = {"version": "m@1", "facts": ModelFacts(form=form), "settings": SETTINGS, "window": EVER, "now": NOW}
    return quality_results(table, **(given | options))


def values(result: QualityResult) -> dict[str, float | None]:
    return {one.metric: one.value for one in result.metrics}


def prices(count: int = 200, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    random = np.random.default_rng(seed)
    answers = random.uniform(1, 5, count)
    columns = {"size": random.uniform(20, 120, count), "prediction.price": answers}
    return columns, answers + random.normal(size=count)


def test_only_rows_of_the_window_are_judged():
    columns, outcome = prices()
    days_ago = np.linspace(15, 35, 200)
    window = Window(since=NOW - 30 * DAY, until=NOW - 20 * DAY)
    [result] = judge(journal_table(columns, outcome, days_ago=days_ago), window=window)
    inside = (days_ago > 20) & (days_ago <= 30)
    assert (result.rows, result.labelled) == (inside.sum(), inside.sum())
    assert values(result)["mae"] == pytest.approx(np.abs(columns["prediction.price"] - outcome)[inside].mean())
    assert msgspec.json.decode(msgspec.json.encode(result), type=QualityResult) == result


@pytest.mark.parametrize(("requests", "has_interval"), [([200], False), ([199, 1], False), ([50] * 4, True)])
def test_rows_of_one_request_alone_say_nothing_of_how_far_requests_differ(requests: list[int], has_interval: bool):
    columns, outcome = prices()
    ids = [f"r{number}" for number, rows in enumerate(requests) for _ in range(rows)]
    rows = [row for count in requests for row in range(count)]
    [result] = judge(journal_table(columns, outcome, request_id=ids, row=rows))
    mae = result.metrics[0]
    assert mae.value == pytest.approx(np.abs(columns["prediction.price"] - outcome).mean())
    assert (mae.low is not None and mae.high is not None) == has_interval
    assert any(note.startswith("no interval: most of the outcomes are of one request") for note in result.notes) == (
        not has_interval
    )


@pytest.mark.parametrize(
    ("changed", "note"),
    [
        ({"outcome": ["dear"] * 3}, "3 rows with an outcome that does not fit: text for a number"),
        ({"degraded": ["constant"] * 3}, "3 rows answered by a fallback, left out"),
        ({"days_ago": -2.0}, "3 rows of a time that has not come: a clock was wrong"),
        ({"delay_days": -1.0}, "3 rows with an outcome before the request: a clock was wrong; taken as no delay"),
        ({"delay_days": 15.0}, "3 rows with an outcome that came later than 14d: not used"),
        ({"answer": [math.nan] * 3}, "3 rows without a readable answer"),
    ],
)
def test_rows_that_something_is_wrong_with_are_counted(changed, note):
    columns, outcome = prices(100)
    good = journal_table(columns, outcome)
    few, few_outcomes = prices(3, seed=1)
    own = {name: changed.pop(name) for name in ("days_ago", "delay_days") if name in changed}
    few_outcomes = changed.pop("outcome", few_outcomes)
    few["prediction.price"] = np.array(changed.pop("answer", few["prediction.price"]))
    bad = journal_table(few, few_outcomes, **own, **changed)
    if bad["journal.outcome"].dtype == pl.String:
        good = good.with_columns(pl.col("journal.outcome").cast(pl.String))
    [result] = judge(pl.concat([good, bad]), now=NOW)
    assert note in result.notes
    clock_only = "outcome before the request" in note
    assert values(result)["mae"] == pytest.approx(
        np.abs(columns["prediction.price"] - outcome).mean(), rel=0.1 if clock_only else 1e-9
    )


def test_unknown_labels_are_named():
    columns, outcome, _ = churn_rows(100, 0)
    outcome = np.where(np.arange(100) < 4, "left", outcome)
    [result] = judge(journal_table(columns, outcome), CHURN)
    assert "4 rows with an outcome that does not fit: unknown label 'left'" in result.notes
    assert (result.labelled, result.overdue) == (96, 4)


def test_arms_and_slices_are_judged_with_intervals_that_hold_together():
    columns, outcome = prices(2000)
    columns |= {"city": np.where(np.arange(2000) % 4 == 0, "Basel", "Bern")}
    table = journal_table(columns, outcome, arm=np.where(np.arange(2000) % 2 == 0, "champion", "challenger"))
    results = judge(table, slices=("city", "size", "street"))
    named = {(one.arm, one.slice): one for one in results}
    assert set(named) >= {(None, None), ("champion", None), ("challenger", None), (None, "city=Basel")}
    assert [key[1] for key in named if (key[1] or "").startswith("size=")] == [
        one.slice for one in results if (one.slice or "").startswith("size=")
    ]
    assert sum(one.rows for one in results if (one.slice or "").startswith("size=")) == 2000
    assert "slices: street: the rows have no such column" in results[0].notes
    basel = columns["city"] == "Basel"
    errors = np.abs(columns["prediction.price"] - outcome)
    assert values(named[None, "city=Basel"])["mae"] == pytest.approx(errors[basel].mean())
    alone = judge(table.filter(pl.col("city") == "Basel"), by_arm=False)[0].metrics[0]
    corrected = named[None, "city=Basel"].metrics[0]
    assert corrected.high - corrected.low > alone.high - alone.low


def test_slices_with_few_rows_are_left_out_and_rare_values_counted():
    columns, outcome = prices(300)
    columns |= {"shop": np.array([f"s{min(number, 40)}" for number in range(300)])}
    results = judge(journal_table(columns, outcome, days_ago=1.0), slices=("shop",))
    assert [one.slice for one in results] == [None, "shop=s40"]
    assert sum(note.startswith("immature") for note in results[0].notes) == 1
    assert any("shop: 20 of its 41 values are slices" in note for note in results[0].notes)


def test_steps_of_a_forecast_count_together_and_wait_for_each_other():
    random = np.random.default_rng(0)
    answers = random.normal(size=(60, 3))
    outcomes = (answers + random.normal(size=(60, 1))).tolist()  # steps of a forecast err alike
    partly = [[one[0], None, None] for one in outcomes[:10]] + outcomes[10:]
    table = journal_table(
        {"prediction.forecast": answers.tolist()}, pl.Series(partly), days_ago=[2.0] * 10 + [20.0] * 50,
    )  # fmt: skip
    [result] = judge(table, AnswerForm(kind="number", name="forecast"))
    assert (result.rows, result.labelled, result.waiting) == (60, 50, 10)
    assert "10 rows with outcomes of some steps only, waited for" in result.notes
    assert result.metrics[0].rows == 150
    expected = np.abs(answers[10:] - np.array(outcomes[10:])).mean()
    assert values(result)["mae"] == pytest.approx(expected)
    flat = journal_table({"prediction.price": answers[10:].ravel()}, np.array(outcomes[10:]).ravel())
    [single] = judge(flat)
    width = [one.metrics[2].high - one.metrics[2].low for one in (result, single)]
    assert width[0] > 1.3 * width[1]  # as many points, but only 50 forecasts


def test_rewards_are_judged_where_outcomes_cannot_be():
    table = journal_table({"prediction.text": ["a"] * 200}, None, reward=[1.0, 0.0, 1.0, 1.0] * 50)
    table = table.with_columns(pl.col("journal.time").alias("journal.outcome_time"))
    [result] = judge(table, None)
    assert values(result) == {"reward": 0.75}
    assert result.metrics[0].low > 0.6
    assert any("cannot be compared with the answers of this task" in note for note in result.notes)


def test_chosen_metrics_come_in_their_order_and_unknown_ones_are_said():
    columns, outcome = prices()
    settings = QualitySettings(outcome_within="14d", metrics=("rmse", "mae", "accuracy"))
    [result] = judge(journal_table(columns, outcome), settings=settings)
    assert list(values(result)) == ["rmse", "mae"]
    assert "metrics: accuracy: the task does not have them" in result.notes


def test_too_few_outcomes_give_no_metric_but_a_count():
    columns, outcome = prices(20)
    [result] = judge(journal_table(columns, outcome))
    assert result.labelled == 20
    assert set(values(result).values()) == {None}
    assert result.metrics[0].rows == 20


@pytest.mark.parametrize("delay", [0.0, 3.0])
def test_a_window_whose_outcomes_are_still_waited_for_says_so(delay):
    columns, outcome = prices(400)
    days_ago = np.linspace(0, 40, 400)
    window = Window(since=NOW - 2 * DAY, until=NOW)
    [result] = judge(journal_table(columns, outcome, days_ago=days_ago, delay_days=delay), window=window)
    assert result.is_mature == (delay == 0)
    assert bool(result.metrics) == (delay == 0)
    assert any(note.startswith("immature: ") for note in result.notes) == (delay > 0)


def test_an_empty_window_is_no_error():
    columns, outcome = prices(10)
    [result] = judge(journal_table(columns, outcome), window=Window(since=0.0, until=1.0))
    assert (result.rows, result.labelled, result.metrics, result.is_mature) == (0, 0, (), False)


def test_the_order_of_rows_changes_nothing():
    columns, outcome, _ = churn_rows(500, 0)
    table = journal_table(
        columns, outcome, days_ago=np.linspace(0, 30, 500), delay_days=np.random.default_rng(0).exponential(2, 500)
    )
    [first] = judge(table, CHURN, facts=facts_of(CHURN))
    [second] = judge(table.sample(fraction=1.0, shuffle=True, seed=1), CHURN, facts=facts_of(CHURN))
    assert first.notes == second.notes
    for one, other in zip(first.metrics, second.metrics, strict=True):
        assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high))
