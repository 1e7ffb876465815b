"""Effects: difference of each arm from the control, with a confidence sequence and a fixed-horizon interval."""

import math

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from lightning_app.drift.statistics.multiple_testing import holm
from lightning_app.serving.experiments.analysis.statistics.distributions import student_quantile, student_tail
from lightning_app.serving.experiments.analysis.statistics.moments import Moments

Array = NDArray[np.float64]
FEWEST_KEYS = 100
"""Keys of each arm before the first look, as many as their weights are worth: the intervals are asymptotic."""
TIGHTEST_AT = 10_000.0
"""Number of evenly split keys at which the confidence sequence is tightest."""


class Curve(Struct, frozen=True, kw_only=True):
    """An effect at each look.

    Attributes:
        estimate: Difference of the means, (L,); nan before the first look.
        standard_error: Robust to dependence within keys, (L,).
        radius: Half the width of the confidence sequence, (L,).
        p_values: Always-valid p-values: least so far, (L,).
        degrees: Degrees of freedom of the standard error, (L,).
        theta: Coefficient of CUPED, (L,); zeros without it.
    """

    estimate: Array
    standard_error: Array
    radius: Array
    p_values: Array
    degrees: Array
    theta: Array


class Effect(Struct, frozen=True, kw_only=True):
    """Effect of an arm against the control at the last look.

    Attributes:
        arm: The arm.
        estimate: Difference of the mean rewards.
        relative: Difference as a share of the control's mean; None where that is 0.
        standard_error: Robust to dependence within keys.
        sequence: Confidence sequence at the last look, valid at whatever time one looks.
        interval: Confidence interval, valid if this is the only look.
        p_value: For one look at the end.
        holm_p_value: p-value for one look, adjusted for the number of arms.
        always_p_value: Valid at whatever time one looks; the least so far, adjusted for the number of arms.
        variance_reduction: By CUPED, as a share of the variance; None without it.
    """

    arm: str
    estimate: float
    relative: float | None
    standard_error: float
    sequence: tuple[float, float]
    interval: tuple[float, float]
    p_value: float
    holm_p_value: float
    always_p_value: float
    variance_reduction: float | None


def effect_curve(
    moments: Moments, arm: int, control: int, *, alpha: float, tightest_at: float = TIGHTEST_AT, adjusted: bool = False
) -> Curve:
    """Difference of two arms at each look.

    The confidence sequence is the asymptotic one of Waudby-Smith et al. (2024), "Time-uniform central limit theory and
    asymptotic confidence sequences", equation 10; its time is the variance so far, in units of evenly split keys.

    Args:
        moments: Sums over keys.
        arm: Index of the arm.
        control: Index of the control.
        alpha: One minus the coverage.
        tightest_at: Number of evenly split keys at which the sequence is tightest.
        adjusted: Whether to subtract what the pre-period explains (CUPED).
    """
    num_arms = moments.num_arms
    weights, rewards, before = (moments.total(place) for place in range(3))
    known = np.asarray((_effective_keys(moments)[:, [arm, control]] >= FEWEST_KEYS).all(axis=1))
    safe = np.where(weights > 0, weights, 1.0)
    means, means_before = rewards / safe, before / safe
    reward_part = _gradients(num_arms, means, safe, place=1)
    before_part = _gradients(num_arms, means_before, safe, place=2)
    theta = np.zeros(len(known))
    if adjusted:
        # The coefficient for which the sum of both arms' variances is least.
        shared, own = (
            sum(_form(moments.products, reward_part if one else before_part, before_part, index) for index in
                (arm, control))
            for one in (True, False)
        )  # fmt: skip
        theta = np.where(own > 0, shared / np.where(own > 0, own, 1.0), 0.0)
    gradients = reward_part - theta[:, None, None] * before_part
    adjusted_means = means - theta[:, None] * means_before
    estimate = adjusted_means[:, arm] - adjusted_means[:, control]
    keys = np.maximum(moments.keys, 2)
    corrections = keys / (keys - 1)
    variances = {
        index: np.maximum(_form(moments.products, gradients, gradients, index), 0.0) * corrections[:, index]
        for index in (arm, control)
    }
    cross = np.einsum("ls,lst,lt->l", gradients[:, arm], moments.products, gradients[:, control])
    variance = variances[arm] + variances[control] - 2 * cross * np.sqrt(corrections[:, arm] * corrections[:, control])
    known &= variance > 0
    error = np.where(known, np.sqrt(np.where(known, variance, 1.0)), np.nan)
    pieces = sum((variances[index] ** 2 / (keys[:, index] - 1) for index in (arm, control)), np.zeros(len(known)))
    degrees = np.where(known & (pieces > 0), variance**2 / np.where(pieces > 0, pieces, 1.0), np.inf)
    time = _even_keys(moments, (arm, control), safe, variance)
    radius, p_values = _sequence(estimate, error, time, known, alpha=alpha, tightest_at=tightest_at)
    return Curve(
        estimate=np.where(known, estimate, np.nan), standard_error=error, radius=radius, p_values=p_values,
        degrees=degrees, theta=theta,
    )  # fmt: skip


