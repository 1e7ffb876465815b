"""Tests of columns together: p-values that are exact, what they see that single columns do not, and bad input."""

import numpy as np
import polars as pl
import pytest

from lightning_app.drift.multivariate import multivariate_drift
from lightning_app.drift.multivariate.design import permutation_design
from lightning_app.drift.multivariate.domain_classifier import areas_under_curve
from lightning_app.drift.multivariate.mmd import random_features, unbiased_mmd
from lightning_app.drift.reference import build_reference
from lightning_app.drift.report import drift_report
from lightning_app.drift.result import DriftSettings, MultivariateDrift

SETTINGS = DriftSettings()


def rows(count: int, seed: int, *, correlation: float = 0.0, missing: float = 0.05) -> pl.DataFrame:
    """Three numbers, of which two may be correlated, a category, and missing values."""
    random = np.random.default_rng(seed)
    a, b = random.normal(size=(2, count))
    b = correlation * a + np.sqrt(1 - correlation**2) * b
    table = pl.DataFrame({"a": a, "b": b, "c": random.exponential(size=count), "k": random.choice(list("xyz"), count)})
    return table.with_columns(pl.when(pl.lit(random.random(count) < missing)).then(None).otherwise("c").alias("c"))


def compare(
    sample: pl.DataFrame, current: pl.DataFrame, settings: DriftSettings = SETTINGS
) -> dict[str, MultivariateDrift]:
    reference = build_reference(sample, roles=dict.fromkeys(sample.columns, "input"))
    return {one.name: one for one in multivariate_drift(reference, sample, current, settings=settings)}


def test_a_changed_correlation_is_seen_where_no_column_has_drifted() -> None:
    sample, current = rows(1500, 0), rows(1500, 1, correlation=0.5)
    found = compare(sample, current)
    assert set(found) == {"domain_classifier", "mmd"}
    assert found["domain_classifier"].p_value == 1 / 500
    assert set(found["domain_classifier"].columns[:2]) == {"a", "b"}
    assert 0.55 < found["domain_classifier"].statistic < 0.75
    reference = build_reference(sample, roles=dict.fromkeys(sample.columns, "input"))
    report = drift_report(reference, current, settings=SETTINGS, multivariate=list(found.values()))
    assert not any(column.drifted for column in report.columns)
    assert report.drifted
    assert report.multivariate[0].drifted
    assert report.multivariate[0].adjusted_p >= report.multivariate[0].p_value


def test_the_same_rows_give_the_same_answer_and_no_drift() -> None:
    first = compare(rows(800, 0), rows(600, 1))
    assert first == compare(rows(800, 0), rows(600, 1))
    assert all(one.p_value > 0.05 and one.columns == () for one in first.values())


@pytest.mark.slow
def test_p_values_are_uniform_without_drift() -> None:
    p_values = {"domain_classifier": [], "mmd": []}
    for seed in range(200):
        for name, one in compare(rows(200, 2 * seed), rows(150, 2 * seed + 1)).items():
            p_values[name].append(one.p_value)
    for values in p_values.values():
        assert 0.02 <= np.mean(np.array(values) <= 0.05) <= 0.09  # 3 standard errors
        assert abs(np.mean(values) - 0.5) < 0.08


def test_rows_that_depend_on_those_before_them_are_exchanged_in_blocks() -> None:
    def walk(seed: int) -> pl.DataFrame:
        random = np.random.default_rng(seed)
        values = random.normal(size=(1800, 2))
        for row in range(1, len(values)):
            values[row] = 0.9 * values[row - 1] + np.sqrt(1 - 0.81) * values[row]
        return pl.DataFrame(values, schema=["a", "b"])

    alarms = []
    for seed in range(12):
        found = compare(walk(2 * seed), walk(2 * seed + 1))
        assert "blocks of" in found["mmd"].note
        alarms += [one.p_value <= 0.05 for one in found.values()]
    assert np.mean(alarms) <= 0.25  # nearly all of them row by row


