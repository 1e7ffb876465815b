"""Reward limits: which rewards of a model count, by its configuration."""

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from lightning_app.serving.config.experiment_config import RewardConfig
from lightning_app.serving.config.serve_config import ModelConfig
from lightning_app.serving.journal.errors import RefusedOutcomeError
from lightning_app.serving.journal.record import Outcome

RewardLimits: TypeAlias = Mapping[str, RewardConfig]
"""Rewards by the name of the model in addresses; those of other models are not limited."""


class Answered(NamedTuple):
    """What has to be known of a prediction to judge an outcome.

    Attributes:
        time: When the request arrived, Unix seconds.
        num_rows: Rows of the request.
        model: Name of the model.
    """

    time: float
    num_rows: int
    model: str


def limits_of(model: ModelConfig) -> RewardConfig | None:
    """Rewards of a model; None if it compares nothing by rewards.

    Args:
        model: Configuration of the model.
    """
    if model.experiment is not None:
        return model.experiment.reward
    return None if model.canary is None else model.canary.reward


def check_reward(outcome: Outcome, answered: Answered, limits: RewardLimits) -> bool:
    """Refuses a reward that is out of range, or of a row that the request does not have.

    Args:
        outcome: The outcome; one without a reward is not judged.
        answered: The prediction that it is for.
        limits: Rewards by model.

    Returns:
        Whether it is late: it is kept, but not counted.

    Raises:
        RefusedOutcomeError: It is refused.
    """
    reward = outcome.reward
    if reward is None:
        return False
    if outcome.row >= max(answered.num_rows, 1):
        rows = "row 0 alone" if answered.num_rows <= 1 else f"rows 0 to {answered.num_rows - 1}"
        raise RefusedOutcomeError(
            f"row: {outcome.row} given, the request has {rows}", field="row", status="no_such_row"
        )
    of_model = limits.get(answered.model)
    if of_model is None:
        return False
    if not is_within(reward, of_model):
        message = f"reward: {reward:g} given, of model {answered.model} {allowed_rewards(of_model)} is needed"
        raise RefusedOutcomeError(message, field="reward", status="out_of_range")
    return is_late(of_model, answered=answered.time, rewarded=outcome.time)


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
