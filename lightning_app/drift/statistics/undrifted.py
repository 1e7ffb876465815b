"""Undrifted windows: what distances reach by chance at the sizes of both samples."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lightning_app.drift.statistics.autocorrelation import Autocorrelation
from lightning_app.drift.statistics.directions import leading_directions

Array = npt.NDArray[np.float64]

DRAWS = 400
_LEAST_COUNT = 10.0


class Undrifted(NamedTuple):
    """Drawn pairs of samples from one distribution.

    Attributes:
        reference: Counts, [draws, bins].
        current: Counts, [draws, bins].
    """

    reference: Array
    current: Array


def draw_undrifted(
    shares: Array,
    *,
    rows_reference: int,
    rows: int,
    kind: str,
    leading: Sequence[Autocorrelation],
    rest: Autocorrelation,
    random: np.random.Generator,
) -> Undrifted:
    """Draws windows and references from the shares of the reference.

    Multinomial where bins hold few rows, normal else; both with the variance that dependent rows have.

    Args:
        shares: Share of the reference in each bin, [bins].
        rows_reference: Rows of the reference.
        rows: Rows of the window.
        kind: `number` or `category`.
        leading: How rows depend on those before them, in each leading direction.
        rest: The same in all other directions.
        random: Source of the draws.
    """
    sizes = (rows_reference, rows)
    if np.median(shares[shares > 0]) * rows < _LEAST_COUNT:
        whole = [max(1, round(size / _largest_effect(leading, rest, size))) for size in sizes]
        reference, current = (random.multinomial(size, shares, DRAWS).astype(np.float64) for size in whole)
        return Undrifted(reference, current)
    scores = leading_directions(shares, kind)
    roots = np.sqrt(shares)
    basis = scores * roots[:, None]
    drawn = []
    for size in sizes:
        noise = random.standard_normal((DRAWS, len(shares)))
        noise -= np.outer(noise @ roots, roots)
        smooth = noise @ basis
        effects = np.array([one.design_effect(size) for one in [*leading, *[rest] * scores.shape[1]]])
        spread = (noise - smooth @ basis.T) * np.sqrt(rest.design_effect(size))
        spread += (smooth * np.sqrt(effects[: scores.shape[1]])) @ basis.T
        drawn.append(np.maximum(shares * size + spread * roots * np.sqrt(size), 0))
    return Undrifted(*drawn)


def _largest_effect(leading: Sequence[Autocorrelation], rest: Autocorrelation, rows: int) -> float:
    return max(one.design_effect(rows) for one in (*leading, rest))