def test_too_few_rows_say_how_many_are_needed() -> None:
    sample = rows(500, 0)
    for current, needed in ((rows(20, 1), "the window has 20 rows to compare, tests of columns together need 50"),):
        for one in compare(sample, current).values():
            assert (one.p_value, one.drifted, one.note) == (None, False, needed)
    assert "the reference has 30 rows" in compare(rows(30, 0), rows(500, 1))["mmd"].note
    slow = pl.DataFrame({"a": np.sin(np.arange(400) / 60), "b": np.cos(np.arange(400) / 60)})
    assert "because rows depend on those before them" in compare(slow, slow)["mmd"].note
    assert compare(sample, sample.head(0))["mmd"].note.startswith("the window has 0 rows")


def test_columns_that_are_constant_or_have_vanished_are_named() -> None:
    sample = rows(300, 0).with_columns(same=pl.lit(1.0), none=pl.lit(None, pl.Float64))
    current = rows(300, 1).with_columns(same=pl.lit(1.0), none=pl.lit(None, pl.Float64)).drop("b")
    found = compare(sample, current)
    assert "without b, which the window does not have" in found["mmd"].note
    assert "without same, none: constant" in found["mmd"].note
    assert found["mmd"].p_value > 0.01
    constant = pl.DataFrame({"a": [1.0] * 100, "b": ["x"] * 100})
    assert compare(constant, constant)["domain_classifier"].note == "all columns are constant"


def test_more_missing_values_and_new_categories_are_drift() -> None:
    sample = rows(800, 0)
    assert compare(sample, rows(800, 1, missing=0.25))["domain_classifier"].columns[0] == "c"
    other = rows(800, 1).with_columns(pl.col("k").replace({"z": "other"}))
    found = compare(sample, other)
    assert found["domain_classifier"].columns[0] == "k"
    assert found["mmd"].p_value < 0.01


def test_a_column_whose_type_has_changed_is_compared_as_what_can_be_read_of_it() -> None:
    found = compare(rows(300, 0), rows(300, 1).with_columns(pl.lit("?").alias("a")))
    assert found["domain_classifier"].p_value == 1 / 500
    assert found["domain_classifier"].columns[0] == "a"


def test_ignored_columns_and_switched_off_tests_are_left_alone() -> None:
    sample, current = rows(300, 0), rows(300, 1).with_columns(pl.col("a") + 5)
    assert compare(sample, current)["mmd"].p_value == 1 / 500
    assert compare(sample, current, DriftSettings(ignore=("a",)))["mmd"].p_value > 0.05
    assert compare(sample, current, DriftSettings(multivariate=False)) == {}


def test_the_area_under_the_curve_is_that_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="needs the extra monitor")
    random = np.random.default_rng(0)
    scores, labels, weights = random.normal(size=(5, 200)), random.random((5, 200)) < 0.3, random.random(200)
    for area, score, label in zip(areas_under_curve(scores, labels, weights), scores, labels, strict=True):
        assert area == pytest.approx(metrics.roc_auc_score(label, score, sample_weight=weights))


def test_the_discrepancy_is_that_of_all_pairs() -> None:
    random = np.random.default_rng(0)
    features = random_features(random.normal(size=(60, 3)), seed=1)
    assert np.allclose(np.sum(features**2, axis=1), 1)
    labels = np.arange(60) >= 35
    kernel = features @ features.T
    np.fill_diagonal(kernel, 0)
    expected = (
        kernel[:35, :35].sum() / (35 * 34) + kernel[35:, 35:].sum() / (25 * 24) - 2 * kernel[:35, 35:].mean()
    )  # fmt: skip
    assert unbiased_mmd(features, labels[None])[0] == pytest.approx(expected)


def test_blocks_belong_to_one_sample_and_are_exchanged_whole() -> None:
    design = permutation_design(3000, 1000, reference_effect=4, current_effect=4, seed=0)
    assert not isinstance(design, str)
    observed = design.row_labels[0]
    assert observed[: len(design.reference)].sum() == 0
    assert observed[len(design.reference) :].all()
    assert len(np.unique(np.stack([design.block, observed]), axis=1).T) == design.labels.shape[1]
    assert (design.labels.sum(axis=1) == design.labels[0].sum()).all()
    assert np.allclose(np.bincount(design.block, weights=design.weights), 1)
