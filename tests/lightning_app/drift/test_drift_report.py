"""drift_report: what is found, named and counted, and what is not judged."""

import numpy as np
import polars as pl
import pytest

from lightning_app.drift.reference import build_reference
from lightning_app.drift.report import drift_report
from lightning_app.drift.result import DriftSettings, MultivariateDrift

SETTINGS = DriftSettings()
MIXED = pl.Series(np.random.default_rng(0).permutation(500).astype(float))


def rows(count, *, seed, shift=0.0):
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "amount": random.normal(shift, size=count),
            "visits": random.poisson(2, count),
            "city": random.choice(["Bern", "Basel", "Chur"], count, p=[0.6, 0.3, 0.1]),
            "member": random.random(count) < 0.5,
            "prediction.price": random.normal(size=count),
            "outcome": random.normal(size=count),
        }
    )


ROLES = {
    "amount": "input", "visits": "input", "city": "input", "member": "input", "prediction.price": "prediction",
    "outcome": "outcome",
}  # fmt: skip


@pytest.fixture(scope="module")
def reference():
    return build_reference(rows(5000, seed=0), roles=ROLES, importance={"amount": 0.8, "city": 0.2})


def report(reference, table, **settings):
    return drift_report(reference, table, settings=DriftSettings(**settings))


def column(result, name):
    return next(found for found in result.columns if found.column == name)


def test_a_shifted_column_is_named_first(reference):
    result = report(reference, rows(2000, seed=1, shift=0.3))
    assert [found.column for found in result.columns if found.drifted] == ["amount"]
    first = result.columns[0]
    assert (first.column, first.finding, first.importance, result.drifted) == ("amount", "distribution", 0.8, True)
    assert first.psi > first.psi_expected
    assert first.ks > first.ks_expected
    assert first.wasserstein == pytest.approx(0.3, abs=0.05)
    assert first.mean == pytest.approx(0.3, abs=0.05)


def test_the_reference_itself_has_not_drifted(reference):
    result = drift_report(reference, reference.reference_sketch(), settings=SETTINGS)
    assert not result.drifted
    for found in result.columns:
        assert found.p_value == pytest.approx(1)
        assert found.psi == found.js == 0
        assert found.ks in {0, None}


def test_missing_values_and_unknown_categories_are_findings_of_their_own(reference):
    table = rows(2000, seed=2).with_columns(
        pl.when(pl.int_range(pl.len()) % 50 == 0).then(None).otherwise(pl.col("amount")).alias("amount"),
        pl.when(pl.int_range(pl.len()) % 100 == 0).then(pl.lit("Zug")).otherwise(pl.col("city")).alias("city"),
    )
    result = report(reference, table)
    assert (column(result, "amount").finding, column(result, "amount").missing) == ("missing", 0.02)
    assert column(result, "city").unknown == 0.01
    assert column(result, "city").finding in {"unknown", "distribution"}
    assert column(result, "city").labels == ("Bern", "Basel", "Chur", "other")
    assert {found.column for found in result.columns if found.drifted} == {"amount", "city"}


def test_columns_that_vanished_changed_their_type_or_are_new(reference):
    table = rows(500, seed=3).drop("visits").with_columns(
        pl.lit("much").alias("amount"), pl.int_range(pl.len()).alias("city"), pl.lit(1).alias("colour")
    )  # fmt: skip
    result = report(reference, table)
    found = {name: column(result, name) for name in ("visits", "amount", "city", "colour")}
    assert {name: (drift.finding, drift.drifted) for name, drift in found.items()} == {
        "visits": ("vanished", True), "amount": ("type", True), "city": ("type", True), "colour": ("new", True)
    }  # fmt: skip
    assert found["amount"].note == "the type has changed: Float64 in the reference, String in the window"


def test_numbers_that_come_as_text_are_numbers(reference):
    table = rows(500, seed=4).with_columns(pl.col("amount").cast(pl.String), pl.col("visits").cast(pl.Float64))
    assert not report(reference, table).drifted


def test_too_few_rows_have_no_verdict(reference):
    result = report(reference, rows(29, seed=5, shift=5))
    assert (result.rows_needed, result.drifted) == (30, False)
    assert all(found.p_value is None for found in result.columns)
    assert "the window has 29 values, the test of the distribution needs 30" in column(result, "amount").note
    assert report(reference, rows(29, seed=5), minimum_rows=20).rows_needed is None
    assert report(reference, rows(500, seed=5), minimum_rows=501).rows_needed == 501