def last_effects(
    moments: Moments,
    arms: list[str],
    *,
    offset: float,
    alpha: float,
    tightest_at: float = TIGHTEST_AT,
    adjusted: bool = False,
) -> tuple[list[Effect], dict[str, Curve]]:
    """Effects of all other arms against the control; those without enough keys are missing.

    Args:
        moments: Sums over keys.
        arms: Names of the arms, control first.
        offset: What was subtracted from all rewards.
        alpha: One minus the coverage; of the confidence sequences for all arms together.
        tightest_at: As of `effect_curve`.
        adjusted: As of `effect_curve`.

    Returns:
        effects: At the last look.
        curves: By name of the arm, at all looks.
    """
    control, others = 0, range(1, len(arms))
    curves = {
        arms[index]: effect_curve(
            moments, index, control, alpha=alpha / max(len(others), 1), tightest_at=tightest_at, adjusted=adjusted
        )
        for index in others
    }
    found = [index for index in others if math.isfinite(curves[arms[index]].estimate[-1])]
    tails = [_fixed_p_value(curves[arms[index]]) for index in found]
    effects = []
    for index, tail, holm_tail in zip(found, tails, holm(tails), strict=True):
        curve = curves[arms[index]]
        estimate, error, radius = (float(v[-1]) for v in (curve.estimate, curve.standard_error, curve.radius))
        half = student_quantile(1 - alpha / 2, float(curve.degrees[-1])) * error
        base = offset + float(moments.total(1)[-1, control] / moments.total(0)[-1, control])
        reduction = None
        if adjusted:
            plain = effect_curve(moments, index, control, alpha=alpha)
            reduction = 1 - (error / float(plain.standard_error[-1])) ** 2
        effects.append(
            Effect(
                arm=arms[index], estimate=estimate, relative=estimate / base if base else None, standard_error=error,
                sequence=(estimate - radius, estimate + radius), interval=(estimate - half, estimate + half),
                p_value=tail, holm_p_value=holm_tail, variance_reduction=reduction,
                always_p_value=min(1.0, float(curve.p_values[-1]) * len(others)),
            )
        )  # fmt: skip
    return effects, curves


def sequence_radius(error: Array, keys: Array, *, alpha: float, tightest_at: float) -> Array:
    """Half the width of a confidence sequence.

    Args:
        error: Standard errors.
        keys: Number of evenly split keys so far.
        alpha: One minus the coverage.
        tightest_at: Number of keys at which it is tightest.
    """
    ratio = keys * _rho_squared(alpha, tightest_at)
    return np.asarray(error * np.sqrt((1 + 1 / ratio) * (np.log1p(ratio) - 2 * math.log(alpha))))


def _rho_squared(alpha: float, tightest_at: float) -> float:
    return (-2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha))) / tightest_at


def _sequence(
    estimate: Array, error: Array, keys: Array, known: NDArray[np.bool_], *, alpha: float, tightest_at: float
) -> tuple[Array, Array]:
    keys = np.where(known, np.maximum(keys, 1.0), 1.0)
    radius = sequence_radius(error, keys, alpha=alpha, tightest_at=tightest_at)
    ratio = keys * _rho_squared(alpha, tightest_at)
    log_evidence = np.where(known, 0.5 * ((estimate / error) ** 2 * ratio / (1 + ratio) - np.log1p(ratio)), -np.inf)
    return radius, np.exp(-np.maximum(np.maximum.accumulate(log_evidence), 0.0))


def _fixed_p_value(curve: Curve) -> float:
    return student_tail(float(curve.estimate[-1] / curve.standard_error[-1]), float(curve.degrees[-1]))


def _gradients(num_arms: int, means: Array, weights: Array, *, place: int) -> Array:
    """Derivatives of weighted means by the totals, (L, A, S)."""
    gradients = np.zeros((len(means), num_arms, 3 * num_arms))
    arms = np.arange(num_arms)
    gradients[:, arms, arms] = -means / weights
    gradients[:, arms, place * num_arms + arms] = 1 / weights
    return gradients


def _form(products: Array, left: Array, right: Array, arm: int) -> Array:
    return np.asarray(np.einsum("ls,lst,lt->l", left[:, arm], products, right[:, arm]))


def _effective_keys(moments: Moments) -> Array:
    """Of how many keys with equal weights those of each arm are worth, (L, A)."""
    arms = np.arange(moments.num_arms)
    squares = moments.products[:, arms, arms]
    return np.asarray(moments.total(0) ** 2 / np.where(squares > 0, squares, 1.0))


def _even_keys(moments: Moments, pair: tuple[int, int], weights: Array, variance: Array) -> Array:
    """Number of evenly split requests of the same information, from the variance of the weighted sums.

    The weights are such that a request that was assigned with probability 0.5 has weight 2.
    """
    requests = moments.requests[:, list(pair)].sum(axis=1)
    sums, squares = (np.cumsum(v, axis=0)[:, list(pair)].sum(axis=1) for v in (moments.rewards, moments.squares))
    safe = np.maximum(requests, 1)
    spread = squares / safe - (sums / safe) ** 2
    weight = weights[:, list(pair)].mean(axis=1)
    return np.asarray(np.where(spread > 0, variance * weight**2 / (4 * np.where(spread > 0, spread, 1.0)), 1.0))
