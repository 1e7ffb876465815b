from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.signal import lfilter

from lightning_app.packaging import Package
from lightning_app.retraining.gate import Look, judge
from lightning_app.retraining.gate.alpha_spending import spend
from lightning_app.retraining.gate.paired_test import paired_test
from tests.packages import COLUMNS, LABELS, small_package

ROWS = 3000


def package(folder: Path, name: str, noise: float, *, classes: bool = False) -> Package:
    return Package.load(small_package(folder / name, noise=noise, seed=1, labels=LABELS if classes else None))


def rows(truth: Package, *, classes: bool = False, num_rows: int = ROWS) -> pl.DataFrame:
    """Rows with the answers of a package as labels."""
    rng = np.random.default_rng(3)
    table = pl.DataFrame({name: rng.standard_normal(num_rows).astype(np.float32) for name in COLUMNS})
    answer = truth.predict(table)
    return table.with_columns(
        (answer["label"] if classes else answer[truth.manifest.outputs[0].name]).alias("outcome"),
        region=pl.Series(["north", "south"] * (num_rows // 2)),
    )


@pytest.mark.parametrize("classes", [False, True])
def test_a_better_candidate_passes_and_a_worse_one_does_not(tmp_path: Path, classes: bool) -> None:
    truth, good, bad = (
        package(tmp_path, name, noise, classes=classes) for name, noise in (("t", 0.0), ("g", 0.3), ("b", 0.6))
    )
    table = rows(truth, classes=classes)
    passed = judge(bad, good, table, label="outcome", alpha=0.05)
    assert passed.judgement.passed, passed.judgement.reason
    assert passed.judgement.ratio is not None
    assert passed.judgement.ratio < 0.9
    assert passed.judgement.p_value < passed.judgement.alpha < 0.05
    assert passed.champion_errors.columns[:2] == ["row", "error"]
    assert passed.champion_errors["row"].to_list() == list(range(ROWS))
    refused = judge(good, bad, table, label="outcome", alpha=0.05)
    assert not refused.judgement.passed
    assert "not surely better" in refused.judgement.reason
    same = judge(good, good, table, label="outcome", alpha=0.05)
    assert not same.judgement.passed
    assert judge(good, good, table, label="outcome", alpha=0.05, margin=0.05).judgement.passed  # not worse is enough


def test_what_earlier_candidates_spent_is_gone_and_their_evidence_adds_up(tmp_path: Path) -> None:
    truth, one, other = (package(tmp_path, name, noise) for name, noise in (("t", 0.0), ("a", 0.50), ("b", 0.48)))
    table = rows(truth)
    first = judge(one, other, table, label="outcome", alpha=0.05).judgement
    later = judge(one, other, table, label="outcome", alpha=0.05, earlier=[Look(p_value=0.5)] * 30).judgement
    assert (first.p_value, first.number, later.number) == (later.p_value, 1, 31)
    assert later.alpha < first.alpha / 50
    assert sum(spend(0.05, [Look(p_value=0.5)] * number).alpha for number in range(1, 300)) < 0.025
    with pytest.raises(ValueError, match="alpha: 1"):
        spend(1, [first.look])


def test_candidates_that_are_all_a_little_better_pass_together() -> None:
    looks = [Look(p_value=0.05, since=float(number), until=number + 0.5) for number in range(12)]
    alone = spend(0.05, looks[:1])
    assert looks[0].p_value > alone.alpha
    assert alone.evidence is not None
    assert alone.evidence < alone.evidence_needed
    together = spend(0.05, looks)
    assert together.evidence is not None
    assert together.evidence > together.evidence_needed
    # The same rows again say nothing new.
    again = spend(0.05, [Look(p_value=0.05, since=0.0, until=1.0)] * 12)
    assert again.evidence is None
    # What nothing could be said of is no look.
    assert spend(0.05, [Look(p_value=1.0)] * 50 + looks[:1]) == alone


def test_a_champion_is_rarely_replaced_without_cause_however_often_it_is_challenged() -> None:
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(100):
        looks: list[Look] = []
        for p_value in rng.uniform(size=40):
            looks.append(Look(p_value=p_value))
            spending = spend(0.05, looks)
            evidence = spending.evidence or 0.0
            if p_value <= spending.alpha or evidence >= spending.evidence_needed:
                wrong += 1
                break
    assert wrong <= 5


def test_too_few_rows_pass_nothing_and_say_how_many_are_needed(tmp_path: Path) -> None:
    truth, bad = package(tmp_path, "t", 0.0), package(tmp_path, "b", 0.9)
    few = judge(bad, truth, rows(truth, num_rows=6), label="outcome", alpha=0.05).judgement
    assert not few.passed
    assert few.reason == "6 rows that both answer, 50 are needed"
    asked = judge(bad, truth, rows(truth, num_rows=100), label="outcome", alpha=0.05, minimum_rows=200).judgement
    assert asked.reason == "100 rows that both answer, 200 are needed"


def test_rows_that_the_champion_rejects_are_counted_and_new_rejections_refuse(tmp_path: Path) -> None:
    truth, bad = package(tmp_path, "t", 0.0), package(tmp_path, "b", 0.9)
    table = rows(truth).with_columns(length=pl.when(pl.int_range(pl.len()) % 10 == 0).then(None).otherwise("length"))
    both = judge(bad, truth, table, label="outcome", alpha=0.05).judgement
    assert (both.passed, both.rows) == (True, ROWS - ROWS // 10)
    assert both.rejected_by_champion == both.rejected_by_candidate == ROWS // 10
    assert "row 0" in both.notes[0]


def test_harm_in_a_slice_refuses_a_candidate_that_is_better_on_the_whole(tmp_path: Path) -> None:
    truth, one = package(tmp_path, "t", 0.0), package(tmp_path, "b", 0.4)
    is_large = pl.col("length") > 1.0
    table = rows(truth).with_columns(size=pl.when(is_large).then(pl.lit("large")).otherwise(pl.lit("small")))
    answers = one.predict(table)[one.manifest.outputs[0].name]
    table = table.with_columns(
        outcome=pl.when(is_large).then(answers).otherwise("outcome")
    )  # there, the champion is right
    judgement = judge(one, truth, table, label="outcome", alpha=0.05, slices=["size"]).judgement
    assert judgement.ratio is not None
    assert judgement.ratio < 0.5
    assert judgement.slices[0].name == "size=large"
    assert not judgement.passed
    assert "size=large" in judgement.reason
    with pytest.raises(ValueError, match="there is no column 'colour'"):
        judge(one, truth, table, label="outcome", alpha=0.05, slices=["colour"])


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
def test_p_values_hold_for_errors_that_depend_on_each_other(phi: float) -> None:
    rng = np.random.default_rng(0)
    series = lfilter([1], [1, -phi], rng.standard_normal((1000, 2500)))[:, 500:]
    p_values = np.array([paired_test(5 + one, np.full(2000, 5.0), margin=0).p_value for one in series])
    assert (p_values < 0.05).mean() < 0.075
    assert (p_values < 0.01).mean() < 0.025
