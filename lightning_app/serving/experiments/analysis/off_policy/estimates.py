"""Off-policy estimates: the mean reward that another policy would have had, from the journalled probabilities.

Inverse propensity scores (IPS), the self-normalised ones (SNIPS), and doubly robust (DR) with a linear model of the
reward for each arm, fitted on the other half of the keys (cross-fitting).
"""

import math
from collections.abc import Iterable
from zlib import crc32

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from lightning_app.serving.experiments.analysis.off_policy.spool import Spool
from lightning_app.serving.experiments.analysis.off_policy.target_policy import TargetPolicy
from lightning_app.serving.experiments.analysis.statistics.distributions import normal_quantile

Array = NDArray[np.float64]
_RIDGE = 1e-6
_NUM_TOTALS = 5
_ONE, _REWARD, _WEIGHT, _WEIGHTED, _DOUBLY = range(_NUM_TOTALS)


class Choices(Struct, kw_only=True):
    """Rewarded requests; those of a key side by side, all of a key in one part.

    Attributes:
        arms: Index of the chosen arm, int64 (N,).
        probabilities: Of the choice, float64 (N,).
        rewards: float64 (N,).
        keys: Number of the key, int64 (N,).
        folds: 0 or 1, the same for all of a key, int64 (N,).
        bodies: Media type and body; empty if the policy needs none.
    """

    arms: NDArray[np.int64]
    probabilities: Array
    rewards: Array
    keys: NDArray[np.int64]
    folds: NDArray[np.int64]
    bodies: list[tuple[str | None, bytes]]


class Value(Struct, frozen=True, kw_only=True):
    """Estimated mean reward.

    Attributes:
        estimate: Mean reward of the policy.
        standard_error: Robust to dependence within keys.
        interval: For one look at the end.
        gain: Difference from what was run.
        gain_interval: Of the difference.
    """

    estimate: float
    standard_error: float
    interval: tuple[float, float]
    gain: float
    gain_interval: tuple[float, float]


class OffPolicy(Struct, frozen=True, kw_only=True):
    """Estimates for a policy.

    Attributes:
        policy: The policy.
        requests: Rewarded requests that count.
        left_out: Rewarded requests without the columns that the policy needs.
        filled: Requests for which a linear policy took means in the place of missing values, as servers do.
        logged: Mean reward of what was run.
        ips: Inverse propensity scores.
        snips: Self-normalised.
        doubly_robust: With a model of the reward.
        effective_size: Of how many requests of the policy itself the weights are worth.
        largest_weight: Before clipping.
        clip: Largest weight that is kept; None clips nothing.
        num_clipped: Requests whose weight was clipped.
        unsupported: Arms that the policy chooses and the journal never has, with their mean share.
    """

    policy: str
    requests: int
    left_out: int
    filled: int
    logged: float
    ips: Value
    snips: Value
    doubly_robust: Value
    effective_size: float
    largest_weight: float
    clip: float | None
    num_clipped: int
    unsupported: dict[str, float]


def off_policy(
    parts: Iterable[Choices], policy: TargetPolicy, arms: list[str], *, clip: float | None, alpha: float
) -> OffPolicy | None:
    """Estimates what a policy would have earned.

    Args:
        parts: Rewarded requests.
        policy: The policy.
        arms: Names of the arms.
        clip: Largest weight; larger ones are cut, which biases IPS and SNIPS and lowers their variance.
        alpha: One minus the coverage of the intervals.

    Returns:
        The estimates; None if there are no rewards.
    """
    with Spool() as spool:
        return _estimated(parts, policy, arms, spool, clip=clip, alpha=alpha)


