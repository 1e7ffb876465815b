"""DelayModel: how long outcomes take, by what they are, and weights of rows whose outcome came early.

Outcomes that come first are not like the others: a customer who leaves is known at once, one who stays is known after
a month. Of rows younger than `within`, only those with a fast outcome are labelled. Each labelled row is therefore
weighted with the inverse of the probability that a row with such an outcome is labelled at this age (inverse
probability of censoring). That probability is estimated from all labelled rows, young ones too: their delays are
right-truncated by their age, so it is the product-limit estimator in reverse time (Lynden-Bell 1971; Lagakos, Barraj,
De Gruttola 1988).
"""

import math
from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from lightning_app.drift.answers.flat import Array, Booleans, Integers

FEWEST_OF_STRATUM = 50
"""Labelled rows older than `within` that an estimate of the delays of a stratum needs."""
SETTLED_SHARE = 0.99
"""Share of the outcomes of each stratum that must have come at an age, for outcomes to be compared as they are."""
LEAST_SHARE = 0.2
"""Share of the outcomes of each stratum that must have come at an age, for rows of this age to be judged."""

_MOST_VALUES = 20
_QUANTILES = (0.2, 0.4, 0.6, 0.8)


class DelayRows(Struct, frozen=True, kw_only=True):
    """Delays of rows, one element each.

    Attributes:
        ages: Seconds since the request, (N,).
        delays: Seconds from the request to its outcome; nan without one, (N,).
        values: True number, or index of the true class, or reward; nan without one, (N,).
        errors: Error of the answer; nan without an outcome, (N,).
    """

    ages: Array
    delays: Array
    values: Array
    errors: Array


class DelayCurve(Struct, frozen=True, kw_only=True):
    """Distribution of the delays of a stratum, among outcomes that come within the time.

    Attributes:
        delays: Distinct delays, ascending, (D,).
        shares: Share of the outcomes that have come after each, (D,).
        hazards: Reverse hazard: outcomes at each delay over those that had come by then, (D,).
        at_risk: Outcomes that had come by then, of rows old enough, (D,).
    """

    delays: Array
    shares: Array
    hazards: Array
    at_risk: Array

    def share(self, ages: Array) -> Array:
        """Share of the outcomes that have come at some ages.

        Args:
            ages: Seconds, (N,).
        """
        place = np.searchsorted(self.delays, ages, side="right")
        return np.where(place > 0, self.shares[np.maximum(place - 1, 0)], 0.0)


class DelayModel(Struct, frozen=True, kw_only=True):
    """How long outcomes take.

    Attributes:
        within: Age at which rows count as they are; outcomes that come later are not used. Seconds.
        curves: By stratum; None if too few outcomes are known to weight any.
        least_age: Age from which rows are judged, seconds.
        ever: Share of rows whose outcome comes within the time (Kaplan-Meier); None without any.
        half: Age at which half of the outcomes have come; None without any.
        value_edges: Edges between strata of true values.
        error_edge: Error that separates good from bad answers.
    """

    within: float
    curves: dict[int, DelayCurve] | None
    least_age: float
    ever: float | None
    half: float | None
    value_edges: Array
    error_edge: float

    @property
    def settled_age(self) -> float:
        """Age from which nearly all outcomes of every kind have come; `within` while that is not known."""
        if self.curves is None:
            return self.within
        ages = [curve.delays[np.searchsorted(curve.shares, SETTLED_SHARE)] for curve in self.curves.values()]
        return min(self.within, float(max(ages)))

    def strata(self, rows: DelayRows) -> Integers:
        """Which kind of outcome rows have: its size or class, and whether the answer was good; -1 without one.

        Args:
            rows: The rows.
        """
        places = 2 * np.searchsorted(self.value_edges, np.nan_to_num(rows.values)) + (rows.errors <= self.error_edge)
        return np.where(np.isfinite(rows.values), places, -1)

    def weights(self, rows: DelayRows) -> Array:
        """Weights of labelled rows; 0 of others, (N,).

        Args:
            rows: The rows.
        """
        weights = (labelled(rows, self.within) & (rows.ages >= self.least_age)).astype(float)
        for stratum, young in self._young(rows, weights > 0):
            assert self.curves is not None
            weights[young] = 1 / self.curves[stratum].share(rows.ages[young])
        return weights

    def noise(self, rows: DelayRows, weights: Array, of_points: Integers) -> "DelayNoise | None":
        """What is not known of the weights; None if all rows are old.

        Args:
            rows: The rows.
            weights: Their weights.
            of_points: Row of each point of a sample, (P,).
        """
        parts = []
        for stratum, young in self._young(rows, weights > 0):
            assert self.curves is not None
            curve = self.curves[stratum]
            chosen = np.flatnonzero(young[of_points])
            place = np.searchsorted(curve.delays, rows.ages[of_points[chosen]], side="right")
            parts.append((chosen, place, curve.hazards / np.maximum(curve.at_risk, 1)))
        return DelayNoise(parts=parts) if parts else None

    def _young(self, rows: DelayRows, chosen: Booleans) -> list[tuple[int, Booleans]]:
        if self.curves is None:
            return []
        young = chosen & (rows.ages < self.within)
        if not young.any():
            return []
        strata = self.strata(rows)
        rest = np.where(np.isin(strata, list(self.curves)), strata, REST)
        return [(stratum, part) for stratum in self.curves if (part := young & (rest == stratum)).any()]


