"""Sample-ratio mismatch: whether arms were chosen with the probabilities that the journal says.

The sequential test bets on each arm. If an arm is chosen with its journalled probability p, the capital of a bet that
multiplies by `1 + bet * (1 / p - 1)` when the arm is chosen and by `1 - bet` when it is not stays the same in
expectation, whatever was seen before. So the mean capital of many bets on all arms is an e-process: the probability
that it ever reaches 1 / alpha is at most alpha (Ville's inequality), with probabilities that change over time too. Too
few choices of an arm are too many of the others, so bets on too many suffice, and only the probability of the chosen
arm is needed.
"""

import math

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from lightning_app.serving.experiments.analysis.statistics.distributions import chi_square_tail, normal_cdf

_BETS = np.geomspace(1e-4, 0.9, 32)
Array = NDArray[np.float64]


class SampleRatio(Struct, frozen=True, kw_only=True):
    """Result of the tests.

    Attributes:
        units: Keys, or requests, by arm.
        expected: Expected number of them by arm.
        p_value: Always valid, of the sequential test: the least so far.
        e_value: Capital of the sequential test now.
        chi_square: Statistic for one look at the end; None where probabilities changed.
        fixed_p_value: p-value for one look at the end; of several tests, one for each arm, where probabilities changed.
    """

    units: dict[str, int]
    expected: dict[str, float]
    p_value: float
    e_value: float
    chi_square: float | None
    fixed_p_value: float


class SampleRatioBuilder:
    """Adds up what the tests need, look by look.

    Args:
        arms: Names of the arms.
        num_looks: Number of looks.
    """

    def __init__(self, arms: list[str], *, num_looks: int) -> None:
        self._arms = arms
        self._log_capital = np.zeros((num_looks, len(arms), len(_BETS)))
        self._counts = np.zeros(len(arms))
        self._weights = np.zeros(len(arms))
        self._variances = np.zeros(len(arms))
        self._probabilities: list[set[float]] = [set() for _ in arms]

    def add(self, looks: NDArray[np.int64], arms: NDArray[np.int64], probabilities: Array) -> None:
        """Adds assignments.

        Args:
            looks: Look before which each was made, int64 (N,).
            arms: Index of the chosen arm, int64 (N,).
            probabilities: Of the choice, float64 (N,).
        """
        num_looks = len(self._log_capital)
        odds = 1 / probabilities - 1
        lost = np.log1p(-_BETS)
        for arm in range(len(self._arms)):
            chosen = arms == arm
            at, arm_odds = looks[chosen], odds[chosen]
            # With probability 1 there was nothing to bet on.
            others = np.bincount(looks[~chosen & (odds > 0)], minlength=num_looks)
            distinct, place = np.unique(arm_odds, return_inverse=True)
            won = np.log1p(np.outer(distinct, _BETS))
            cells = np.bincount(at * max(len(distinct), 1) + place, minlength=num_looks * len(distinct))
            self._log_capital[:, arm] += cells.reshape(num_looks, len(distinct)) @ won + np.outer(others, lost)
            self._counts[arm] += len(at)
            self._weights[arm] += (1 + arm_odds).sum()
            self._variances[arm] += (odds[chosen] * (1 + arm_odds)).sum()
            if len(self._probabilities[arm]) < 2:
                self._probabilities[arm] |= set(distinct[:2].tolist())

    @property
    def is_constant(self) -> bool:
        """Whether each arm was always chosen with one probability."""
        return all(len(values) <= 1 for values in self._probabilities)

    def result(self) -> SampleRatio:
        """The tests of everything that was added."""
        total = self._counts.sum()
        capital = np.cumsum(self._log_capital, axis=0).reshape(len(self._log_capital), -1)
        highest = capital.max(axis=1)
        log_mean = highest + np.log(np.exp(capital - highest[:, None]).mean(axis=1))
        chosen = self._counts > 0
        shares = np.array([1 / (1 + min(odds)) if odds else 0.0 for odds in self._probabilities])
        statistic: float | None = None
        if self.is_constant and chosen.sum() > 1 and abs(shares.sum() - 1) < 1e-6:
            expected = total * shares
            statistic = float((((self._counts - expected) ** 2)[chosen] / expected[chosen]).sum())
            fixed = chi_square_tail(statistic, int(chosen.sum()) - 1)
        else:
            # Choices weighted with 1 / p are as many as all requests, for each arm.
            surplus = self._weights - total
            known = chosen & (self._variances > 0)
            scores = surplus[known] / np.sqrt(self._variances[known])
            fixed = min([1.0, *(2 * normal_cdf(-abs(float(score))) * len(scores) for score in scores)])
            expected = np.where(self._weights > 0, self._counts * total / np.maximum(self._weights, 1e-300), 0.0)
        return SampleRatio(
            units=dict(zip(self._arms, map(int, self._counts), strict=True)),
            expected=dict(zip(self._arms, map(float, expected), strict=True)),
            p_value=min(1.0, math.exp(-min(float(log_mean.max()), 700.0))) if total else 1.0,
            e_value=math.exp(min(float(log_mean[-1]), 700.0)) if total else 1.0,
            chi_square=statistic,
            fixed_p_value=fixed,
        )
