from statistics import NormalDist

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_app.evaluation.trajectories.levels import LEVELS, SCORED_LEVELS, check_levels, level_positions
from lightning_app.evaluation.trajectories.probabilistic import (
    absolute_scaled_errors,
    energy_score,
    interval_coverage,
    interval_width,
    mean_absolute_scaled_error,
    path_coverage,
    weighted_quantile_loss,
)
from models import PinballLoss

NORMAL = np.array([NormalDist().inv_cdf(level) for level in LEVELS])


def normal_forecast(*shape: int, spread: float = 1.0) -> np.ndarray:
    return np.broadcast_to(spread * NORMAL, (*shape, len(LEVELS)))


@settings(max_examples=30, deadline=None)
@given(offset=st.floats(-50, 50), seed=st.integers(0, 1000))
def test_all_quantiles_at_one_distance_cost_that_distance(offset: float, seed: int) -> None:
    actual = np.random.default_rng(seed).normal(10, 3, (4, 2, 7))
    forecast = np.repeat(actual[..., None] + offset, len(LEVELS), axis=-1)
    expected = abs(offset) * actual.size / np.abs(actual).sum()
    assert weighted_quantile_loss(forecast, actual, levels=LEVELS) == pytest.approx(expected, abs=1e-9)


def test_wql_is_twice_the_pinball_loss_that_models_are_trained_on() -> None:
    rng = np.random.default_rng(0)
    actual, forecast = rng.normal(5, 1, (6, 9)), np.sort(rng.normal(5, 1, (6, 9, 9)), axis=-1)
    pinball = PinballLoss(quantiles=SCORED_LEVELS)(torch.from_numpy(forecast), torch.from_numpy(actual))
    expected = 2 * float(pinball) / np.abs(actual).mean()
    assert weighted_quantile_loss(forecast, actual, levels=SCORED_LEVELS) == pytest.approx(expected, rel=1e-6)


def test_outer_levels_do_not_count_in_wql() -> None:
    actual, forecast = np.ones((3, 5)), np.array(normal_forecast(3, 5))
    before = weighted_quantile_loss(forecast, actual, levels=LEVELS)
    forecast[..., [0, -1]] = [-100, 100]
    assert weighted_quantile_loss(forecast, actual, levels=LEVELS) == before


def test_masked_targets_count_nowhere() -> None:
    actual = np.random.default_rng(1).normal(3, 1, (10, 4))
    mask = np.ones((10, 4), dtype=bool)
    mask[:, 2:] = False
    broken = np.where(mask, actual, np.nan)
    cut, forecast = actual[:, :2], normal_forecast(10, 4)
    whole = {"levels": LEVELS, "mask": mask}
    assert weighted_quantile_loss(forecast, broken, **whole) == weighted_quantile_loss(
        forecast[:, :2], cut, levels=LEVELS
    )
    scale = np.ones(10)
    assert mean_absolute_scaled_error(forecast, broken, scale=scale, **whole) == pytest.approx(
        mean_absolute_scaled_error(forecast[:, :2], cut, scale=scale, levels=LEVELS)
    )
    coverage = interval_coverage(forecast, broken, nominal=0.8, **whole)
    np.testing.assert_array_equal(coverage[:2], interval_coverage(forecast[:, :2], cut, levels=LEVELS, nominal=0.8))
    assert np.isnan(coverage[2:]).all()
    paths = np.random.default_rng(2).normal(3, 1, (10, 5, 4))
    np.testing.assert_allclose(energy_score(paths, broken, mask=mask), energy_score(paths[..., :2], cut))


@pytest.mark.parametrize("nominal", [0.5, 0.8, 0.95])
def test_a_calibrated_normal_covers_what_it_says(nominal: float) -> None:
    actual = np.random.default_rng(0).standard_normal((8000, 3))
    coverage = interval_coverage(normal_forecast(8000, 3), actual, levels=LEVELS, nominal=nominal)
    np.testing.assert_allclose(coverage, nominal, atol=0.02)
    width = interval_width(normal_forecast(8000, 3, spread=2.0), levels=LEVELS, nominal=nominal)
    np.testing.assert_allclose(width, 4 * NormalDist().inv_cdf((1 + nominal) / 2))


