"""Mean difference: confidence sequences and e-values for the difference of the mean rewards of two arms.

Within a stratum (requests of one assignment probability) both arms see the same mix of requests, so their means
compare; over strata they do not: a challenger that got most of its requests in a bad hour looks bad (Simpson).
Differences are therefore taken within strata, and combined with the weights n m / (n + m) of n and m rewards, which are
those of the inverse variance where arms vary alike, and do not depend on the rewards.

The weighted sum S of the differences moves like a Brownian motion with drift whose clock is its variance V. The mixture
of Robbins over the drift gives bounds that hold at all times at once. They are asymptotic, as those of Waudby-Smith et
al.: they hold once the means of each arm are nearly normal, not from the first reward on. What is too early is left out
(`MIN_REWARDS`), and the variance of an arm is taken to be that of both together at least.

References:
    Robbins (1970), Statistical methods related to the law of the iterated logarithm. Waudby-Smith, Arbour, Sinha,
    Kennedy, Ramdas (2024), Time-uniform central limit theory and asymptotic confidence sequences, Annals of Statistics
    52(6).
    Mantel, Haenszel (1959) for the weights.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

MIN_REWARDS = 100
"""Rewards that each arm needs before anything is said."""


@dataclass(frozen=True)
class Moments:
    """Rewards of one arm in one stratum.

    Attributes:
        count: Number of rewards.
        total: Their sum.
        squares: Sum of their squares.
    """

    count: float
    total: float
    squares: float


@dataclass(frozen=True)
class StratumRewards:
    """Rewards of both arms in one stratum.

    Attributes:
        challenger: Of the challenger, or any arm.
        champion: Of the champion, or the control.
    """

    challenger: Moments
    champion: Moments


@dataclass(frozen=True)
class MeanDifference:
    """Sum of the weighted differences `mean(challenger) - factor * mean(champion)`, with its variance.

    Attributes:
        score: The sum S.
        weight: Sum of the weights W; S / W is the mean difference.
        variance: Variance V of S.
        champion: Mean reward of the champion, with the same weights.
        challenger: Mean reward of the challenger, with the same weights.
        rewards: Rewards of the arm that has fewer.
    """

    score: float
    weight: float
    variance: float
    champion: float
    challenger: float
    rewards: float

    @property
    def estimate(self) -> float:
        """The mean difference."""
        return self.score / self.weight if self.weight else math.nan

    def interval(self, *, alpha: float, effect: float) -> tuple[float, float]:
        """Confidence sequence of the difference: holds at all times with probability 1 - alpha.

        Args:
            alpha: Probability of error.
            effect: Difference, in units of the reward, near which the sequence is to be tight.
        """
        if not self._is_usable:
            return -math.inf, math.inf
        tuning = self._tuning(effect)
        total = self.variance + tuning
        radius = math.sqrt(total * (2 * math.log(1 / alpha) + math.log(total / tuning))) / self.weight
        return self.estimate - radius, self.estimate + radius

    def log_e_value(self, *, effect: float, above: bool) -> float:
        """Log of the e-value against "the difference is at most 0" (`above`), or "at least 0".

        Args:
            effect: Difference, in units of the reward, for which the test is to be most powerful.
            above: Whether differences above 0 are looked for.
        """
        if not self._is_usable:
            return 0.0
        total = self.variance + (tuning := self._tuning(effect))
        z = (self.score if above else -self.score) / math.sqrt(total)
        return math.log(2.0) + 0.5 * math.log(tuning / total) + z * z / 2 + _log_normal(z)

    @property
    def _is_usable(self) -> bool:
        return self.rewards >= MIN_REWARDS and self.variance > 0

    def _tuning(self, effect: float) -> float:
        """Variance at which a drift of the given effect is one standard deviation of the prior."""
        return (self.variance / (self.weight * effect)) ** 2


def mean_difference(strata: Sequence[StratumRewards], *, factor: float = 1.0) -> MeanDifference:
    """Compares the mean rewards of two arms within strata.

    Args:
        strata: Rewards by assignment probability.
        factor: The mean of the champion is multiplied by it: 0.97 asks whether the challenger keeps 97 % of it.
    """
    both = [stratum for stratum in strata if stratum.challenger.count > 0 and stratum.champion.count > 0]
    own_variance, other_variance = _variances(both)
    score = weight = variance = champion = challenger = 0.0
    for stratum in both:
        own, other = stratum.challenger, stratum.champion
        share = own.count * other.count / (own.count + other.count)
        score += share * (own.total / own.count - factor * other.total / other.count)
        variance += share**2 * (own_variance / own.count + factor**2 * other_variance / other.count)
        champion += share * other.total / other.count
        challenger += share * own.total / own.count
        weight += share
    return MeanDifference(
        score=score,
        weight=weight,
        variance=variance,
        champion=champion / weight if weight else math.nan,
        challenger=challenger / weight if weight else math.nan,
        rewards=min(sum(part.challenger.count for part in both), sum(part.champion.count for part in both)),
    )


def _variances(strata: Sequence[StratumRewards]) -> tuple[float, float]:
    """Variance of each arm within strata, at least that of both together.

    The few first rewards of an arm may all be alike, and those of an arm that had bad luck vary less where rewards are
    rare: its own variance alone would end an arm for its bad luck.
    """
    own, other = [stratum.challenger for stratum in strata], [stratum.champion for stratum in strata]
    squares, freedom = [_squares(own), _squares(other)], [_freedom(own), _freedom(other)]
    if min(freedom) <= 0:
        return 0.0, 0.0
    common = sum(squares) / sum(freedom)
    own_variance, other_variance = (max(part / count, common) for part, count in zip(squares, freedom, strict=True))
    return own_variance, other_variance


def _squares(parts: Sequence[Moments]) -> float:
    return sum(max(0.0, part.squares - part.total**2 / part.count) for part in parts)


def _freedom(parts: Sequence[Moments]) -> float:
    return sum(max(0.0, part.count - 1) for part in parts)


def _log_normal(z: float) -> float:
    """Log of the normal distribution function."""
    if z > -20:
        return math.log(0.5 * math.erfc(-z / math.sqrt(2)))
    return -z * z / 2 - math.log(-z) - 0.5 * math.log(2 * math.pi) + math.log1p(-1 / z**2)
