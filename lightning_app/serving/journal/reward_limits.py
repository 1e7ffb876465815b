"""Reward limits: which rewards of a model count, by its configuration."""

from lightning_app.serving.config.experiment_config import RewardConfig


def is_within(reward: float, limits: RewardConfig) -> bool:
    """Whether a reward is one of those that are allowed.

    Args:
        reward: The reward.
        limits: Rewards of the model.
    """
    return reward in (0, 1) if limits.kind == "binary" else limits.low <= reward <= limits.high


def is_late(limits: RewardConfig, *, answered: float, rewarded: float) -> bool:
    """Whether a reward came too late to be counted.

    Args:
        limits: Rewards of the model.
        answered: When the request arrived, Unix seconds.
        rewarded: When the reward arrived, Unix seconds.
    """
    return rewarded - answered > limits.within_seconds


def allowed_rewards(limits: RewardConfig) -> str:
    """What is allowed, for messages.

    Args:
        limits: Rewards of the model.
    """
    return "0 or 1" if limits.kind == "binary" else f"a number from {limits.low:g} to {limits.high:g}"