def _estimated(
    parts: Iterable[Choices], policy: TargetPolicy, arms: list[str], spool: Spool, *, clip: float | None, alpha: float
) -> OffPolicy | None:
    models = _OutcomeModels(num_arms=len(arms), num_features=policy.num_features)
    left_out = 0
    for part in parts:
        shares, features = policy.shares(len(part.arms), part.bodies)
        known = np.asarray(np.isfinite(shares).all(axis=1))
        left_out += int((~known).sum())
        if known.any():
            part = _kept(part, known)
            models.add(part, features[known])
            spool.write(
                part.arms, part.probabilities, part.rewards, part.keys, part.folds, shares[known], features[known]
            )
    coefficients = models.fitted()
    sums, products = np.zeros(_NUM_TOTALS), np.zeros((_NUM_TOTALS, _NUM_TOTALS))
    squares, largest, num_keys, num_clipped = 0.0, 0.0, 0, 0
    chosen, wanted = np.zeros(len(arms)), np.zeros(len(arms))
    for logged, probabilities, rewards, keys, folds, shares, features in spool.read():
        weights = shares[np.arange(len(logged)), logged] / probabilities
        largest = max(largest, float(weights.max()))
        if clip is not None:
            num_clipped += int((weights > clip).sum())
            weights = np.minimum(weights, clip)
        inputs = np.hstack([np.ones((len(logged), 1)), features])
        expected = np.einsum("nf,naf->na", inputs, coefficients[1 - folds])
        own = expected[np.arange(len(logged)), logged]
        doubly = (shares * expected).sum(axis=1) + weights * (rewards - own)
        totals = np.stack([np.ones(len(logged)), rewards, weights, weights * rewards, doubly], axis=1)
        starts = np.flatnonzero(np.diff(keys, prepend=keys[0] - 1))
        by_key = np.add.reduceat(totals, starts, axis=0)
        sums += by_key.sum(axis=0)
        products += by_key.T @ by_key
        num_keys += len(starts)
        squares += float((weights**2).sum())
        chosen += np.bincount(logged, minlength=len(arms))
        wanted += shares.sum(axis=0)
    if num_keys < 2:
        return None
    count = sums[_ONE]
    products *= num_keys / (num_keys - 1)
    quantile = normal_quantile(1 - alpha / 2)

    def value(place: int, divisor: int) -> Value:
        return _value(sums, products, place, divisor, quantile)

    return OffPolicy(
        policy=policy.name, requests=int(count), left_out=left_out, filled=policy.num_filled,
        logged=float(sums[_REWARD] / count),
        ips=value(_WEIGHTED, _ONE), snips=value(_WEIGHTED, _WEIGHT), doubly_robust=value(_DOUBLY, _ONE),
        effective_size=float(sums[_WEIGHT] ** 2 / squares) if squares else 0.0, largest_weight=largest, clip=clip,
        num_clipped=num_clipped,
        unsupported={
            arm: float(share / count)
            for arm, share, seen in zip(arms, wanted, chosen, strict=True)
            if share and not seen
        },
    )  # fmt: skip


def fold_of(name: str | None, key: int) -> int:
    """Half to which a key belongs.

    Args:
        name: Name of the key; None of a request that is a key of its own.
        key: Number of the key.
    """
    return key % 2 if name is None else crc32(name.encode("utf-8", "surrogatepass")) % 2


def _value(sums: Array, products: Array, place: int, divisor: int, quantile: float) -> Value:
    """A ratio of sums and its difference from the logged mean, by linearisation."""
    if not sums[divisor]:
        nothing = (float("nan"), float("nan"))
        return Value(estimate=nothing[0], standard_error=nothing[0], interval=nothing, gain=nothing[0],
                     gain_interval=nothing)  # fmt: skip
    estimate, logged = sums[place] / sums[divisor], sums[_REWARD] / sums[_ONE]
    gradient, base = np.zeros(_NUM_TOTALS), np.zeros(_NUM_TOTALS)
    gradient[place] += 1 / sums[divisor]
    gradient[divisor] -= estimate / sums[divisor]
    base[_REWARD] += 1 / sums[_ONE]
    base[_ONE] -= logged / sums[_ONE]
    difference = gradient - base
    error, gain_error = (math.sqrt(max(0.0, float(g @ products @ g))) for g in (gradient, difference))
    gain = float(estimate - logged)
    return Value(
        estimate=float(estimate), standard_error=error,
        interval=(float(estimate) - quantile * error, float(estimate) + quantile * error), gain=gain,
        gain_interval=(gain - quantile * gain_error, gain + quantile * gain_error),
    )  # fmt: skip


def _kept(part: Choices, known: NDArray[np.bool_]) -> Choices:
    return Choices(
        arms=part.arms[known], probabilities=part.probabilities[known], rewards=part.rewards[known],
        keys=part.keys[known], folds=part.folds[known], bodies=[],
    )  # fmt: skip


class _OutcomeModels:
    """Ridge regressions of the reward on features, for each half of the keys and each arm."""

    def __init__(self, *, num_arms: int, num_features: int) -> None:
        size = num_features + 1
        self._gram = np.zeros((2, num_arms, size, size))
        self._moment = np.zeros((2, num_arms, size))

    def add(self, part: Choices, features: Array) -> None:
        inputs = np.hstack([np.ones((len(features), 1)), features])
        for fold in range(2):
            for arm in range(self._gram.shape[1]):
                rows = (part.folds == fold) & (part.arms == arm)
                self._gram[fold, arm] += inputs[rows].T @ inputs[rows]
                self._moment[fold, arm] += inputs[rows].T @ part.rewards[rows]

    def fitted(self) -> Array:
        """Coefficients by half and arm, (2, A, F + 1); zeros for arms without a reward."""
        coefficients = np.zeros(self._moment.shape)
        for index in np.ndindex(*self._moment.shape[:2]):
            gram = self._gram[index]
            if gram[0, 0] == 0:
                continue
            # The penalty is relative to each column's own size, so that units do not matter.
            penalty = _RIDGE * np.diag(gram) + np.where(np.diag(gram) > 0, 0.0, 1.0)
            penalty[0] = 0.0
            coefficients[index] = np.linalg.solve(gram + np.diag(penalty), self._moment[index])
        return coefficients
