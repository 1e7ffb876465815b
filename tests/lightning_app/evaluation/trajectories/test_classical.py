import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_app.evaluation.trajectories.classical import (
    EmpiricalQuantiles,
    RandomWalk,
    SeasonalNaive,
    VolatilityScaledQuantiles,
)
from lightning_app.evaluation.trajectories.levels import LEVELS
from lightning_app.evaluation.trajectories.rolling_origin import RefittedForecaster
from lightning_app.evaluation.trajectories.units import Units, from_units, to_units

MEDIAN = LEVELS.index(0.5)


def forecasters(units: Units = "log_return") -> list[RefittedForecaster]:
    common = {"horizon": 5, "units": units}
    return [
        RandomWalk(window=20, **common),
        EmpiricalQuantiles(**common),
        VolatilityScaledQuantiles(warm_up=20, **common),
        SeasonalNaive(period=3, **common),
    ]


def prices(rows: int = 120, series: int = 2, *, seed: int = 0) -> np.ndarray:
    return 50 * np.exp(0.02 * np.random.default_rng(seed).standard_normal((rows, series)).cumsum(axis=0))


@settings(max_examples=15, deadline=None)
@given(scale=st.floats(0.01, 1000), units=st.sampled_from(["log_return", "level"]), seed=st.integers(0, 1000))
def test_forecasts_have_the_units_of_the_series_and_ascend(scale: float, units: Units, seed: int) -> None:
    values = prices(seed=seed)
    for forecaster in forecasters(units):
        forecaster.fit(values[:100])
        forecast = forecaster.forecast(values)
        assert forecast.shape == (2, 5, len(LEVELS))
        assert (np.diff(forecast, axis=-1) >= 0).all()
        forecaster.fit(scale * values[:100])
        np.testing.assert_allclose(forecaster.forecast(scale * values), scale * forecast, rtol=1e-9)


def test_the_random_walk_is_normal_with_the_variance_of_its_window() -> None:
    values = np.append(1000 * prices(50), prices(21, seed=1), axis=0)
    model = RandomWalk(horizon=4, window=20)
    model.fit(values)
    forecast = np.log(model.forecast(values))
    spread = np.diff(np.log(values[-21:]), axis=0).std(axis=0)
    np.testing.assert_allclose(forecast[:, :, MEDIAN], np.log(values[-1])[:, None].repeat(4, axis=1))
    upper = forecast[:, 3, -1] - forecast[:, 3, MEDIAN]
    np.testing.assert_allclose(upper, 1.959964 * 2 * spread, rtol=1e-6)


def test_empirical_quantiles_are_those_of_the_changes() -> None:
    values = prices()
    model = EmpiricalQuantiles(horizon=5, units="level")
    model.fit(values)
    expected = values[-1] + np.quantile(values[3:] - values[:-3], 0.9, axis=0)
    np.testing.assert_allclose(model.forecast(values)[:, 2, LEVELS.index(0.9)], expected)


def test_scaled_quantiles_widen_with_the_volatility_at_the_origin() -> None:
    calm = prices(300)
    wild = np.append(calm, calm[-1] * np.exp(5 * np.diff(np.log(calm[:60]), axis=0).cumsum(axis=0)), axis=0)
    model = VolatilityScaledQuantiles(horizon=5, warm_up=20)
    model.fit(calm)
    widths = [np.ptp(np.log(model.forecast(values)), axis=-1) for values in (calm, wild)]
    assert (widths[1] > 3 * widths[0]).all()


def test_the_last_volatility_is_that_of_the_recursion() -> None:
    values = np.log(prices(700))
    model = VolatilityScaledQuantiles(horizon=5, warm_up=50)
    np.testing.assert_allclose(model._last_volatility(values), model._volatility(values)[-1], rtol=1e-12)


def test_the_seasonal_naive_repeats_a_season_without_error() -> None:
    values = np.tile([[1.0, 5.0], [2.0, -6.0], [4.0, 7.0]], (20, 1))
    model = SeasonalNaive(period=3, horizon=7)
    model.fit(values)
    expected = np.tile(values[:3], (3, 1))[:7].T
    np.testing.assert_array_equal(model.forecast(values), np.repeat(expected[..., None], len(LEVELS), axis=-1))


def test_the_seasonal_naive_is_less_sure_a_season_later() -> None:
    model = SeasonalNaive(period=3, horizon=9)
    values = prices(2000)
    model.fit(values)
    width = np.ptp(model.forecast(values), axis=-1)  # (C, H)
    assert np.allclose(width[:, 0], width[:, 2])
    assert (width[:, 3] > width[:, 2]).all()
    assert (width[:, 6] > width[:, 5]).all()


@pytest.mark.parametrize("bad", [0.0, -1.5])
def test_values_without_logarithm_are_named_by_row(bad: float) -> None:
    values = prices()
    values[[17, 30], 1] = bad
    for forecaster in forecasters():
        with pytest.raises(ValueError, match="row 17 has no logarithm; use units: level"):
            forecaster.fit(values)
    for forecaster in forecasters("level"):
        forecaster.fit(values)
        assert np.isfinite(forecaster.forecast(values)).all()


def test_units_undo_themselves() -> None:
    values = prices()
    for units in ("log_return", "level"):
        np.testing.assert_allclose(from_units(to_units(values, units=units), units=units), values)
    with pytest.raises(ValueError, match="units: 'percent'"):
        to_units(values, units="percent")


def test_too_few_rows_are_refused() -> None:
    for forecaster in forecasters():
        with pytest.raises(ValueError, match=f"fit {type(forecaster).__name__}"):
            forecaster.fit(prices(8 if isinstance(forecaster, EmpiricalQuantiles) else 11))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomWalk(horizon=0), "horizon"),
        (lambda: RandomWalk(window=1), "window"),
        (lambda: EmpiricalQuantiles(levels=[0.5, 0.1]), "levels"),
        (lambda: VolatilityScaledQuantiles(decay=1.0), "decay"),
        (lambda: VolatilityScaledQuantiles(warm_up=1), "warm_up"),
        (lambda: SeasonalNaive(period=0), "period"),
    ],
)
def test_options_out_of_their_range_are_refused(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
