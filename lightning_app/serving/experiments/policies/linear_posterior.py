"""Posterior of a linear bandit: Bayesian linear regression of the reward on standardised columns, for each arm."""

from hashlib import blake2b

import numpy as np

from lightning_app.serving.config.control_channel import LinearState
from lightning_app.serving.experiments.policies.linear_moments import LinearMoments, standardised_moments
from lightning_app.serving.experiments.policies.posteriors import Array

_PRIOR_SHAPE, _PRIOR_RATE = 1.0, 0.0625
"""Inverse-gamma prior of the variance of scaled rewards: deviation about a quarter."""
_DIGITS = 7


def linear_state(
    moments: LinearMoments, *, floor: float, num_draws: int, stopped: frozenset[str] = frozenset()
) -> LinearState:
    """Draws of the posterior, for workers.

    Weights have a normal prior as wide as the noise, around 0, and the intercept around the mean reward of all arms.
    The random numbers behind the draws depend on the name of the arm alone: equal moments give equal draws, and a few
    more rewards move the probabilities a little.

    Args:
        moments: What is known.
        floor: Least probability of an arm.
        num_draws: Number of draws.
        stopped: Arms that get nothing.

    Raises:
        ValueError: All arms are stopped.
    """
    running = [arm for arm in moments.arms if arm not in stopped]
    if not running:
        raise ValueError(f"all arms are stopped: {', '.join(moments.arms)}; let one run")
    means, scales = moments.standardisation()
    units = np.array(moments.units or [1.0] * len(means))
    shift = (np.array(means) - np.array(moments.origins or [0.0] * len(means))) / units
    stretch = np.array(scales) / units
    weight = sum(each.products[0][0] for each in moments.arms.values())
    centre = sum(each.rewards[0] for each in moments.arms.values()) / weight if weight > 0 else 0.5
    draws = {}
    for arm in running:
        products, rewards = standardised_moments(moments.arms[arm], shift=shift, stretch=stretch)
        squares = moments.arms[arm].squares - 2 * centre * rewards[0] + centre**2 * products[0, 0]
        weights = _draws(products, rewards - centre * products[:, 0], squares, seed=arm, num_draws=num_draws)
        weights[:, 0] += centre
        draws[arm] = [[float(f"{value:.{_DIGITS}g}") for value in draw] for draw in weights.tolist()]
    return LinearState(
        columns=moments.columns, means=means, scales=scales, floor=min(floor, 1 / len(running)), draws=draws
    )


def _draws(products: Array, rewards: Array, squares: float, *, seed: str, num_draws: int) -> Array:
    """Draws of the weights, shape (num_draws, num_inputs)."""
    size = len(rewards)
    precision = products + np.eye(size)
    lower = np.linalg.cholesky((precision + precision.T) / 2)
    mean = np.linalg.solve(precision, rewards)
    shape = _PRIOR_SHAPE + products[0, 0] / 2
    rate = _PRIOR_RATE + max(squares - float(mean @ rewards), 0.0) / 2
    generator = np.random.Generator(np.random.PCG64(int.from_bytes(blake2b(seed.encode(), digest_size=8).digest())))
    normal = generator.standard_normal((num_draws, size + 1))
    # Wilson and Hilferty's approximation of a gamma variate: a smooth function of a fixed normal one.
    gamma = shape * np.maximum(1 - 1 / (9 * shape) + normal[:, -1] / (3 * np.sqrt(shape)), 0.1) ** 3
    deviation = np.sqrt(rate / gamma)
    draws: Array = mean + deviation[:, None] * np.linalg.solve(lower.T, normal[:, :-1].T).T
    return draws
