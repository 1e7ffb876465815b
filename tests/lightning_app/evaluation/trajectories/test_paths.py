from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_app.evaluation.trajectories.levels import LEVELS
from lightning_app.evaluation.trajectories.paths import (
    maximal_deviation,
    path_correlation,
    random_walk_correlation,
    rolling_simultaneous_band,
    sample_paths,
    simultaneous_band,
)
from lightning_app.evaluation.trajectories.probabilistic import central_interval, path_coverage
from lightning_app.evaluation.trajectories.quantile_function import probability_integral_transform, quantile_function

NORMAL = np.array([NormalDist().inv_cdf(level) for level in LEVELS])
HORIZON = 20
WALK_FORECAST = np.outer(np.sqrt(np.arange(1, HORIZON + 1)), NORMAL)  # (H, Q)


def walks(number: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((number, HORIZON)).cumsum(axis=1)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), tails=st.sampled_from(["exponential", "linear"]))
def test_the_transform_inverts_the_quantile_function(seed: int, tails: str) -> None:
    rng = np.random.default_rng(seed)
    forecast = np.cumsum(rng.uniform(0.01, 2, (3, 5, len(LEVELS))), axis=-1)
    probability = rng.uniform(1e-4, 1 - 1e-4, (3, 40, 5))
    values = quantile_function(probability, forecast, levels=LEVELS, tails=tails)
    back = probability_integral_transform(forecast[:, None], values, levels=LEVELS, tails=tails)
    np.testing.assert_allclose(back, probability, atol=1e-9)


@pytest.mark.parametrize("tails", ["exponential", "linear"])
def test_the_quantile_function_ascends_through_the_quantiles(tails: str) -> None:
    grid = np.sort(np.append(np.linspace(1e-6, 1 - 1e-6, 999), LEVELS))
    values = quantile_function(grid[:, None], NORMAL[None], levels=LEVELS, tails=tails)[:, 0]
    assert (np.diff(values) >= 0).all()
    np.testing.assert_allclose(values[np.searchsorted(grid, LEVELS)], NORMAL, atol=1e-12)


def test_quantiles_that_coincide_give_finite_transforms() -> None:
    flat = np.zeros((3, len(LEVELS)))
    pit = probability_integral_transform(flat, np.array([-1.0, 0.0, 1.0]), levels=LEVELS)
    assert (np.diff(pit) > 0).all()
    assert pit[0] < 1e-6
    assert pit[2] > 1 - 1e-6


def test_marginals_of_sampled_paths_are_the_quantiles() -> None:
    skewed = np.exp(0.3 * WALK_FORECAST)
    paths = sample_paths(skewed, levels=LEVELS, correlation=random_walk_correlation(HORIZON), num_paths=20_000)
    share = (paths[..., None] <= skewed).mean(axis=0)  # (H, Q)
    np.testing.assert_allclose(share, np.broadcast_to(LEVELS, share.shape), atol=0.015)


def test_sampled_paths_move_as_a_random_walk_does() -> None:
    correlation = random_walk_correlation(HORIZON)
    paths = sample_paths(WALK_FORECAST, levels=LEVELS, correlation=correlation, num_paths=20_000)
    np.testing.assert_allclose(np.corrcoef(paths.T), correlation, atol=0.03)
    np.testing.assert_array_equal(
        paths, sample_paths(WALK_FORECAST, levels=LEVELS, correlation=correlation, num_paths=20_000)
    )


def test_functionals_of_actual_paths_rank_evenly_among_sampled_ones() -> None:
    """The rank of the running maximum tells whether the steps depend on each other as they should."""
    actual = walks(600)

    def ranks(correlation: np.ndarray) -> np.ndarray:
        forecast = np.broadcast_to(WALK_FORECAST, (600, *WALK_FORECAST.shape))
        paths = sample_paths(forecast, levels=LEVELS, correlation=correlation, num_paths=99)
        rank = (paths.max(axis=-1) < actual.max(axis=-1)[:, None]).sum(axis=1)  # (N,), 0 to 99
        return np.histogram(rank, bins=5, range=(0, 100))[0] / 600

    np.testing.assert_allclose(ranks(random_walk_correlation(HORIZON)), 0.2, atol=0.05)
    assert ranks(np.eye(HORIZON))[0] > 0.3


