"""Performance that is expected before outcomes come: it follows the inputs, and says when it cannot be trusted."""

import numpy as np
import polars as pl
import pytest

from lightning_app.drift.answers.answer_form import AnswerForm
from lightning_app.drift.answers.held_out import HeldOutFacts, held_out_facts
from lightning_app.monitoring.quality.metrics.sample import Sample
from lightning_app.monitoring.quality.model_facts import ModelFacts, model_facts
from lightning_app.monitoring.quality.quality import quality_results
from lightning_app.monitoring.quality.reliability import outcome_test
from lightning_app.monitoring.report.structs import QualityResult
from lightning_app.packaging import TensorSpec
from tests.lightning_app.monitoring.quality.tables import CHURN, EVER, NOW, PRICE, SETTINGS, churn_rows, journal_table


def held_out_churn(seed: int = 99, count: int = 5000) -> ModelFacts:
    columns, outcome, _ = churn_rows(count, seed)
    sample = pl.DataFrame({**columns, "outcome": outcome})
    output = TensorSpec("probabilities", "float32", ("batch", 2))
    return model_facts((output,), CHURN.labels, reference=None, sample=sample, settings=SETTINGS)


def judged(table: pl.DataFrame, facts: ModelFacts) -> QualityResult:
    return quality_results(table, version="churn@1", facts=facts, settings=SETTINGS, window=EVER, now=NOW)[0]


def named(estimates, metric: str):
    return next(one for one in estimates if one.metric == metric)


@pytest.mark.parametrize("shift", [-1.5, 0.0, 1.5])
def test_estimated_metrics_follow_a_shift_of_the_inputs(shift):
    facts = held_out_churn()
    columns, outcome, _ = churn_rows(8000, 5, shift=shift)
    measured = judged(journal_table(columns, outcome), facts)
    before = judged(journal_table(columns, outcome, days_ago=1.0, delay_days=5.0), facts)
    assert before.metrics == ()
    assert before.waiting == 8000
    for metric in ("accuracy", "log_loss", "brier", "auroc", "macro_f1", "recall.leaves", "precision.stays"):
        estimate, truth = named(before.estimated, metric), named(measured.metrics, metric)
        assert estimate.low <= truth.value <= estimate.high, metric
        assert estimate.value == pytest.approx(truth.value, abs=0.035), metric
    assert abs(measured.estimate_error) < 0.02
    of_reference = named(measured.reference, "accuracy").value
    if shift < 0:  # where the held-out accuracy would be far off
        assert abs(of_reference - named(measured.metrics, "accuracy").value) > 0.05
    assert not any("not to be trusted" in note for note in measured.notes)


def test_a_changed_relation_of_inputs_and_outcomes_is_said():
    columns, outcome, _ = churn_rows(6000, 6, flip=0.2)
    result = judged(journal_table(columns, outcome), held_out_churn())
    assert result.estimate_error > 0.05
    assert any("estimates are not to be trusted: accuracy" in note for note in result.notes)
    calibration = next(test for test in result.tests if test.name == "calibration")
    assert calibration.p_value < 1e-6


def test_a_shift_of_the_classes_is_found_in_the_outcomes_and_not_in_the_calibration():
    columns, outcome, _ = churn_rows(6000, 7, shift=0.5)
    tests = {test.name: test for test in judged(journal_table(columns, outcome), held_out_churn()).tests}
    assert tests["outcomes"].p_value < 1e-6
    assert tests["calibration"].p_value > 0.001


@pytest.mark.slow
def test_tests_of_outcomes_hold_their_level():
    small = {"calibration": 0, "outcomes": 0}
    for seed in range(40):
        columns, outcome, _ = churn_rows(1500, 10_000 + seed)
        facts = ModelFacts(form=CHURN, held_out=held_out_facts(pl.DataFrame({**columns, "outcome": outcome}), CHURN))
        columns, outcome, _ = churn_rows(1500, seed)
        # Two rows of each customer, who behaves alike.
        doubled = {name: np.repeat(np.asarray(values), 2, axis=0).tolist() for name, values in columns.items()}
        entity = pl.Series([f"c{number // 2}" for number in range(3000)])
        table = journal_table(doubled, np.repeat(outcome, 2), entity=entity)
        for test in judged(table, facts).tests:
            small[test.name] += test.p_value < 0.05
    assert max(small.values()) <= 6, small  # 2 expected; more than 6 less than once in 200 simulations


def test_errors_of_numbers_are_expected_from_what_answers_like_these_had():
    random = np.random.default_rng(8)

    def rows(count: int, low: float) -> tuple[np.ndarray, np.ndarray]:
        answers = random.uniform(low, 10, count)
        return answers, answers + 0.2 * answers * random.standard_normal(count)

    answers, outcomes = rows(5000, 1.0)
    facts = ModelFacts(
        form=PRICE,
        held_out=held_out_facts(pl.DataFrame({"prediction.price": answers, "outcome": outcomes}), PRICE),
    )
    answers, outcomes = rows(5000, 7.0)
    table = journal_table({"prediction.price": answers}, outcomes, days_ago=2.0, delay_days=3.0)
    result = judged(table, facts)
    for metric, truth in (
        ("mae", np.abs(answers - outcomes).mean()), ("rmse", np.sqrt(np.square(answers - outcomes).mean())),
    ):  # fmt: skip
        estimate = named(result.estimated, metric)
        assert estimate.low <= truth <= estimate.high
        assert estimate.value == pytest.approx(truth, rel=0.08)
    assert any("at the ends of what held-out rows had" in note for note in result.notes)


