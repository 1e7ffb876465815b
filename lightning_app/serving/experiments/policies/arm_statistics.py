"""ArmStatistics: what a bandit remembers of an arm's rewards; sums in which old rewards count less."""

from msgspec import Struct

from lightning_app.serving.config.experiment_config import RewardConfig


class ArmStatistics(Struct, frozen=True, kw_only=True):
    """Sums over the rewards of an arm, scaled to 0 for the least and 1 for the largest.

    Attributes:
        weight: Sum of the weights; the number of rewards if nothing is forgotten.
        total: Weighted sum of the rewards.
        squares: Weighted sum of their squares.
    """

    weight: float = 0.0
    total: float = 0.0
    squares: float = 0.0

    @property
    def mean(self) -> float | None:
        """Mean reward, scaled; None without rewards."""
        return self.total / self.weight if self.weight > 0 else None

    def with_reward(self, reward: float, weight: float = 1.0) -> "ArmStatistics":
        """The statistics with one more reward.

        Args:
            reward: The reward, scaled.
            weight: What it counts.
        """
        return ArmStatistics(
            weight=self.weight + weight,
            total=self.total + weight * reward,
            squares=self.squares + weight * reward * reward,
        )

    def weighted(self, factor: float) -> "ArmStatistics":
        """The statistics when all rewards count more or less than they do.

        Args:
            factor: What they count now, of what they counted before.
        """
        return ArmStatistics(weight=self.weight * factor, total=self.total * factor, squares=self.squares * factor)


def fading(seconds: float, half_life_seconds: float | None) -> float:
    """What a reward counts after a time: half after each half-life.

    Args:
        seconds: Age of the reward; one from the future counts whole.
        half_life_seconds: The half-life; None forgets nothing.
    """
    return 1.0 if half_life_seconds is None else 0.5 ** (max(seconds, 0.0) / half_life_seconds)


def scaled(reward: float, config: RewardConfig) -> float:
    """A reward on the scale from 0 to 1.

    Args:
        reward: The reward as it was sent.
        config: What rewards are; those outside its range are refused before they are stored.
    """
    return min(max((reward - config.low) / (config.high - config.low), 0.0), 1.0)
