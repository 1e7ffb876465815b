from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_app.evaluation.trajectories.conformal import conformal_rank, rolling_conformal
from lightning_app.evaluation.trajectories.levels import LEVELS
from lightning_app.evaluation.trajectories.probabilistic import interval_coverage

NORMAL = np.array([NormalDist().inv_cdf(level) for level in LEVELS])
HORIZON, STRIDE = 6, 2


def narrow(
    *, num_origins: int = 150, series: int = 3, spread: float = 0.4, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Forecasts that are too narrow (N, C, H, Q), standard normal targets (N, C, H), origins (N,)."""
    actual = np.random.default_rng(seed).standard_normal((num_origins, series, HORIZON))
    forecast = np.broadcast_to(spread * NORMAL, (*actual.shape, len(LEVELS)))
    return forecast, actual, STRIDE * np.arange(num_origins)


@pytest.mark.parametrize("spread", [0.4, 2.5])
@pytest.mark.parametrize("gamma", [0.0, 0.02])
def test_intervals_of_a_wrong_width_are_repaired(spread: float, gamma: float) -> None:
    forecast, actual, origins = narrow(spread=spread)
    calibrated = rolling_conformal(forecast, actual, origins=origins, levels=LEVELS, gamma=gamma)
    for nominal in (0.5, 0.8, 0.95):
        before = interval_coverage(forecast[50:], actual[50:], levels=LEVELS, nominal=nominal)
        after = interval_coverage(calibrated[50:], actual[50:], levels=LEVELS, nominal=nominal)
        assert (np.abs(before - nominal) > 0.04).all()
        assert abs(after.mean() - nominal) < 0.04


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), now=st.integers(5, 39), gamma=st.sampled_from([0.0, 0.05]))
def test_targets_that_were_not_observed_yet_change_nothing(seed: int, now: int, gamma: float) -> None:
    forecast, actual, origins = narrow(num_origins=40, series=2, seed=seed)
    due = origins[:, None] + np.arange(1, HORIZON + 1)  # (N, H)
    unknown = np.broadcast_to((due > origins[now])[:, None], actual.shape)
    changed = actual.copy()
    changed[unknown] = np.random.default_rng(seed).permutation(50 * actual[unknown])
    options = {"origins": origins, "levels": LEVELS, "gamma": gamma, "min_scores": 5, "neighbours": 2}
    before, after = (rolling_conformal(forecast, targets, **options) for targets in (actual, changed))
    np.testing.assert_array_equal(before[: now + 1], after[: now + 1])


def test_a_target_counts_from_the_origin_at_which_it_is_observed() -> None:
    forecast, actual, origins = narrow(num_origins=6, series=1)
    outlier = actual.copy()
    outlier[0, 0, -1] = 100  # observed in row 6, which is the origin of forecast 3
    options = {"origins": origins, "levels": LEVELS, "min_scores": 1, "neighbours": 0}
    before, after = (rolling_conformal(forecast, targets, **options) for targets in (actual, outlier))
    differs = (before != after).any(axis=(1, 2, 3))
    assert differs.tolist() == [False, False, False, True, True, True]


def test_it_adapts_after_a_shift_of_volatility() -> None:
    rng = np.random.default_rng(0)
    spread = np.where(np.arange(260) < 120, 1.0, 3.0)[:, None, None]
    actual = spread * rng.standard_normal((260, 2, HORIZON))
    forecast = np.broadcast_to(NORMAL, (*actual.shape, len(LEVELS)))
    origins = HORIZON * np.arange(260)
    coverage = [
        interval_coverage(
            rolling_conformal(forecast, actual, origins=origins, levels=LEVELS, gamma=gamma)[150:],
            actual[150:],
            levels=LEVELS,
            nominal=0.8,
        ).mean()
        for gamma in (0.0, 0.05)
    ]
    assert coverage[0] < 0.7
    assert coverage[1] == pytest.approx(0.8, abs=0.05)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.floats(1e-3, 1e3))
def test_quantiles_ascend_and_units_do_not_matter(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    actual = rng.standard_t(2, (20, 2, 4))
    forecast = np.sort(rng.standard_normal((20, 2, 4, len(LEVELS))), axis=-1)
    options = {"origins": np.arange(20), "levels": LEVELS, "min_scores": 4, "gamma": 0.05}
    calibrated = rolling_conformal(forecast, actual, **options)
    assert (np.diff(calibrated, axis=-1) >= 0).all()
    assert not np.array_equal(calibrated, forecast)
    scaled = rolling_conformal(scale * forecast, scale * actual, **options)
    np.testing.assert_allclose(scaled, scale * calibrated, rtol=1e-6, atol=1e-9 * scale)


def test_forecasts_stay_until_there_are_enough_scores() -> None:
    forecast, actual, origins = narrow(num_origins=30)
    untouched = rolling_conformal(forecast, actual, origins=origins, levels=LEVELS, min_scores=10_000)
    np.testing.assert_array_equal(untouched, forecast)


def test_targets_that_were_never_observed_are_left_out() -> None:
    forecast, actual, origins = narrow(num_origins=60)
    actual[:, 1] = np.nan
    both = rolling_conformal(forecast, actual, origins=origins, levels=LEVELS, gamma=0.02)
    kept = [0, 2]
    without = rolling_conformal(forecast[:, kept], actual[:, kept], origins=origins, levels=LEVELS, gamma=0.02)
    np.testing.assert_array_equal(both[:, kept], without)


def test_a_window_forgets() -> None:
    forecast, actual, origins = narrow(num_origins=60)
    shaken = actual.copy()
    shaken[:20] *= 30
    options = {"origins": origins, "levels": LEVELS, "window": 15}
    before, after = (rolling_conformal(forecast, targets, **options) for targets in (actual, shaken))
    assert not np.array_equal(before[25], after[25])
    np.testing.assert_array_equal(before[35:], after[35:])


def test_the_conformal_rank_is_exact_where_floating_point_is_not() -> None:
    assert conformal_rank(19, miss=0.05) == 19
    assert conformal_rank(9, miss=0.2) == 8
    assert conformal_rank(5, miss=0.0) == 5
    assert conformal_rank(5, miss=1.2) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gamma": 1.0}, "gamma"),
        ({"min_scores": 0}, "min_scores"),
        ({"window": 0}, "window"),
        ({"origins": np.zeros(30, dtype=int)}, "ascend"),
        ({"origins": np.arange(29)}, "shapes"),
        ({"levels": np.linspace(0.01, 0.3, len(LEVELS))}, "sum to 1"),
    ],
)
def test_options_out_of_their_range_are_refused(options: dict[str, float], message: str) -> None:
    forecast, actual, origins = narrow(num_origins=30)
    with pytest.raises(ValueError, match=message):
        rolling_conformal(forecast, actual, **{"origins": origins, "levels": LEVELS, **options})
