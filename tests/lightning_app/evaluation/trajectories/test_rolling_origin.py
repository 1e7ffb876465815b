import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_app.evaluation.trajectories.classical import EmpiricalQuantiles, RandomWalk, VolatilityScaledQuantiles
from lightning_app.evaluation.trajectories.levels import LEVELS
from lightning_app.evaluation.trajectories.probabilistic import weighted_quantile_loss
from lightning_app.evaluation.trajectories.rolling_origin import rolling_origin_forecasts
from tests.conftest import DATA, needs
from tests.lightning_app.evaluation.trajectories.test_classical import forecasters, prices

OPTIONS = {"start": 60, "stride": 4, "refit_every": 12, "scale_window": 20}


class Recorder:
    """Forecasts the last value, and writes down what it is given."""

    def __init__(self) -> None:
        self.horizon = 5
        self.levels = LEVELS
        self.fits: list[np.ndarray] = []
        self.seen: list[tuple[int, np.ndarray]] = []

    def fit(self, values: np.ndarray) -> None:
        self.fits.append(values)

    def forecast(self, values: np.ndarray) -> np.ndarray:
        self.seen.append((len(self.fits) - 1, values))
        return np.tile(values[-1][:, None, None], (1, self.horizon, len(LEVELS)))


@settings(max_examples=12, deadline=None)
@given(which=st.integers(0, 3), origin=st.integers(0, 10), seed=st.integers(0, 1000))
def test_rows_after_an_origin_change_no_forecast_up_to_it(which: int, origin: int, seed: int) -> None:
    values = prices()
    row = 60 + 4 * origin
    shuffled = np.append(values[: row + 1], np.random.default_rng(seed).permutation(values[row + 1 :]), axis=0)
    assert not np.array_equal(values, shuffled)
    before, after = (rolling_origin_forecasts(table, forecasters()[which], **OPTIONS) for table in (values, shuffled))
    assert before.origins[origin] == row
    np.testing.assert_array_equal(before.forecasts[: origin + 1], after.forecasts[: origin + 1])
    np.testing.assert_array_equal(before.scale[: origin + 1], after.scale[: origin + 1])
    assert not np.array_equal(before.actuals, after.actuals)


def test_a_forecaster_is_given_its_past_and_cannot_reach_further() -> None:
    values, model = prices(), Recorder()
    walk = rolling_origin_forecasts(values, model, **OPTIONS)
    np.testing.assert_array_equal(walk.origins, np.arange(60, 115, 4))
    for origin, (_, seen) in zip(walk.origins, model.seen, strict=True):
        np.testing.assert_array_equal(seen, values[: origin + 1])
        assert seen.base is None
    assert all(rows.base is None for rows in model.fits)
    np.testing.assert_array_equal(walk.actuals[3, 1], values[73:78, 1])


@settings(max_examples=30, deadline=None)
@given(
    stride=st.integers(1, 15),
    refit_every=st.none() | st.integers(1, 40),
    embargo=st.none() | st.integers(0, 9),
    start=st.integers(20, 100),
)
def test_no_target_is_a_row_of_the_fit_and_the_embargo_lies_between(
    stride: int, refit_every: int | None, embargo: int | None, start: int
) -> None:
    model = Recorder()
    walk = rolling_origin_forecasts(
        prices(), model, start=start, stride=stride, refit_every=refit_every, embargo=embargo
    )
    width = 5 if embargo is None else embargo
    assert (walk.fit_ends + width <= walk.origins).all()
    assert len(model.fits) == (1 if refit_every is None else len(np.unique(walk.fit_ends)))
    for (fold, _), end, origin in zip(model.seen, walk.fit_ends, walk.origins, strict=True):
        assert len(model.fits[fold]) == end
        if refit_every is not None:
            assert origin - (end + width) < refit_every
    # The first origin of each fit follows the embargo directly: no row is wasted.
    first = np.unique(walk.fit_ends, return_index=True)[1]
    np.testing.assert_array_equal(walk.origins[first], walk.fit_ends[first] + width)
    assert walk.origins[-1] + 5 < 120 <= walk.origins[-1] + 5 + stride