def test_whole_paths_are_covered_less_than_single_steps() -> None:
    actual = np.random.default_rng(0).standard_normal((20000, 3))
    half = NormalDist().inv_cdf(0.9) * np.ones(3)
    assert path_coverage(-half, half, actual) == pytest.approx(0.8**3, abs=0.02)


def test_mase_of_the_last_value_one_step_ahead_is_one() -> None:
    walk = np.random.default_rng(0).standard_normal(20000).cumsum()
    scale = np.full(len(walk) - 1, np.abs(np.diff(walk)).mean())
    last = np.repeat(walk[:-1, None, None], len(LEVELS), axis=-1)
    assert mean_absolute_scaled_error(last, walk[1:, None], levels=LEVELS, scale=scale) == pytest.approx(1)


def test_windows_that_stood_still_are_left_out_of_mase() -> None:
    actual, forecast = np.ones((2, 3)), normal_forecast(2, 3)
    errors = absolute_scaled_errors(forecast, actual, levels=LEVELS, scale=np.array([0.0, 2.0]))
    assert np.isnan(errors[0]).all()
    np.testing.assert_allclose(errors[1], 0.5)
    with pytest.raises(ValueError, match="scale"):
        mean_absolute_scaled_error(forecast, actual, levels=LEVELS, scale=np.zeros(2))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), price=st.sampled_from([0.0, 1.0, 1e4]))
def test_energy_score_follows_its_formula(seed: int, price: float) -> None:
    rng = np.random.default_rng(seed)
    paths, actual = price + rng.standard_normal((2, 6, 4)), price + rng.standard_normal((2, 4))
    between = [
        np.mean([np.linalg.norm(a - b) for i, a in enumerate(window) for j, b in enumerate(window) if i != j])
        for window in paths
    ]
    expected = np.linalg.norm(paths - actual[:, None], axis=-1).mean(axis=-1) - np.array(between) / 2
    np.testing.assert_allclose(energy_score(paths, actual), expected, atol=1e-6)


def test_energy_score_prefers_paths_that_move_as_the_actual_ones_do() -> None:
    rng = np.random.default_rng(0)
    actual = rng.standard_normal((400, 10)).cumsum(axis=1)
    walks = rng.standard_normal((400, 50, 10)).cumsum(axis=-1)
    shuffled = np.take_along_axis(walks, rng.permuted(np.broadcast_to(np.arange(50)[:, None], walks.shape), axis=1), 1)
    assert energy_score(walks, actual).mean() < energy_score(shuffled, actual).mean()


@pytest.mark.parametrize("levels", [[], [0.5, 0.1], [0.0, 0.5], [0.5, 0.5], [0.5, 1.0]])
def test_levels_must_ascend_between_0_and_1(levels: list[float]) -> None:
    with pytest.raises(ValueError, match="levels: .*ascending"):
        check_levels(levels)


def test_a_missing_level_is_named() -> None:
    with pytest.raises(ValueError, match=r"\[0.025, 0.975\] is missing"):
        interval_coverage(np.zeros((2, 3, 9)), np.zeros((2, 3)), levels=SCORED_LEVELS, nominal=0.95)
    assert level_positions(LEVELS, [0.1 + 0.2]) == [4]


def test_what_cannot_be_scored_is_refused() -> None:
    with pytest.raises(ValueError, match="zero"):
        weighted_quantile_loss(normal_forecast(2, 3), np.zeros((2, 3)), levels=LEVELS)
    with pytest.raises(ValueError, match="shape"):
        weighted_quantile_loss(normal_forecast(2, 3), np.ones((2, 4)), levels=LEVELS)
    with pytest.raises(ValueError, match="two or more"):
        energy_score(np.zeros((2, 1, 3)), np.zeros((2, 3)))