def test_an_empty_window_and_one_row_have_no_verdict(reference):
    for count in (0, 1):
        result = report(reference, rows(count, seed=6))
        assert (result.rows, result.rows_needed, result.drifted) == (count, 30, False)


def test_outcomes_that_are_not_there_yet_are_no_drift(reference):
    result = report(reference, rows(500, seed=7).drop("outcome"))
    assert (column(result, "outcome").drifted, column(result, "outcome").note) == (False, "no outcomes yet")
    late = rows(500, seed=7).with_columns(pl.when(pl.int_range(pl.len()) < 100).then(pl.col("outcome")))
    assert not report(reference, late).drifted


@pytest.mark.parametrize(
    ("before", "now", "finding"),
    [
        (pl.Series([3.0] * 500), pl.Series([3.0] * 500), None),
        (pl.Series([3.0] * 500), pl.Series([3.0] * 400 + [4.0] * 100), "distribution"),
        (pl.Series([0] * 500), pl.Series([0] * 400 + [-1] * 100), "distribution"),
        (pl.Series([None] * 500, dtype=pl.Float64), pl.Series([None] * 500, dtype=pl.Float64), None),
        (pl.Series([None] * 500, dtype=pl.Float64), pl.Series([1.0] * 500), "missing"),
        (pl.Series([None] * 500), pl.Series([None] * 500), None),
        (pl.Series([None] * 500), pl.Series(["a"] * 500), "missing"),
        (pl.Series([1.0] * 500), pl.Series([None] * 500), "missing"),
        (MIXED, pl.Series([float("inf"), float("nan")] * 250), "missing"),
        (MIXED, MIXED * 100, "distribution"),
        (pl.Series([True, False] * 250), pl.Series([True] * 500), "distribution"),
        (pl.Series([2**62, 2**62 + 2**20] * 250), pl.Series([2**62] * 500), "distribution"),
        (pl.Series([1e300, -1e300] * 250), pl.Series([1e308, -1e308] * 250), "distribution"),
        (pl.Series(["a"] * 500), pl.Series(["a"] * 500), None),
        (pl.Series(["a"] * 500), pl.Series(["b"] * 500), "unknown"),
    ],
)
def test_columns_that_do_not_vary(before, now, finding):
    reference = build_reference(pl.DataFrame({"x": before}), roles={"x": "input"})
    found = report(reference, pl.DataFrame({"x": now})).columns[0]
    assert (found.finding, found.drifted) == (finding, finding is not None)


def test_parts_of_a_list_are_missing_once():
    random = np.random.default_rng(0)
    lists = [list(random.normal(size=random.integers(1, 9))) for _ in range(1000)]
    reference = build_reference(pl.DataFrame({"x": lists}), roles={"x": "input"})
    result = report(reference, pl.DataFrame({"x": [*lists[:400], *[None] * 100]}))
    assert [found.column for found in result.columns if found.drifted] == ["x.length"]


def test_ignored_columns(reference):
    result = report(reference, rows(2000, seed=1, shift=0.3), ignore=("amount",))
    assert not result.drifted
    assert "amount: ignored by the settings" in result.notes
    with pytest.raises(ValueError, match="no column 'amuont' is watched"):
        report(reference, rows(50, seed=1), ignore=("amuont",))


def test_changes_that_are_certain_and_small_may_be_left_alone(reference):
    table = rows(100_000, seed=1, shift=0.1)
    assert column(report(reference, table), "amount").drifted
    assert not column(report(reference, table, minimum_psi=0.1), "amount").drifted


def test_tests_of_columns_together_are_corrected_too(reference):
    def judged(p_value):
        one = MultivariateDrift(name="mmd", statistic=1.0, p_value=p_value, rows=500)
        return drift_report(reference, rows(500, seed=8), settings=SETTINGS, multivariate=[one]).multivariate[0]

    assert judged(0.001).drifted
    assert judged(0.001).adjusted_p == pytest.approx(0.002)
    assert not judged(0.04).drifted


def test_a_sketch_of_another_reference_is_refused(reference):
    other = build_reference(rows(500, seed=9), roles=ROLES)
    with pytest.raises(ValueError, match="of another reference"):
        drift_report(reference, other.reference_sketch(), settings=SETTINGS)