def test_errors_are_expected_to_follow_the_inputs_where_the_answer_does_not_show_them():
    random = np.random.default_rng(11)

    def rows(count: int, north: float) -> tuple[dict[str, np.ndarray], np.ndarray]:
        is_north = random.random(count) < north
        answers = random.normal(10, 1, count)
        columns = {"region": np.where(is_north, "north", "south"), "age": random.normal(size=count),
                   "prediction.price": answers}  # fmt: skip
        return columns, answers + np.where(is_north, 3.0, 0.5) * random.standard_normal(count)

    columns, outcomes = rows(3000, 0.2)
    sample = pl.DataFrame({**columns, "outcome": outcomes})
    output = TensorSpec("price", "float32", ("batch",))
    facts = model_facts((output,), None, reference=None, sample=sample, settings=SETTINGS)
    columns, outcomes = rows(3000, 0.8)
    result = judged(journal_table(columns, outcomes), facts)
    truth = np.abs(columns["prediction.price"] - outcomes).mean()
    assert named(result.reference, "mae").value < 0.5 * truth
    for metric in ("mae", "rmse"):
        estimate, measured = named(result.estimated, metric), named(result.metrics, metric)
        assert estimate.value == pytest.approx(measured.value, rel=0.06)
        assert estimate.low <= measured.value <= estimate.high
    # Without the column, and with another type, rows are still judged.
    columns["region"] = np.zeros(3000)
    assert judged(journal_table(columns, outcomes), facts).estimated
    del columns["region"], columns["age"]
    assert judged(journal_table(columns, outcomes), facts).estimated


def test_probabilities_that_are_reliable_in_one_region_only_are_corrected_by_region():
    random = np.random.default_rng(13)

    def rows(count: int, north: float) -> tuple[dict[str, object], np.ndarray]:
        columns, _, _ = churn_rows(count, int(1000 * north))
        leaves = np.array(columns["prediction.probabilities"])[:, 1]
        is_north = random.random(count) < north
        columns["region"] = np.where(is_north, "north", "south")
        return columns, np.where(random.random(count) < np.where(is_north, 0.5, leaves), "leaves", "stays")

    columns, outcome = rows(4000, 0.2)
    sample = pl.DataFrame({**columns, "outcome": outcome})
    output = TensorSpec("probabilities", "float32", ("batch", 2))
    facts = model_facts((output,), CHURN.labels, reference=None, sample=sample, settings=SETTINGS)
    columns, outcome = rows(4000, 0.8)
    result = judged(journal_table(columns, outcome), facts)
    for metric in ("accuracy", "log_loss", "auroc"):
        estimate, measured = named(result.estimated, metric), named(result.metrics, metric)
        assert abs(estimate.value - measured.value) < 0.2 * abs(named(result.reference, metric).value - measured.value)
        assert estimate.low <= measured.value <= estimate.high
    assert next(test for test in result.tests if test.name == "calibration").p_value > 0.001
    assert not any("not to be trusted" in note for note in result.notes)


def test_trees_that_say_nothing_are_not_used():
    random = np.random.default_rng(12)
    answers = random.normal(size=2000)
    sample = pl.DataFrame(
        {"noise": random.normal(size=2000), "prediction.price": answers, "outcome": answers + random.normal(size=2000)}
    )
    output = TensorSpec("price", "float32", ("batch",))
    facts = model_facts((output,), None, reference=None, sample=sample, settings=SETTINGS)
    assert facts.answer_model is None
    assert facts.held_out.errors.by == "answer"
    assert held_out_churn().answer_model is None


def test_errors_of_quantiles_are_expected_from_their_spread():
    random = np.random.default_rng(9)
    form = AnswerForm(kind="quantiles", name="forecast", levels=(0.1, 0.5, 0.9))

    def rows(count: int, scale: float) -> tuple[list[list[float]], np.ndarray]:
        spread = random.uniform(0.5, 1.0, count) * scale
        middle = random.normal(size=count)
        quantiles = np.stack([middle - 1.28 * spread, middle, middle + 1.28 * spread], axis=1)
        return quantiles.tolist(), middle + spread * random.standard_normal(count)

    quantiles, outcomes = rows(4000, 1.0)
    both = pl.DataFrame({"prediction.forecast": quantiles, "outcome": outcomes})
    facts = ModelFacts(form=form, held_out=held_out_facts(both, form))
    quantiles, outcomes = rows(4000, 0.8)
    result = judged(journal_table({"prediction.forecast": quantiles}, outcomes), facts)
    for metric in ("pinball", "coverage", "mae"):
        assert named(result.estimated, metric).value == pytest.approx(named(result.metrics, metric).value, abs=0.03)
    assert result.estimate_error == pytest.approx(0, abs=0.02)


def test_answers_without_probabilities_have_no_estimates_but_metrics():
    columns, outcome, _ = churn_rows(500, 10)
    labels = np.where(np.array(columns["prediction.probabilities"])[:, 1] > 0.5, "leaves", "stays")
    result = judged(journal_table({"prediction.label": labels}, outcome), held_out_churn())
    assert {one.metric for one in result.metrics} >= {"accuracy", "macro_f1"}
    assert result.estimated == ()


@pytest.mark.parametrize("num_requests", [1, 5, 20])
def test_outcomes_of_few_large_requests_raise_no_more_false_alarms_than_they_may(num_requests: int):
    alarms = 0
    for seed in range(100):
        random = np.random.default_rng(seed)
        usual = np.bincount(random.integers(0, 10, 1200), minlength=10)
        facts = HeldOutFacts(rows=1200, points=1200, design_effect=1.0, outcome_counts=tuple(map(int, usual)))
        clusters = np.arange(500) % num_requests
        found = outcome_test(random.integers(0, 10, 500), Sample(weights=np.ones(500), clusters=clusters), facts)
        alarms += found is not None and found.p_value < 0.05
    assert alarms <= 12  # of 100 at 5 %, what is exceeded once in 500 simulations
