"""The gates tell a variant that is worse from one that is not."""

import math

import numpy as np
import polars as pl
import pytest

from lightning_app.packaging.format.errors import PackageError
from lightning_app.packaging.optimize.gates import Latency, OptimizationError, compare_accuracy


def errors(values: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame({"row": np.arange(len(values)), "error": values})


def drawn(rows: int = 2000) -> np.ndarray:
    return np.random.default_rng(0).gamma(2.0, size=rows)


@pytest.mark.parametrize(("factor", "passes"), [(1.0, True), (1.005, True), (1.02, False), (0.9, True)])
def test_an_interval_of_the_paired_difference_decides(factor: float, passes: bool) -> None:
    before = drawn()
    noise = 1 + 0.01 * np.random.default_rng(1).standard_normal(len(before))
    found = compare_accuracy(errors(before), errors(before * factor * noise), block=10)
    assert found.low < found.worse < found.high
    assert found.worse == pytest.approx(factor - 1, abs=1e-3)
    if passes:
        found.check(0.01)
    else:
        with pytest.raises(OptimizationError, match="accuracy"):
            found.check(0.01)


def test_a_mean_that_is_no_worse_does_not_pass_where_rows_are_too_few_or_too_noisy() -> None:
    before = drawn(30)
    with pytest.raises(OptimizationError, match="too few"):
        compare_accuracy(errors(before), errors(before), block=10).check(0.01)
    before = drawn(200)
    with pytest.raises(OptimizationError, match="95 % interval"):
        compare_accuracy(errors(before), errors(np.roll(before, 7)), block=1).check(0.01)


def test_a_parent_without_errors_allows_none() -> None:
    nothing = np.zeros(50)
    assert compare_accuracy(errors(nothing), errors(nothing), block=1).high == 0
    found = compare_accuracy(errors(nothing), errors(nothing + (np.arange(50) == 3)), block=1)
    found.check(math.inf)
    with pytest.raises(OptimizationError, match="the parent makes no error on its 50 test rows, the variant does"):
        found.check(100.0)


@pytest.mark.parametrize("block", [1, 3])
def test_rare_errors_have_an_interval_although_many_resamples_have_none(block: int) -> None:
    one, two, other = (np.isin(np.arange(40), rows).astype(float) for rows in ([7], [7, 30], [30]))
    same = compare_accuracy(errors(one), errors(one), block=block)
    assert (same.worse, same.low, same.high) == (0, 0, 0)
    same.check(0.0)
    for before, after, worse in ((one, other, 0.0), (one, two, 1.0), (two, one, -0.5)):
        found = compare_accuracy(errors(before), errors(after), block=block)
        assert found.worse == pytest.approx(worse)
        assert -1 < found.low < found.worse < found.high < 1000
    assert compare_accuracy(errors(two), errors(0 * two), block=block).high == -1


def test_a_change_by_orders_of_magnitude_is_said_briefly() -> None:
    found = compare_accuracy(errors(1e-16 * drawn()), errors(drawn()), block=1)
    with pytest.raises(OptimizationError, match=r"changed by \+1e\+18%, 95 % interval .{,20} to .{,20} over"):
        found.check(0.01)


def test_errors_of_other_rows_are_not_compared() -> None:
    with pytest.raises(PackageError, match="same data"):
        compare_accuracy(errors(drawn(20)), errors(drawn(21)), block=1)


def test_only_what_is_slower_by_more_than_noise_is_slower() -> None:
    Latency({"1": 1.0, "8": 4.0}, {"1": 1.08, "8": 2.0}).check()
    with pytest.raises(OptimizationError, match="5 ms instead of 4 ms for a batch of 8"):
        Latency({"1": 1.0, "8": 4.0}, {"1": 0.5, "8": 5.0}).check()
