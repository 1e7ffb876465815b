"""Posteriors of an arm's mean reward: Beta for binary rewards, Student's t for continuous ones."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lightning_app.serving.experiments.policies.arm_statistics import ArmStatistics

Array = NDArray[np.float64]
_NUM_NODES = 401
_TAIL = 32.0
"""Densities are followed down to exp(-32) of their height."""


class Posterior(Protocol):
    """Distribution of a mean reward, on an axis that the posteriors of all arms share."""

    def nodes(self) -> Array:
        """Points between which the density is smooth, from tail to tail."""

    def density(self, points: Array) -> Array:
        """Density up to a factor, shape as `points`.

        Args:
            points: Points of the axis.
        """


@dataclass(frozen=True)
class BetaPosterior:
    """Posterior of a rate under a uniform prior; its axis is the log odds, where also extreme rates are smooth.

    Attributes:
        successes: Rewards of 1, and one more.
        failures: Rewards of 0, and one more.
    """

    successes: float
    failures: float

    def nodes(self) -> Array:
        """Points around the mode; the tails fall like exp(successes * x) and exp(-failures * x)."""
        a, b = self.successes, self.failures
        mode, deviation = np.log(a / b), np.sqrt((a + b) / (a * b))
        reach = np.sqrt(2 * _TAIL) * deviation
        return np.linspace(mode - reach - _TAIL / a, mode + reach + _TAIL / b, _NUM_NODES)

    def density(self, points: Array) -> Array:
        """Density of the log odds up to a factor.

        Args:
            points: Log odds.
        """
        a, b = self.successes, self.failures
        mode = np.log(a / b)
        height = a * np.logaddexp(0.0, -mode) + b * np.logaddexp(0.0, mode)
        softplus = np.logaddexp(0.0, points)
        density: Array = np.exp(height - a * (softplus - points) - b * softplus)
        return density


@dataclass(frozen=True)
class StudentPosterior:
    """Posterior of the mean of normal rewards whose variance is not known.

    Attributes:
        mean: Its centre.
        scale: Its scale.
        freedom: Degrees of freedom.
    """

    mean: float
    scale: float
    freedom: float

    def nodes(self) -> Array:
        """Points that are dense in the middle, since the tails are long."""
        reach = np.sqrt(self.freedom * np.expm1(2 * _TAIL / (self.freedom + 1)))
        end = np.arcsinh(reach)
        return self.mean + self.scale * np.sinh(np.linspace(-end, end, _NUM_NODES))

    def density(self, points: Array) -> Array:
        """Density up to a factor.

        Args:
            points: Mean rewards.
        """
        deviations = (points - self.mean) / self.scale
        density: Array = np.exp(-(self.freedom + 1) / 2 * np.log1p(deviations**2 / self.freedom)) / self.scale
        return density


def beta_posterior(statistics: ArmStatistics) -> BetaPosterior:
    """Posterior of a rate, from rewards of 0 and 1 and a uniform prior.

    Args:
        statistics: Rewards of the arm.
    """
    return BetaPosterior(
        successes=1.0 + max(statistics.total, 0.0), failures=1.0 + max(statistics.weight - statistics.total, 0.0)
    )


_PRIOR_MEAN, _PRIOR_WEIGHT, _PRIOR_SHAPE, _PRIOR_RATE = 0.5, 1.0, 1.0, 0.0625
"""Normal-inverse-gamma prior of scaled rewards: as much as one reward in the middle, deviation about a quarter."""


def student_posterior(statistics: ArmStatistics) -> StudentPosterior:
    """Posterior of a mean, from rewards between 0 and 1 and a weak normal-inverse-gamma prior.

    Args:
        statistics: Rewards of the arm.
    """
    weight = _PRIOR_WEIGHT + statistics.weight
    mean = (_PRIOR_WEIGHT * _PRIOR_MEAN + statistics.total) / weight
    shape = _PRIOR_SHAPE + statistics.weight / 2
    rate = _PRIOR_RATE
    if statistics.weight > 0:
        own = statistics.total / statistics.weight
        rate += max(statistics.squares - statistics.weight * own**2, 0.0) / 2
        rate += _PRIOR_WEIGHT * statistics.weight / weight * (own - _PRIOR_MEAN) ** 2 / 2
    return StudentPosterior(mean=mean, scale=float(np.sqrt(rate / (shape * weight))), freedom=2 * shape)