def test_a_walk_repeats_itself_with_the_same_forecaster() -> None:
    model = VolatilityScaledQuantiles(horizon=5, warm_up=20)
    first, second = (rolling_origin_forecasts(prices(), model, **OPTIONS) for _ in range(2))
    np.testing.assert_array_equal(first.forecasts, second.forecasts)


def test_the_unit_of_mase_comes_from_before_the_origin() -> None:
    values = prices()
    walk = rolling_origin_forecasts(values, Recorder(), **OPTIONS, period=2)
    window = values[39:61]
    np.testing.assert_allclose(walk.scale[0], np.abs(window[2:] - window[:-2]).mean(axis=0))


@needs("market/vix-daily.csv")
@needs("market/brent-daily.csv")
@pytest.mark.parametrize(
    ("file", "column", "expected"),
    [
        ("market/vix-daily.csv", "CLOSE", (0.20560, 0.19117, 0.18830)),
        ("market/brent-daily.csv", "Price", (0.08822, 0.08728, 0.08758)),
    ],
)
def test_the_rows_to_beat_at_63_days(file: str, column: str, expected: tuple[float, ...]) -> None:
    values = pl.read_csv(DATA / file)[column].to_numpy()[:, None]
    start = int(0.8 * len(values))
    # All three were measured on changes from row 253 on, where the volatility is known.
    for model, skipped, wql in zip(
        (RandomWalk(), EmpiricalQuantiles(), VolatilityScaledQuantiles()), (0, 253, 0), expected, strict=True
    ):
        walk = rolling_origin_forecasts(values[skipped:], model, start=start - skipped, refit_every=None, embargo=0)
        assert weighted_quantile_loss(walk.forecasts, walk.actuals, levels=LEVELS) == pytest.approx(wql, abs=6e-6)


def spoiled(change) -> np.ndarray:
    values = prices()
    change(values)
    return values


def put(row, column: int, value: float):
    return lambda values: values.__setitem__((row, column), value)


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (spoiled(put(slice(None), 1, 3.0)), {}, "column 1 is constant in rows 0 to 54"),
        (spoiled(put(7, 1, np.nan)), {}, "column 1 is nan in row 7"),
        (spoiled(put(slice(None), 0, np.nan)), {}, "column 0 is nan in row 0"),
        (spoiled(put(9, 0, np.inf)), {}, "column 0 is inf in row 9"),
        (prices(64), {}, "64 rows given"),
        (prices(), {"start": 5}, "embargo of 5"),
        (prices(), {"start": 1.0}, "horizon of 5"),
        (prices()[:, 0], {}, "shape"),
        (prices(), {"stride": 0}, "stride: 0 given"),
        (prices(), {"refit_every": 0}, "refit_every: 0 given"),
        (prices(), {"embargo": -1}, "embargo: -1 given"),
        (prices(), {"period": 0}, "period: 0 given"),
    ],
)
def test_what_cannot_be_walked_is_refused(values: np.ndarray, options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rolling_origin_forecasts(values, Recorder(), **{**OPTIONS, **options})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda forecast: forecast[:, :4], r"shape \(2, 4, 13\) given at origin 60, \(2, 5, 13\)"),
        (lambda forecast: forecast * np.nan, "not finite at origin 60"),
        (lambda forecast: forecast - np.arange(len(LEVELS)), "quantiles cross at origin 60"),
    ],
)
def test_what_is_no_quantile_forecast_is_refused(spoil, message: str) -> None:
    class Spoiled(Recorder):
        def forecast(self, values: np.ndarray) -> np.ndarray:
            return spoil(super().forecast(values))

    with pytest.raises(ValueError, match=message):
        rolling_origin_forecasts(prices(), Spoiled(), **OPTIONS)
