"""Metrics of outcomes: equal to scikit-learn's, whatever the order and the weights of the rows."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from lightning_app.drift.answers.answer_form import AnswerForm
from lightning_app.drift.answers.points import Points
from lightning_app.monitoring.quality.metrics.class_metrics import auroc, calibration_error, class_metrics
from lightning_app.monitoring.quality.metrics.measured import measured_metrics
from lightning_app.monitoring.quality.metrics.number_metrics import number_metrics
from lightning_app.monitoring.quality.metrics.sample import Sample, mean_influence
from tests.lightning_app.monitoring.quality.tables import PRICE, SETTINGS


def numbers_of(values: np.ndarray, **parts) -> Points:
    rows = np.arange(len(values))
    return Points(rows=rows, counts=np.ones_like(rows), readable=np.ones(len(values), bool), numbers=values, **parts)


def classes_of(probabilities: np.ndarray) -> Points:
    rows = np.arange(len(probabilities))
    return Points(
        rows=rows, counts=np.ones_like(rows), readable=np.ones(len(rows), bool), probabilities=probabilities,
        classes=probabilities.argmax(axis=1),
    )  # fmt: skip


@pytest.mark.parametrize("weighted", [False, True])
def test_metrics_of_numbers_equal_those_of_scikit_learn(weighted):
    random = np.random.default_rng(0)
    truth = random.normal(5, 1, 400)
    answers = truth + random.normal(0.1, 0.5, 400)
    weights = random.uniform(0.5, 3, 400) if weighted else np.ones(400)
    found = number_metrics(numbers_of(answers), truth, weights, PRICE)
    expected = {
        "mae": sklearn_metrics.mean_absolute_error, "rmse": sklearn_metrics.root_mean_squared_error,
        "r2": sklearn_metrics.r2_score, "mape": sklearn_metrics.mean_absolute_percentage_error,
    }  # fmt: skip
    for name, metric in expected.items():
        assert found[name].value == pytest.approx(metric(truth, answers, sample_weight=weights)), name
        assert np.average(found[name].psi, weights=weights) == pytest.approx(0, abs=1e-9), name
    assert found["bias"].value == pytest.approx(np.average(answers - truth, weights=weights))


def test_metrics_that_are_not_defined_are_missing():
    found = number_metrics(numbers_of(np.array([1.0, 2.0])), np.zeros(2), np.ones(2), PRICE)
    assert set(found) == {"mae", "rmse", "bias"}


def test_quantiles_have_a_pinball_loss_and_a_coverage():
    random = np.random.default_rng(1)
    truth = random.normal(size=500)
    quantiles = np.stack([np.full(500, -1.28), np.zeros(500), np.full(500, 1.28)], axis=1)
    form = AnswerForm(kind="quantiles", name="forecast", levels=(0.1, 0.5, 0.9))
    found = number_metrics(numbers_of(quantiles[:, 1], quantiles=quantiles), truth, np.ones(500), form)
    pinball = [
        sklearn_metrics.mean_pinball_loss(truth, quantiles[:, place], alpha=level)
        for place, level in enumerate(form.levels)
    ]
    assert found["pinball"].value == pytest.approx(np.mean(pinball))
    assert found["coverage"].value == pytest.approx(np.mean(np.abs(truth) <= 1.28))


@pytest.mark.parametrize(("num_classes", "weighted"), [(2, False), (2, True), (4, True)])
def test_metrics_of_classes_equal_those_of_scikit_learn(num_classes, weighted):
    random = np.random.default_rng(2)
    probabilities = random.dirichlet(np.ones(num_classes), 600)
    truth = np.array([random.choice(num_classes, p=row) for row in probabilities])
    weights = random.uniform(0.5, 3, 600) if weighted else np.ones(600)
    form = AnswerForm(kind="classes", name="probabilities", labels=tuple("abcd"[:num_classes]))
    found = dict(class_metrics(classes_of(probabilities), truth, weights, form))
    answered = probabilities.argmax(axis=1)
    each = sklearn_metrics.precision_recall_fscore_support(truth, answered, sample_weight=weights, zero_division=0)
    expected = {
        "accuracy": sklearn_metrics.accuracy_score(truth, answered, sample_weight=weights),
        "log_loss": sklearn_metrics.log_loss(truth, probabilities, sample_weight=weights),
        "brier": sklearn_metrics.brier_score_loss(truth, probabilities, sample_weight=weights,
                                                  labels=range(num_classes)),
        "macro_f1": sklearn_metrics.f1_score(truth, answered, sample_weight=weights, average="macro"),
        **{f"precision.{label}": each[0][place] for place, label in enumerate(form.labels)},
        **{f"recall.{label}": each[1][place] for place, label in enumerate(form.labels)},
        **{f"f1.{label}": each[2][place] for place, label in enumerate(form.labels)},
    }  # fmt: skip
    if num_classes == 2:
        expected["auroc"] = sklearn_metrics.roc_auc_score(truth, probabilities[:, 1], sample_weight=weights)
    assert set(found) - {"ece"} == set(expected)
    for name, value in expected.items():
        assert found[name].value == pytest.approx(value), name
        assert np.average(found[name].psi, weights=weights) == pytest.approx(0, abs=1e-9), name


def test_calibration_error_equals_that_of_torchmetrics():
    import torch
    from torchmetrics.functional.classification import multiclass_calibration_error

    random = np.random.default_rng(3)
    probabilities = random.dirichlet(np.ones(3), 500)
    truth = random.integers(3, size=500)
    right = (probabilities.argmax(axis=1) == truth).astype(float)
    found = calibration_error(probabilities.max(axis=1), right, np.ones(500))
    expected = multiclass_calibration_error(torch.tensor(probabilities), torch.tensor(truth), 3, n_bins=15)
    assert found.value == pytest.approx(float(expected), abs=1e-6)


@pytest.mark.parametrize("name", ["rmse", "r2"])
def test_influences_give_the_standard_error_that_the_bootstrap_gives(name):
    random = np.random.default_rng(4)
    truth = random.normal(size=800)
    answers = truth + random.exponential(0.5, 800)
    ones = np.ones(800)
    error = Sample(weights=ones).standard_error(number_metrics(numbers_of(answers), truth, ones, PRICE)[name].psi)
    draws = []
    for _ in range(300):
        rows = random.integers(800, size=800)
        draws.append(number_metrics(numbers_of(answers[rows]), truth[rows], ones, PRICE)[name].value)
    assert error == pytest.approx(np.std(draws), rel=0.15)


def test_influences_of_the_area_under_the_curve_are_those_of_delong():
    random = np.random.default_rng(5)
    positive = random.random(300) < 0.3
    scores = np.round(random.normal(size=300) + positive, 1)  # with ties
    found = auroc(scores, positive, np.ones(300))
    wins = (scores[positive][:, None] > scores[~positive]) + 0.5 * (scores[positive][:, None] == scores[~positive])
    by_hand = wins.mean(axis=1).var(ddof=1) / positive.sum() + wins.mean(axis=0).var(ddof=1) / (~positive).sum()
    assert Sample(weights=np.ones(300)).standard_error(found.psi) == pytest.approx(math.sqrt(by_hand), rel=0.02)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**16), st.integers(40, 120))
def test_the_order_of_rows_and_whole_copies_change_no_metric(seed, count):
    random = np.random.default_rng(seed)
    truth, answers = random.normal(size=count), random.normal(size=count)
    clusters = random.integers(count // 3, size=count)
    order = random.permutation(count)
    sample = Sample(weights=np.ones(count), clusters=clusters)
    one = measured_metrics(numbers_of(answers), truth, sample, PRICE, settings=SETTINGS, alpha=0.05)
    shuffled = Sample(weights=np.ones(count), clusters=clusters[order])
    two = measured_metrics(numbers_of(answers[order]), truth[order], shuffled, PRICE, settings=SETTINGS, alpha=0.05)
    for first, second in zip(one, two, strict=True):
        assert first.value == pytest.approx(second.value)
        assert first.low == pytest.approx(second.low)
    # A row that is there twice within its cluster says nothing new.
    twice = Sample(weights=np.ones(2 * count), clusters=np.tile(clusters, 2))
    both = measured_metrics(
        numbers_of(np.tile(answers, 2)), np.tile(truth, 2), twice, PRICE, settings=SETTINGS, alpha=0.05
    )
    assert both[0].value == pytest.approx(one[0].value)
    assert both[0].high == pytest.approx(one[0].high)


def test_all_answers_right_is_not_certainly_right():
    sample = Sample(weights=np.ones(50))
    found = sample.estimate("accuracy", "higher", mean_influence(np.ones(50), sample.weights, bounds=(0.0, 1.0)),
                            alpha=0.05, least=30)  # fmt: skip
    assert found.high == 1.0
    assert 0.7 < found.low < 0.95
    few = sample.estimate("accuracy", "higher", mean_influence(np.ones(29), np.ones(29)), alpha=0.05, least=30)
    assert (few.value, few.low, few.rows) == (None, None, 29)
