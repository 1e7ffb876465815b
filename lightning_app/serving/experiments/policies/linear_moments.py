"""LinearMoments: what a linear bandit remembers: weighted moments of columns and rewards, for each arm."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from msgspec import Struct

from lightning_app.serving.experiments.policies.posteriors import Array
from lightning_app.serving.experiments.policies.row_values import RowValues, number

_FIRST = 32
"""Rows that fix the origin and the unit in which moments are summed."""


class ArmMoments(Struct, kw_only=True):
    """Weighted sums over the rewards of an arm; inputs are 1 and then the columns.

    Attributes:
        products: Sums of products of inputs, (1 + num_columns) x (1 + num_columns).
        rewards: Sums of input times reward, 1 + num_columns.
        squares: Sum of squared rewards.
        count: Number of rewards, forgotten ones included.
    """

    products: list[list[float]]
    rewards: list[float]
    squares: float = 0.0
    count: int = 0


class LinearMoments(Struct, kw_only=True):
    """State of a linear bandit; JSON in the journal's database.

    Moments are summed relative to an origin and a unit that are fixed by the first rows, so that no digits are lost
    to columns with a large mean; regression on standardised columns needs only the moments.

    Attributes:
        columns: Columns of the requests.
        origins: Origin of each column; none before the first rewards.
        units: Unit of each column.
        arms: Moments by arm.
        missing: By column: learned rows in which it was no number, so that its mean was taken.
        clipped: By column: learned rows in which it was more than 10 standard deviations from the mean.
    """

    columns: list[str]
    origins: list[float] = []
    units: list[float] = []
    arms: dict[str, ArmMoments]
    missing: dict[str, int]
    clipped: dict[str, int]

    def learn(self, rows: Sequence[tuple[str, Mapping[str, Any], float, float]]) -> None:
        """Adds rewards.

        Args:
            rows: Arm, value by column, scaled reward, and what it counts.
        """
        if rows and not self.origins:
            self.origins, self.units = _spread(rows[:_FIRST], self.columns)
        means, scales = self.standardisation()
        values = RowValues(columns=self.columns, means=means, scales=scales)
        stretch, shift = np.array(scales) / self.units, (np.array(means) - self.origins) / self.units
        by_arm: dict[str, list[tuple[list[float], float, float]]] = {}
        for arm, row, reward, weight in rows:
            by_arm.setdefault(arm, []).append((values.standardised(row), reward, weight))
        for arm, learned in by_arm.items():
            inputs = np.array([each[0] for each in learned])
            inputs[:, 1:] = inputs[:, 1:] * stretch + shift
            rewards, weights = np.array([each[1] for each in learned]), np.array([each[2] for each in learned])
            moments = self.arms[arm]
            moments.products = (np.array(moments.products) + (inputs.T * weights) @ inputs).tolist()
            moments.rewards = (np.array(moments.rewards) + (inputs.T * weights) @ rewards).tolist()
            moments.squares += float(weights @ rewards**2)
            moments.count += len(learned)
        for column in self.columns:
            self.missing[column] += values.missing[column]
            self.clipped[column] += values.clipped[column]

    def fade(self, factor: float) -> None:
        """Lets all rewards count less.

        Args:
            factor: What they count now, of what they counted before.
        """
        for moments in self.arms.values():
            moments.products = (np.array(moments.products) * factor).tolist()
            moments.rewards = (np.array(moments.rewards) * factor).tolist()
            moments.squares *= factor

    def standardisation(self) -> tuple[list[float], list[float]]:
        """Mean and standard deviation of each column, over all arms; 0 and 1 before the first rewards."""
        if not self.origins:
            return [0.0] * len(self.columns), [1.0] * len(self.columns)
        products = np.sum([moments.products for moments in self.arms.values()], axis=0)
        if products[0, 0] <= 0:
            return self.origins, self.units
        means = products[0, 1:] / products[0, 0]
        variances = np.diag(products)[1:] / products[0, 0] - means**2
        # A column that hardly varies keeps the unit of the first rows: its deviations mean nothing yet.
        scales = np.where(variances > 1e-12, np.sqrt(np.maximum(variances, 1e-12)), 1.0)
        units = np.array(self.units)
        return (np.array(self.origins) + means * units).tolist(), (scales * units).tolist()


def no_moments(columns: Sequence[str], arms: Sequence[str]) -> LinearMoments:
    """The state before the first reward.

    Args:
        columns: Columns of the requests.
        arms: Names of the arms.
    """
    size = 1 + len(columns)
    return LinearMoments(
        columns=list(columns),
        arms={arm: ArmMoments(products=[[0.0] * size for _ in range(size)], rewards=[0.0] * size) for arm in arms},
        missing=dict.fromkeys(columns, 0),
        clipped=dict.fromkeys(columns, 0),
    )


def standardised_moments(moments: ArmMoments, *, shift: Array, stretch: Array) -> tuple[Array, Array]:
    """Moments of an arm as if its columns had been standardised before they were summed.

    Args:
        moments: Moments of the arm.
        shift: Mean of each column, in its unit from its origin.
        stretch: Standard deviation of each column in its unit.

    Returns:
        products: Sums of products of inputs.
        rewards: Sums of input times reward.
    """
    transform = np.diag(np.concatenate([[1.0], 1 / stretch]))
    transform[1:, 0] = -shift / stretch
    return transform @ np.array(moments.products) @ transform.T, transform @ np.array(moments.rewards)


def _spread(
    rows: Sequence[tuple[str, Mapping[str, Any], float, float]], columns: Sequence[str]
) -> tuple[list[float], list[float]]:
    """Origin and unit of each column, from the first rows; outliers among them do not matter."""
    origins, units = [], []
    for column in columns:
        values = [value for _, row, _, _ in rows if (value := number(row.get(column))) is not None]
        origin = float(np.median(values)) if values else 0.0
        quartiles = np.quantile(values, [0.25, 0.75]) if values else np.zeros(2)
        unit = float(quartiles[1] - quartiles[0])
        origins.append(origin)
        units.append(unit if unit > 1e-9 * abs(origin) else max(abs(origin), 1.0))
    return origins, units
