"""ThompsonDriver: shares follow the probability of each arm to be the best one."""

from collections.abc import Mapping

from typing_extensions import override

from lightning_app.serving.config.experiment_config import Thompson
from lightning_app.serving.experiments.policies.arm_statistics import ArmStatistics, fading, scaled
from lightning_app.serving.experiments.policies.thompson import on_grid, thompson_probabilities
from lightning_app.serving.experiments.process.evidence import Evidence
from lightning_app.serving.experiments.process.experiment_driver import ExperimentDriver
from lightning_app.serving.experiments.process.experiment_state import ExperimentState


class ThompsonDriver(ExperimentDriver):
    """Begins with the configured shares, and learns from the first reward on."""

    @override
    def first(self, state: ExperimentState) -> None:
        state.statistics = {arm: ArmStatistics() for arm in state.records}

    @override
    def learn(self, state: ExperimentState, evidence: Evidence, now: float) -> None:
        half_life = _policy(state).half_life_seconds
        statistics = {
            arm: each.weighted(fading(now - state.learned, half_life)) for arm, each in state.statistics.items()
        }
        seen = [(each.arm, scaled(each.reward, self._config.reward), each.time) for each in evidence.rewards]
        seen += [(each.arm, 0.0, each.time) for each in evidence.missing]
        for arm, reward, time in seen:
            if arm in statistics:
                statistics[arm] = statistics[arm].with_reward(reward, fading(now - time, half_life))
        state.statistics = statistics

    @override
    def shares(self, state: ExperimentState) -> Mapping[str, float]:
        policy, stopped = _policy(state), state.settings.stopped
        if not any(each.weight for each in state.statistics.values()):
            return on_grid(state.settings.shares, floor=0.0, stopped=stopped)
        probabilities = thompson_probabilities(
            state.statistics, kind=self._config.reward.kind, floor=policy.floor, sharpness=policy.sharpness,
            stopped=stopped,
        )  # fmt: skip
        return on_grid(probabilities, floor=policy.floor, stopped=stopped)


def _policy(state: ExperimentState) -> Thompson:
    policy = state.settings.policy
    assert isinstance(policy, Thompson), "the kind of a policy cannot be changed"
    return policy
