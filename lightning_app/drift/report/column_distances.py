"""Distances of one column from its reference, beside what undrifted windows of this size reach."""

import zlib
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lightning_app.drift.reference.reference import ColumnReference
from lightning_app.drift.reference.sketch import ColumnSketch
from lightning_app.drift.statistics.distances import Tails, jensen_shannon, kolmogorov_smirnov, psi, wasserstein
from lightning_app.drift.statistics.undrifted import draw_undrifted

Array = npt.NDArray[np.float64]

_QUANTILE = 0.95


class Distance(NamedTuple):
    """A distance.

    Attributes:
        found: Between reference and window.
        expected: What 95 % of undrifted windows of this size stay below.
    """

    found: float | None = None
    expected: float | None = None


class ColumnDistances(NamedTuple):
    """All distances of a column; empty where they are not defined."""

    psi: Distance = Distance()
    js: Distance = Distance()
    ks: Distance = Distance()
    wasserstein: Distance = Distance()


def column_distances(reference: ColumnReference, current: ColumnSketch, *, seed: int) -> ColumnDistances:
    """Distances over the bins of the reference.

    Args:
        reference: The column in the reference.
        current: Its sketch in the window.
        seed: Seed of the draws.
    """
    before = reference.sketch
    if not before.count or not current.count:
        return ColumnDistances()
    counts, now = np.asarray(before.counts, np.float64), np.asarray(current.counts, np.float64)
    drawn = draw_undrifted(
        counts / counts.sum(), rows_reference=before.count, rows=current.count, kind=reference.plan.kind,
        leading=reference.dependence.leading, rest=reference.dependence.rest,
        random=np.random.default_rng([seed, zlib.crc32(reference.plan.name.encode())]),
    )  # fmt: skip
    found = ColumnDistances(
        psi=_distance(psi(counts, now), psi(*drawn)), js=_distance(jensen_shannon(counts, now), jensen_shannon(*drawn))
    )
    if reference.plan.kind != "number":
        return found
    found = found._replace(ks=_distance(kolmogorov_smirnov(counts, now), kolmogorov_smirnov(*drawn)))
    if not before.sd or len(reference.bins.edges) < 2:
        return found
    edges, nothing = np.asarray(reference.bins.edges), Tails(0.0, 0.0)
    moved = wasserstein(counts, now, edges, reference_tails=_tails(before), current_tails=_tails(current))
    by_chance = wasserstein(*drawn, edges, reference_tails=nothing, current_tails=nothing)
    return found._replace(wasserstein=_distance(moved / before.sd, by_chance / before.sd))


def _distance(found: Array, by_chance: Array) -> Distance:
    value, expected = float(found), float(np.quantile(by_chance, _QUANTILE))
    return Distance(value if np.isfinite(value) else None, expected if np.isfinite(expected) else None)


def _tails(sketch: ColumnSketch) -> Tails:
    return Tails(sketch.below / sketch.count, sketch.above / sketch.count)
