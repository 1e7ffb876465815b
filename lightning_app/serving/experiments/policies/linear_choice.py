"""LinearChoice: who answers a request by its columns; the worker's side of a linear bandit."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lightning_app.serving.config.control_channel import LinearState
from lightning_app.serving.experiments.policies.posteriors import Array
from lightning_app.serving.experiments.policies.row_values import RowValues


class LinearChoice:
    """Probabilities of arms by the columns of a row: the share of posterior draws in which each arm is the best.

    Args:
        state: Posterior of the bandit.

    Attributes:
        arms: Names of the arms, in the order of the probabilities.
        rows: Reads rows, and counts what was missing in them.
    """

    def __init__(self, state: LinearState) -> None:
        self.arms = list(state.draws)
        self.rows = RowValues(columns=state.columns, means=state.means, scales=state.scales)
        draws = np.array([state.draws[arm] for arm in self.arms], np.float32)
        num_arms, num_draws, num_inputs = draws.shape
        # Single precision, inputs first and arms last: several times as fast, for one row at a time.
        self._weights = np.ascontiguousarray(draws.transpose(2, 1, 0).reshape(num_inputs, -1))
        self._shape = (num_draws, num_arms)
        self._floor = state.floor
        self._per_draw = (1.0 - num_arms * state.floor) / num_draws

    def probabilities(self, row: Mapping[str, Any]) -> Array:
        """Probability of each arm, shape (num_arms,); they sum to 1.

        Args:
            row: Value by column, of the first row of the request.
        """
        rewards = np.array(self.rows.standardised(row), np.float32).dot(self._weights)
        wins = np.bincount(rewards.reshape(self._shape).argmax(axis=1), minlength=len(self.arms))
        probabilities: Array = self._floor + self._per_draw * wins
        return probabilities
