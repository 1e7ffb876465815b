"""TargetPolicy: how often a policy that was not run would have chosen each arm."""

from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from lightning_app.errors import nearest
from lightning_app.serving.config.control_channel import LinearState
from lightning_app.serving.experiments.analysis.off_policy.first_row import first_row
from lightning_app.serving.experiments.analysis.off_policy.rule import MissingColumnError, Rule
from lightning_app.serving.experiments.policies.linear_choice import LinearChoice
from lightning_app.serving.experiments.policies.row_values import number

Array = NDArray[np.float64]
_TOLERANCE = 1e-6


class TargetPolicy:
    """Fixed shares of the arms, a rule, or a linear bandit's policy.

    Args:
        name: As people wrote it.
        arms: Names of the arms.
        policy: The policy.

    Attributes:
        name: As people wrote it.
        needs_bodies: Whether it depends on columns of the request.
        num_features: Features of its outcome model, without the intercept.
        num_filled: Requests for which a linear policy took means in the place of missing values.
    """

    def __init__(self, name: str, *, arms: list[str], policy: Array | Rule | LinearChoice) -> None:
        self.name = name
        self._arms, self._policy = arms, policy
        self.needs_bodies = not isinstance(policy, np.ndarray)
        self.num_filled = 0
        self._columns: list[str] = []
        self._places: list[int] = []
        if isinstance(policy, Rule):
            self._columns = policy.columns
        elif isinstance(policy, LinearChoice):
            self._columns = list(policy.rows.missing)
            self._places = [arms.index(arm) for arm in policy.arms]
        self.num_features = len(self._columns) + (len(arms) - 1 if self.needs_bodies else 0)

    def shares(self, num_requests: int, bodies: list[tuple[str | None, bytes]]) -> tuple[Array, Array]:
        """Shares of the arms for each request, and features for a model of its reward.

        Args:
            num_requests: Number of requests, N.
            bodies: Media type and body of each.

        Returns:
            shares: (N, A); nan for requests without the columns that the policy needs.
            features: (N, F): numeric columns of the policy (0 for others), and its shares.
        """
        if isinstance(self._policy, np.ndarray):
            return np.tile(self._policy, (num_requests, 1)), np.zeros((num_requests, 0))
        shares = np.full((num_requests, len(self._arms)), np.nan)
        columns = np.zeros((num_requests, len(self._columns)))
        for place, (media_type, body) in enumerate(bodies):
            row = first_row(media_type, body)
            if row is None:
                continue
            if isinstance(self._policy, Rule):
                try:
                    shares[place] = 0.0
                    shares[place, self._arms.index(self._policy(row))] = 1.0
                except MissingColumnError:
                    shares[place] = np.nan
            else:
                shares[place] = 0.0
                shares[place, self._places] = self._policy.probabilities(row)
            values = [number(row.get(column)) for column in self._columns]
            self.num_filled += isinstance(self._policy, LinearChoice) and None in values
            columns[place] = [0.0 if value is None else value for value in values]
        return shares, np.hstack([columns, np.nan_to_num(shares[:, 1:])])


def target_policy(text: str, arms: list[str]) -> TargetPolicy:
    """Reads a policy from the command line.

    Args:
        text: An arm, `arm=0.3,other=0.7`, a rule, or a JSON file with a linear bandit's state.
        arms: Names of the arms.

    Raises:
        ValueError: It is none of these, or names unknown arms.
    """
    if text in arms:
        return TargetPolicy(f"always {text}", arms=arms, policy=_shares({text: 1.0}, arms))
    if text.endswith(".json"):
        return TargetPolicy(text, arms=arms, policy=_linear(Path(text), arms))
    if (weights := _weights(text)) is not None:
        return TargetPolicy(text, arms=arms, policy=_shares(weights, arms))
    if text.replace("-", "_").replace(".", "_").isidentifier() and " " not in text:
        raise ValueError(f"policy: {text!r} is no arm{nearest(text, arms)}, allowed: {', '.join(arms)}")
    return TargetPolicy(text, arms=arms, policy=Rule(text, arms=arms))


def _weights(text: str) -> dict[str, float] | None:
    parts = [part.partition("=") for part in text.split(",")]
    if not all(middle == "=" for _, middle, _ in parts) or " if " in text:
        return None
    try:
        weights = {name.strip(): float(value) for name, _, value in parts}
    except ValueError:
        return None
    if len(weights) < len(parts):
        raise ValueError(f"policy: {text!r} has an arm twice")
    return weights


def _shares(weights: dict[str, float], arms: list[str]) -> Array:
    for name, weight in weights.items():
        if name not in arms:
            raise ValueError(f"policy: {name!r} is no arm{nearest(name, arms)}, allowed: {', '.join(arms)}")
        if not 0 <= weight <= 1:
            raise ValueError(f"policy: weight {weight:g} of {name} given, a number from 0 to 1 is needed")
    if abs(sum(weights.values()) - 1) > _TOLERANCE:
        raise ValueError(f"policy: the weights sum to {sum(weights.values()):g}, not to 1")
    return np.array([weights.get(arm, 0.0) for arm in arms])


def _linear(path: Path, arms: list[str]) -> LinearChoice:
    try:
        state = msgspec.json.decode(path.read_bytes(), type=LinearState)
    except OSError as error:
        raise ValueError(f"policy: {path} cannot be read: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise ValueError(f"policy: {path} is no state of a linear bandit: {error}") from error
    unknown = sorted(set(state.draws) - set(arms))
    if unknown:
        raise ValueError(f"policy: {path} has arms that the experiment lacks: {', '.join(unknown)}")
    widths = {len(draw) for draws in state.draws.values() for draw in draws}
    if widths != {1 + len(state.columns)} or len({len(draws) for draws in state.draws.values()}) != 1:
        raise ValueError(f"policy: {path}: each draw needs an intercept and a weight for each of its columns")
    return LinearChoice(state)
