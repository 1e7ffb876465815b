"""Distribution test: whether two samples, counted in the same bins, come from one distribution.

Pearson's chi-square statistic of the two samples is a sum of squares over uncorrelated directions. Of numbers, the
first few are rank scores: place, spread, skewness, tails. They and all others are tested apart, so that small smooth
changes are not lost among many bins, and the smaller p-value counts. Categories have the usual chi-square test. Where
rows depend on those before them, each direction varies more, by its design effect, and directions depend on each other:
each is tested apart.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc, fdtrc

from lightning_app.drift.statistics.autocorrelation import Autocorrelation
from lightning_app.drift.statistics.directions import NUM_CATEGORIES, orthonormal, rank_scores

Array = npt.NDArray[np.float64]

_LEAST_EXPECTED = 5.0
INDEPENDENT = Autocorrelation()


class DistributionTest(NamedTuple):
    """Outcome of a test.

    Attributes:
        p_value: None if both samples are constant.
        statistic: Chi-square statistic of the two samples, before design effects.
        degrees: Its degrees of freedom.
    """

    p_value: float | None
    statistic: float
    degrees: int


def distribution_test(
    reference: Array,
    current: Array,
    *,
    ordered: bool,
    leading: Sequence[Autocorrelation] = (),
    rest: Autocorrelation = INDEPENDENT,
) -> DistributionTest:
    """Tests two rows of counts.

    Args:
        reference: Rows of the reference in each bin, [bins].
        current: Rows of the window in each bin, [bins].
        ordered: Whether bins are those of numbers.
        leading: How rows depend on those before them, in each leading direction.
        rest: The same in all other directions.
    """
    dependence = [*leading, rest]
    dependent = any(one.dependent for one in dependence)
    merge = merge_ordered if ordered else merge_categories
    effect = max(one.design_effect(int(current.sum())) for one in dependence)
    reference, current = merge(reference, current, least_expected=_LEAST_EXPECTED * effect)
    cells = len(reference)
    if cells < 2:
        return DistributionTest(None, 0.0, 0)
    rows_reference, rows = float(reference.sum()), float(current.sum())
    together = rows_reference + rows
    shares = (reference + current) / together
    gap = current / rows - reference / rows_reference
    variance = (1 / rows_reference + 1 / rows) * together / (together - 1)
    statistic = float(np.sum(gap * gap / shares)) / variance
    if ordered:
        scores = rank_scores(shares, num_scores=max(len(leading), 1))
    else:
        scores = orthonormal(np.eye(cells)[:, : min(NUM_CATEGORIES, cells - 1)], shares)
    squares = (gap @ scores) ** 2 / variance
    others, degrees = max(statistic - float(squares.sum()), 0.0), cells - 1 - scores.shape[1]
    if dependent:
        directions = [*leading, *[rest] * scores.shape[1]][: scores.shape[1]]
        p_values = [
            _p_value(float(square), one, rows, rows_reference) for square, one in zip(squares, directions, strict=True)
        ]
        if degrees > 0:
            # Directions of the rest differ among each other: fewer degrees of freedom (Rao and Scott). By how many
            # was chosen with simulated autoregressions.
            effect = _inflation(rest, rows, rows_reference)
            spread = 1 + 6 * max(effect - 1, 0)
            p_values.append(float(chdtrc(degrees / spread, others / (effect * spread))))
    elif ordered:
        p_values = [float(chdtrc(scores.shape[1], squares.sum()))]
        p_values += [float(chdtrc(degrees, others))] if degrees > 0 else []
    else:
        p_values = [float(chdtrc(cells - 1, statistic))]
    return DistributionTest(_smallest(p_values), statistic, cells - 1)


def merge_ordered(reference: Array, current: Array, *, least_expected: float = _LEAST_EXPECTED) -> tuple[Array, Array]:
    """Neighbouring bins joined until each is expected to hold enough rows of both samples.

    Args:
        reference: Counts, [bins].
        current: Counts, [bins].
        least_expected: Rows that are enough.
    """
    together = reference + current
    needed = least_expected * together.sum() / max(min(reference.sum(), current.sum()), 1)
    starts, held = [0], 0.0
    for place, count in enumerate(together):
        if held >= needed and together[place:].sum() >= needed:
            starts.append(place)
            held = 0.0
        held += count
    return np.add.reduceat(reference, starts), np.add.reduceat(current, starts)


def merge_categories(
    reference: Array, current: Array, *, least_expected: float = _LEAST_EXPECTED
) -> tuple[Array, Array]:
    """Categories by frequency in the reference, the rare ones joined to one.

    Args:
        reference: Counts, [categories].
        current: Counts, [categories].
        least_expected: Rows that are enough.
    """
    together = reference + current
    needed = least_expected * together.sum() / max(min(reference.sum(), current.sum()), 1)
    order = np.argsort(-reference, kind="stable")
    frequent = [place for place in order if together[place] >= needed]
    rare = [place for place in order if 0 < together[place] < needed]
    if rare and frequent and together[rare].sum() < needed:
        rare.append(frequent.pop())
    groups = [[place] for place in frequent] + ([rare] if rare else [])
    return (
        np.array([reference[group].sum() for group in groups]),
        np.array([current[group].sum() for group in groups]),
    )


def _inflation(dependence: Autocorrelation, rows: float, rows_reference: float) -> float:
    """By how much the variance of the difference of two means is larger than of independent rows."""
    window, reference = dependence.design_effect(int(rows)), dependence.design_effect(int(rows_reference))
    return (window / rows + reference / rows_reference) / (1 / rows + 1 / rows_reference)


def _p_value(square: float, dependence: Autocorrelation, rows: float, rows_reference: float) -> float:
    """P-value of a squared z-value whose variance is estimated."""
    square /= _inflation(dependence, rows, rows_reference)
    return float(chdtrc(1, square) if dependence.freedom is None else fdtrc(1, dependence.freedom, square))


def _smallest(p_values: Sequence[float]) -> float:
    """The smallest p-value as one of as many independent ones (Sidak)."""
    return float(-np.expm1(len(p_values) * np.log1p(-min(*p_values, 1 - 1e-16))))
