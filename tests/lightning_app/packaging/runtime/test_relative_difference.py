"""Differences are in units of the largest number expected, and what is not a number is infinitely far away."""

import math

import numpy as np
import pytest

from lightning_app.packaging.runtime.relative_difference import relative_difference


@pytest.mark.parametrize(
    ("answer", "expected", "difference"),
    [
        ([1.0, 4.2], [1.0, 4.0], 0.05),
        ([-4.2, 1.0], [-4.0, 1.0], 0.05),
        ([0.0, 0.5], [0.0, 0.0], 0.5),
        ([1.0, math.nan], [1.0, 4.0], math.inf),
        ([1.0, 4.0], [1.0, math.nan], math.inf),
    ],
)
def test_the_largest_number_expected_is_the_unit(answer: list[float], expected: list[float], difference: float) -> None:
    assert relative_difference(np.array(answer), np.array(expected)) == pytest.approx(difference)
