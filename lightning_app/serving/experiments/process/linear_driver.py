"""LinearDriver: the share of each arm depends on columns of the request."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from typing_extensions import override

from lightning_app.serving.config.control_channel import LinearState
from lightning_app.serving.config.experiment_config import Linear
from lightning_app.serving.experiments.policies.arm_statistics import fading, scaled
from lightning_app.serving.experiments.policies.linear_moments import no_moments
from lightning_app.serving.experiments.policies.linear_posterior import linear_state
from lightning_app.serving.experiments.process.evidence import Evidence, Missing
from lightning_app.serving.experiments.process.experiment_driver import ExperimentDriver
from lightning_app.serving.experiments.process.experiment_state import ExperimentState
from lightning_app.serving.experiments.store import Rewarded
from lightning_app.serving.journal.export.decode import UndecodedError, decode_request


class LinearDriver(ExperimentDriver):
    """Begins with the configured shares, and goes by columns from the first reward on."""

    needs_bodies = True

    @override
    def first(self, state: ExperimentState) -> None:
        state.moments = no_moments(_policy(state).columns, list(state.records))

    @override
    def learn(self, state: ExperimentState, evidence: Evidence, now: float) -> None:
        moments, policy = state.moments, _policy(state)
        assert moments is not None
        moments.fade(fading(now - state.learned, policy.half_life_seconds))
        rows = []

        def add(each: Rewarded | Missing, reward: float, *, is_first: bool) -> None:
            row = _single_row(each.body, each.content_type) if is_first else None
            if row is None:
                state.left_out.unread += 1
            elif each.arm in moments.arms:
                rows.append((each.arm, row, reward, fading(now - each.time, policy.half_life_seconds)))

        for rewarded in evidence.rewards:
            add(rewarded, scaled(rewarded.reward, self._config.reward), is_first=rewarded.row == 0)
        for missing in evidence.missing:
            add(missing, 0.0, is_first=True)
        moments.learn(rows)

    @override
    def shares(self, state: ExperimentState) -> Mapping[str, float]:
        return state.settings.shares

    @override
    def linear(self, state: ExperimentState) -> LinearState | None:
        policy, moments = _policy(state), state.moments
        if moments is None or not any(arm.count for arm in moments.arms.values()):
            return None
        return linear_state(moments, floor=policy.floor, num_draws=policy.draws, stopped=state.settings.stopped)


def _single_row(body: bytes | None, content_type: str) -> dict[str, Any] | None:
    """The row of a request; None if it has several, or cannot be read."""
    if body is None:
        return None
    try:
        decoded = decode_request(body, content_type)
    except UndecodedError:
        return None
    if decoded.num_rows != 1:
        return None
    row = {name: values[0] for name, values in decoded.columns.items() if len(values) == 1}
    return {name: value.as_py() if isinstance(value, pa.Scalar) else value for name, value in row.items()}


def _policy(state: ExperimentState) -> Linear:
    policy = state.settings.policy
    assert isinstance(policy, Linear), "the kind of a policy cannot be changed"
    return policy
