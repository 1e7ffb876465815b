"""Tests of one column: its distribution, rows without a value, unknown categories."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lightning_app.drift.reference.reference import ColumnReference
from lightning_app.drift.reference.sketch import ColumnSketch
from lightning_app.drift.result import Finding
from lightning_app.drift.statistics.autocorrelation import Autocorrelation
from lightning_app.drift.statistics.distribution_test import distribution_test
from lightning_app.drift.statistics.share_test import share_test

Array = npt.NDArray[np.float64]

LEAST_ROWS = 30
"""Rows with a value that a test of a distribution needs, if rows are independent."""
_LEAST_EFFECTIVE_ROWS = 25.0
_MOST_ROWS = 2**24
_LUCK = 3.0


class ColumnTest(NamedTuple):
    """One test of a column.

    Attributes:
        finding: What it would find.
        p_value: Before the correction for all tests of a report.
    """

    finding: Finding
    p_value: float


def column_tests(reference: ColumnReference, current: ColumnSketch, *, alpha: float) -> list[ColumnTest]:
    """Tests that can find something in a column.

    Those are left out that no rows could bring below alpha, given how many rows of both samples together have a value
    or an unknown category: they would only make the correction stricter.

    Args:
        reference: The column in the reference.
        current: Its sketch in the window.
        alpha: Level of the report.
    """
    before, dependence = reference.sketch, reference.dependence
    tests: list[ColumnTest] = []
    if reference.role != "outcome":  # outcomes are missing because they arrive late
        tests += _share_test("missing", (before.unusable, before.rows), (current.unusable, current.rows),
                             dependence.unusable, alpha)  # fmt: skip
    if reference.bins.categories is not None and reference.bins.complete:
        once = before.counts.count(1)
        tests += _share_test("unknown", (once, before.count), (current.unknown, current.count), dependence.rest, alpha)
    if min(before.count, current.count) >= rows_needed(reference):
        found = distribution_test(
            *_tested_counts(reference, current),
            ordered=reference.plan.kind == "number", leading=dependence.leading, rest=dependence.rest,
        )  # fmt: skip
        if found.p_value is not None:
            tests.append(ColumnTest("distribution", found.p_value))
    return tests


def rows_needed(reference: ColumnReference) -> int:
    """Rows with a value that the test of a column's distribution needs.

    Args:
        reference: The column; the more its rows depend on each other, the more of them are needed.
    """
    rows = LEAST_ROWS
    for direction in reference.dependence.leading:
        while direction.dependent and rows / direction.design_effect(rows) < _LEAST_EFFECTIVE_ROWS:
            rows = math.ceil(1.25 * rows)
            if rows > _MOST_ROWS:
                return rows
    return rows


def _tested_counts(reference: ColumnReference, current: ColumnSketch) -> tuple[Array, Array]:
    """Counts of both.

    Where not all categories are listed, the last ones on the list may be there by luck: their counts are too large in
    the reference. They are tested together with those that are not listed.
    """
    before, now = np.asarray(reference.sketch.counts, np.float64), np.asarray(current.counts, np.float64)
    if reference.bins.complete:
        return before, now
    least = before[:-1].min()
    expected = (before + now) * before.sum() / (before.sum() + now.sum())  # of both: alike for either sample
    lucky = expected - _LUCK * np.sqrt(expected) <= least
    lucky[-1] = True
    return np.append(before[~lucky], before[lucky].sum()), np.append(now[~lucky], now[lucky].sum())


def _share_test(
    finding: Finding, reference: tuple[int, int], current: tuple[int, int], dependence: Autocorrelation, alpha: float
) -> list[ColumnTest]:
    """The test, or none if it cannot find anything; dependent rows count as fewer."""
    (count_reference, rows_reference), (count, rows) = reference, current
    if not rows or not rows_reference:
        return []
    effect, effect_reference = dependence.design_effect(rows), dependence.design_effect(rows_reference)
    p_value, least = share_test(
        count_reference / effect_reference, rows_reference / effect_reference, count / effect, rows / effect,
        more_only=finding == "unknown",
    )  # fmt: skip
    return [ColumnTest(finding, p_value)] if least <= alpha else []