REST = -2
"""Stratum of all outcomes whose own has too few."""


class DelayNoise(Struct, frozen=True, kw_only=True):
    """Uncertainty of the weights, by stratum: points, their place among the delays, and variances of the hazards."""

    parts: list[tuple[Integers, Integers, Array]]

    def variance(self, contributions: Array) -> float:
        """Variance that the estimate of the delays adds to a weighted mean (Greenwood's formula in reverse time).

        Args:
            contributions: Weight times influence of each point over the sum of the weights, (P,).
        """
        total = 0.0
        for chosen, place, variances in self.parts:
            sums = np.bincount(place, contributions[chosen], len(variances) + 1)
            # A hazard at a delay touches the weights of all rows that are younger.
            total += float((np.cumsum(sums)[:-1] ** 2 * variances).sum())
        return total


def labelled(rows: DelayRows, within: float) -> Booleans:
    """Rows whose outcome is known, and came in time.

    Args:
        rows: The rows.
        within: Latest delay, seconds.
    """
    return np.asarray(rows.delays <= within)


def delay_model(parts: Sequence[DelayRows], *, within: float) -> DelayModel:
    """Estimates how long outcomes take.

    Args:
        parts: Rows of one or more versions: outcomes do not know which version answered.
        within: Age after which no outcome is waited for, seconds.
    """
    rows = DelayRows(
        **{
            name: np.concatenate([getattr(part, name) for part in parts]) if parts else np.zeros(0)
            for name in DelayRows.__struct_fields__
        }
    )
    known = labelled(rows, within) & (rows.delays <= rows.ages)
    ever, half = _ever(rows, known, within)
    values, errors = rows.values[known], rows.errors[known]
    model = DelayModel(
        within=within, curves=None, least_age=within, ever=ever, half=half, value_edges=_value_edges(values),
        error_edge=float(np.median(errors)) if len(errors) else 0.0,
    )  # fmt: skip
    old = known & (rows.ages >= within)
    if old.sum() < FEWEST_OF_STRATUM:
        return model
    strata = model.strata(rows)
    counts = np.bincount(strata[old])
    whole = np.flatnonzero(counts >= FEWEST_OF_STRATUM).tolist()
    rest = known & ~np.isin(strata, whole)
    curves = {stratum: _curve(rows, known & (strata == stratum), within) for stratum in whole}
    if rest.any():
        enough = (rest & old).sum() >= FEWEST_OF_STRATUM
        curves[REST] = _curve(rows, rest if enough else known, within)
    ages = [float(curve.delays[np.searchsorted(curve.shares, LEAST_SHARE)]) for curve in curves.values()]
    return replace(model, curves=curves, least_age=min(within, max(ages)))


def _value_edges(values: Array) -> Array:
    distinct = np.unique(values[:1000])
    if len(distinct) <= _MOST_VALUES:
        distinct = np.unique(values)
    if len(distinct) <= _MOST_VALUES:
        return (distinct[:-1] + distinct[1:]) / 2
    return np.unique(np.quantile(values, _QUANTILES))


def _curve(rows: DelayRows, chosen: Booleans, within: float) -> DelayCurve:
    """Distribution of delays that are right-truncated by the age of their row."""
    delays, ends = rows.delays[chosen], np.minimum(rows.ages[chosen], within)
    distinct, counts = np.unique(delays, return_counts=True)
    at_risk = np.cumsum(counts) - np.searchsorted(np.sort(ends), distinct, side="left")
    hazards = counts / np.maximum(at_risk, 1)
    # Share at a delay: the product over all later ones.
    later = np.append(np.cumprod((1 - hazards)[::-1])[::-1][1:], 1.0)
    return DelayCurve(delays=distinct, shares=later, hazards=hazards, at_risk=at_risk.astype(float))


def _ever(rows: DelayRows, known: Booleans, within: float) -> tuple[float | None, float | None]:
    """Kaplan-Meier estimate: share of the rows whose outcome comes in time, and the age at which half of them have."""
    if not known.any():
        return None, None
    ends = np.where(known, rows.delays, np.minimum(rows.ages, within))
    distinct, counts = np.unique(ends[known], return_counts=True)
    at_risk = len(ends) - np.searchsorted(np.sort(ends), distinct, side="left")
    waiting = np.cumprod(1 - counts / at_risk)
    ever = 1 - float(waiting[-1])
    place = int(np.searchsorted(1 - waiting, ever / 2))
    return ever, float(distinct[min(place, len(distinct) - 1)]) if math.isfinite(ever) else None
