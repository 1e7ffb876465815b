"""Moments: sums over keys by look, from which every effect with its standard error is computed.

Of each key (a request, entity or session) and arm three totals are formed: weights, weighted rewards, weighted values
of the pre-period. Means, differences and CUPED are functions of the sums of these totals, and the sum of their outer
products over keys gives the standard errors of such functions, robust to any dependence within a key.

Shapes: L looks, A arms, S = 3 A totals in the order (total, arm).
"""

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
TOTALS = 3


class Observations(Struct, kw_only=True):
    """Rewarded requests, those of a key side by side.

    Attributes:
        looks: Look before which each was made, not falling within a key, int64 (N,).
        arms: Index of the arm, int64 (N,).
        weights: float64 (N,).
        rewards: float64 (N,).
        before: Value of the pre-period, float64 (N,); zeros without one.
        keys: Number of the key; equal numbers are neighbours, int64 (N,).
    """

    looks: Integers
    arms: Integers
    weights: Array
    rewards: Array
    before: Array
    keys: Integers


class Moments:
    """Sums over keys, cumulative over looks.

    Args:
        num_arms: Number of arms, A.
        num_looks: Number of looks, L.

    Attributes:
        sums: Sums of the totals, (L, S); cumulative after `finish`.
        products: Sums of their outer products, (L, S, S); cumulative after `finish`.
        keys: Keys with a reward, by arm, (L, A); cumulative after `finish`.
        requests: Rewarded requests, by arm, (L, A); cumulative after `finish`.
        rewards: Sums of rewards, unweighted, (L, A); not cumulative.
        squares: Sums of squares of rewards, unweighted, (L, A); not cumulative.
    """

    def __init__(self, *, num_arms: int, num_looks: int) -> None:
        size = TOTALS * num_arms
        self.num_arms = num_arms
        self.sums = np.zeros((num_looks, size))
        self.products = np.zeros((num_looks, size, size))
        self.keys = np.zeros((num_looks, num_arms))
        self.requests = np.zeros((num_looks, num_arms))
        self.rewards = np.zeros((num_looks, num_arms))
        self.squares = np.zeros((num_looks, num_arms))

    def add(self, rows: Observations, *, keys_are_requests: bool) -> None:
        """Adds observations; all of a key in one call.

        Args:
            rows: The observations.
            keys_are_requests: Whether each has a key of its own.
        """
        if not len(rows.looks):
            return
        num_looks, num_arms = self.keys.shape
        cells = rows.looks * num_arms + rows.arms
        size = num_looks * num_arms

        def summed(values: Array) -> Array:
            return np.asarray(np.bincount(cells, values, size), np.float64).reshape(num_looks, num_arms)

        ones = np.ones(len(cells))
        self.requests += summed(ones)
        self.rewards += summed(rows.rewards)
        self.squares += summed(rows.rewards**2)
        totals = (rows.weights, rows.weights * rows.rewards, rows.weights * rows.before)
        for place, values in enumerate(totals):
            self.sums[:, place * num_arms : (place + 1) * num_arms] += summed(values)
        if not keys_are_requests:
            self._add_keys(rows, np.stack(totals, axis=1))
            return
        self.keys += summed(ones)
        arms = np.arange(num_arms)
        for first, left in enumerate(totals):
            for second, right in enumerate(totals[: first + 1]):
                product = summed(left * right)
                self.products[:, first * num_arms + arms, second * num_arms + arms] += product
                if first != second:
                    self.products[:, second * num_arms + arms, first * num_arms + arms] += product

    def _add_keys(self, rows: Observations, totals: Array) -> None:
        """Adds what the outer products of keys grow by from look to look."""
        num_looks, num_arms = self.keys.shape
        starts = np.flatnonzero(np.diff(rows.keys, prepend=rows.keys[0] - 1))
        key = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(rows.keys))))
        # One state for each key and look at which the key grew.
        steps = np.flatnonzero((np.diff(key, prepend=-1) != 0) | (np.diff(rows.looks, prepend=-1) != 0))
        step = np.repeat(np.arange(len(steps)), np.diff(np.append(steps, len(key))))
        growth = np.zeros((len(steps), TOTALS * num_arms))
        for place in range(TOTALS):
            np.add.at(growth, (step, place * num_arms + rows.arms), totals[:, place])
        seen = np.zeros((len(steps), num_arms))
        seen[step, rows.arms] = 1
        state, count = np.cumsum(growth, axis=0), np.cumsum(seen, axis=0)
        owner = key[steps]
        first = np.flatnonzero(np.diff(owner, prepend=-1))
        # Cumulative within a key: what keys before it had is taken off.
        state -= (state[first] - growth[first])[owner]
        count -= (count[first] - seen[first])[owner]
        earlier = state - growth
        looks = rows.looks[steps]
        order = np.argsort(looks, kind="stable")
        bounds = np.searchsorted(looks[order], np.arange(num_looks + 1))
        for look in range(num_looks):
            chosen = order[bounds[look] : bounds[look + 1]]
            if len(chosen):
                now, before = state[chosen], earlier[chosen]
                self.products[look] += now.T @ now - before.T @ before
                self.keys[look] += ((count[chosen] - seen[chosen] == 0) & (seen[chosen] > 0)).sum(axis=0)

    def finish(self) -> None:
        """Makes the sums cumulative; once, after everything was added."""
        for values in (self.sums, self.products, self.keys, self.requests):
            np.cumsum(values, axis=0, out=values)

    def total(self, place: int) -> Array:
        """One of the three totals by look and arm, (L, A).

        Args:
            place: 0 weights, 1 rewards, 2 values of the pre-period.
        """
        return self.sums[:, place * self.num_arms : (place + 1) * self.num_arms]
