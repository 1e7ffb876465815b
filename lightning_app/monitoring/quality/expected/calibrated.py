"""Calibrated probabilities: as often as they came true on held-out rows."""

from collections.abc import Sequence

import numpy as np

from lightning_app.drift.answers.flat import Array
from lightning_app.drift.answers.held_out import CalibrationCurve
from lightning_app.drift.answers.points import Points

_LAST = 4
"""Bins at each end by which calibration is continued beyond them."""
_EPS = float(np.finfo(np.float64).eps)


def calibrated(probabilities: Array, curves: Sequence[CalibrationCurve]) -> Array:
    """Probabilities as often as they came true on held-out rows, (P, K).

    Args:
        probabilities: As answered, (P, K).
        curves: Of each class.
    """
    columns = [_calibrated(probabilities[:, place], curve) for place, curve in enumerate(curves)]
    if len(columns) == 2:
        columns[0] = 1 - columns[1]
    whole = np.stack(columns, axis=1)
    return np.asarray(whole / np.maximum(whole.sum(axis=1, keepdims=True), _EPS))


def to_be_calibrated(points: Points) -> Array:
    """Probabilities to calibrate, (P, K): what trees say given the request too, or else those that were answered.

    Args:
        points: Answers with probabilities.
    """
    assert points.probabilities is not None
    return points.probabilities if points.conditions is None else points.conditions


def _calibrated(probability: Array, curve: CalibrationCurve) -> Array:
    """Shares of the bins, made monotone, and interpolated over log odds; outwards they go on as the last bins do."""
    counts, mean, share = (np.asarray(values, dtype=float) for values in (curve.counts, curve.probability, curve.share))
    known = counts > 0
    if not known.any():
        return probability
    counts, mean, share = counts[known], mean[known], share[known]
    shares = _monotone((share * counts + mean) / (counts + 1), counts)  # no bin is certain
    odds, means = log_odds(probability), log_odds(mean)
    found = np.interp(odds, means, shares)
    for outer, end, part in ((odds < means[0], 0, slice(None, _LAST)), (odds > means[-1], -1, slice(-_LAST, None))):
        slope = _slope(means[part], log_odds(shares[part]))
        found[outer] = 1 / (1 + np.exp(-(log_odds(shares)[end] + slope * (odds[outer] - means[end]))))
    return found


def _slope(means: Array, shares: Array) -> float:
    """By how much log odds of shares rise with those of probabilities, from 0 to 1."""
    spread = float(np.square(means - means.mean()).sum())
    return min(1.0, max(0.0, float(((means - means.mean()) * shares).sum()) / spread)) if spread > 0 else 0.0


def log_odds(probability: Array) -> Array:
    """Logarithms of odds, finite for 0 and 1.

    Args:
        probability: Of any shape.
    """
    safe = np.clip(probability, 1e-12, 1 - 1e-12)
    return np.log(safe) - np.log1p(-safe)


def _monotone(values: Array, weights: Array) -> Array:
    """The nearest values that do not fall: neighbours that do are pooled."""
    pools: list[list[float]] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        pools.append([value, weight, 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            later, earlier = pools.pop(), pools.pop()
            total = earlier[1] + later[1]
            pools.append([(earlier[0] * earlier[1] + later[0] * later[1]) / total, total, earlier[2] + later[2]])
    return np.repeat([pool[0] for pool in pools], [int(pool[2]) for pool in pools])