def test_the_sample_weighs_as_much_as_it_has_windows() -> None:
    pit = np.random.default_rng(0).uniform(0.01, 0.99, (4000, 5))
    target = random_walk_correlation(5)
    np.testing.assert_allclose(path_correlation(pit), np.eye(5), atol=0.06)
    np.testing.assert_allclose(path_correlation(pit[:5]).diagonal(), 1)
    np.testing.assert_array_equal(path_correlation(pit, num_windows=0), target)
    half = path_correlation(pit, num_windows=5)
    np.testing.assert_allclose(half, (np.eye(5) + target) / 2, atol=0.04)


@settings(max_examples=20, deadline=None)
@given(number=st.integers(0, 12), still=st.booleans(), seed=st.integers(0, 1000))
def test_the_correlation_is_positive_definite_for_any_number_of_windows(number: int, still: bool, seed: int) -> None:
    pit = np.random.default_rng(seed).uniform(0.001, 0.999, (number, HORIZON))
    if still:
        pit[:, 3] = 0.5
    correlation = path_correlation(pit)
    np.testing.assert_allclose(correlation.diagonal(), 1)
    assert np.linalg.eigvalsh(correlation).min() > 0


def test_the_simultaneous_band_holds_whole_paths_and_the_pointwise_one_does_not() -> None:
    calibration, actual = walks(500, seed=1), walks(3000, seed=2)
    deviations = maximal_deviation(WALK_FORECAST, calibration, levels=LEVELS)
    band = simultaneous_band(WALK_FORECAST, levels=LEVELS, deviations=deviations, coverage=0.8)
    assert path_coverage(*band, actual) == pytest.approx(0.8, abs=0.04)
    pointwise = central_interval(WALK_FORECAST, levels=LEVELS, nominal=0.8)
    assert path_coverage(*pointwise, actual) < 0.55


def test_sampled_paths_calibrate_the_band_where_windows_are_few() -> None:
    paths = sample_paths(WALK_FORECAST, levels=LEVELS, correlation=random_walk_correlation(HORIZON), num_paths=2000)
    deviations = maximal_deviation(WALK_FORECAST, paths, levels=LEVELS)
    band = simultaneous_band(WALK_FORECAST, levels=LEVELS, deviations=deviations, coverage=0.8)
    assert path_coverage(*band, walks(3000)) == pytest.approx(0.8, abs=0.04)


def test_the_rolling_band_knows_only_windows_that_have_ended() -> None:
    origins = 10 * np.arange(300)
    steps = np.random.default_rng(3).standard_normal(origins[-1] + HORIZON + 1).cumsum()
    actual = np.stack([steps[o + 1 : o + 1 + HORIZON] - steps[o] for o in origins])[:, None]  # (N, 1, H)
    forecast = np.broadcast_to(WALK_FORECAST, (300, 1, *WALK_FORECAST.shape))
    lower, upper = rolling_simultaneous_band(forecast, actual, origins=origins, levels=LEVELS)
    # The window of origin i ends two origins later, and 20 ended windows are asked for.
    assert np.isnan(lower[:21]).all()
    assert not np.isnan(lower[21:]).any()
    assert path_coverage(lower, upper, actual, mask=~np.isnan(lower)) == pytest.approx(0.8, abs=0.07)
    changed = actual.copy()
    changed[99:] *= 40
    again, _ = rolling_simultaneous_band(forecast, changed, origins=origins, levels=LEVELS)
    np.testing.assert_array_equal(lower[:101], again[:101])
    assert (lower[101] != again[101]).any()


def test_what_gives_no_paths_is_refused() -> None:
    with pytest.raises(ValueError, match="pit"):
        path_correlation(np.ones((3, 4)))
    with pytest.raises(ValueError, match="num_windows"):
        path_correlation(np.full((3, 4), 0.5), num_windows=-1)
    with pytest.raises(ValueError, match="correlation"):
        sample_paths(WALK_FORECAST, levels=LEVELS, correlation=np.eye(3), num_paths=5)
    with pytest.raises(ValueError, match="coverage"):
        simultaneous_band(WALK_FORECAST, levels=LEVELS, deviations=np.ones(3), coverage=1.0)
    with pytest.raises(ValueError, match="two or more"):
        quantile_function(np.full((1, 1), 0.5), np.zeros((1, 1)), levels=[0.5])
