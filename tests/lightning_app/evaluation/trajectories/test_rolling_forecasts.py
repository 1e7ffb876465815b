from dataclasses import replace

import numpy as np
import pytest

from lightning_app.evaluation.trajectories.classical import EmpiricalQuantiles, RandomWalk, VolatilityScaledQuantiles
from lightning_app.evaluation.trajectories.levels import LEVELS
from lightning_app.evaluation.trajectories.probabilistic import interval_coverage
from lightning_app.evaluation.trajectories.rolling_forecasts import RollingForecasts
from lightning_app.evaluation.trajectories.rolling_origin import RefittedForecaster, rolling_origin_forecasts


def reverting(rows: int = 3000, series: int = 1, *, seed: int = 0) -> np.ndarray:
    """Log prices that are drawn back to their mean, which a random walk does not know."""
    rng = np.random.default_rng(seed)
    logs = np.zeros((rows, series))
    for row in range(1, rows):
        logs[row] = 0.93 * logs[row - 1] + 0.03 * rng.standard_normal(series)
    return 20 * np.exp(logs)


class MeanReversion(RandomWalk):
    """Knows how the series was made."""

    def _quantiles(self, values: np.ndarray) -> np.ndarray:
        steps = np.arange(1, self.horizon + 1)
        kept = 0.93**steps
        spread = 0.03 * np.sqrt((1 - kept**2) / (1 - 0.93**2))  # (H,)
        median = np.log(20) + kept * (values[-1][:, None] - np.log(20))  # (C, H)
        return median[..., None] + np.outer(spread, self._normal)


def walk(model: RefittedForecaster, values: np.ndarray) -> RollingForecasts:
    return rolling_origin_forecasts(values, model, start=0.5)


@pytest.fixture(scope="module")
def naive() -> RollingForecasts:
    return walk(RandomWalk(), reverting())


@pytest.fixture(scope="module")
def model() -> RollingForecasts:
    return walk(MeanReversion(), reverting())


def test_skill_is_claimed_where_there_is_skill(model: RollingForecasts, naive: RollingForecasts) -> None:
    summary = model.summary(naive)
    assert summary.claims_skill
    assert summary.wql_ratio.high < 1
    assert summary.mase_ratio.claims_skill
    assert summary.wql_ratio.ratio == pytest.approx(summary.model.wql / summary.baseline.wql)
    assert summary.mase_ratio.ratio == pytest.approx(summary.model.mase / summary.baseline.mase)
    page = summary.to_markdown()
    assert "- WQL: skill;" in page
    assert "| 80% | 63 |" in page
    assert "fitted anew every 252 rows" in page


def test_coverage_is_told_at_three_steps(model: RollingForecasts, naive: RollingForecasts) -> None:
    scores = model.summary(naive).model
    assert list(scores.coverage) == [0.5, 0.8, 0.95]
    for nominal, shares in scores.coverage.items():
        assert list(shares) == [1, 21, 63]
        assert all(abs(share - nominal) < 0.15 for share in shares.values())
    assert scores.width[0.5][21] < scores.width[0.8][21] < scores.width[0.95][21]
    assert scores.path_coverage[0.8] < 0.6 < scores.simultaneous_coverage
    assert list(model.summary(naive, horizons=[2, 5]).model.coverage[0.8]) == [2, 5]


def test_no_skill_is_claimed_without_skill(model: RollingForecasts, naive: RollingForecasts) -> None:
    even = naive.summary(naive)
    assert not even.claims_skill
    assert "WQL: no skill is claimed; the interval includes 1." in even.to_markdown()
    worse = naive.summary(model)
    assert not worse.claims_skill
    assert "WQL: worse than MeanReversion" in worse.to_markdown()


def test_few_origins_claim_no_skill(model: RollingForecasts, naive: RollingForecasts) -> None:
    fields = ("origins", "forecasts", "actuals", "scale", "fit_ends")
    last = [replace(walk, **{name: getattr(walk, name)[-11:] for name in fields}) for walk in (model, naive)]
    summary = last[0].summary(last[1])
    assert not summary.claims_skill
    page = summary.to_markdown()
    assert "too few origins for an interval" in page
    assert "80%, simultaneous | too few windows" in page


def test_a_walk_that_was_fitted_once_says_so(naive: RollingForecasts) -> None:
    once = rolling_origin_forecasts(reverting(), RandomWalk(), start=0.5, refit_every=None, name="frozen")
    assert "frozen: fitted once, on the rows before 1437, and never again" in once.summary(naive).to_markdown()


def test_several_series_have_a_ratio_each() -> None:
    values = reverting(series=2) * [1.0, 1000.0]
    summary = walk(MeanReversion(), values[:, :1]).summary(walk(RandomWalk(), values[:, :1]))
    assert summary.wql_ratio_by_series is None
    both = walk(EmpiricalQuantiles(), values).summary(walk(RandomWalk(), values))
    assert both.wql_ratio_by_series is not None
    assert "WQL, mean of series" in both.to_markdown()
    # The series of large numbers decides the ratio of sums.
    large = walk(EmpiricalQuantiles(), values[:, 1:]).summary(walk(RandomWalk(), values[:, 1:]))
    assert both.wql_ratio.ratio == pytest.approx(large.wql_ratio.ratio, abs=0.005)


def test_blocks_are_twice_as_long_as_targets_overlap(model: RollingForecasts, naive: RollingForecasts) -> None:
    assert model.summary(naive).wql_ratio.block == 6
    dense = [
        rolling_origin_forecasts(reverting(800), forecaster, start=500, stride=9) for forecaster in (RandomWalk(),) * 2
    ]
    assert dense[0].summary(dense[1]).wql_ratio.block == 14


def test_windows_that_stood_still_are_counted(naive: RollingForecasts) -> None:
    still = replace(naive, scale=np.where(np.arange(len(naive.scale))[:, None] < 4, 0.0, naive.scale))
    assert "MASE leaves out 4 windows" in still.summary(still).to_markdown()


def test_calibration_keeps_prices_positive_and_repairs_narrow_bands(naive: RollingForecasts) -> None:
    middle = naive.forecasts[..., LEVELS.index(0.5), None]
    narrow = replace(naive, forecasts=middle * (naive.forecasts / middle) ** 0.3)
    calibrated = narrow.calibrated(units="log_return", gamma=0.02)
    assert (calibrated.forecasts > 0).all()
    half = len(naive.origins) // 2
    before, after = (
        interval_coverage(run.forecasts[half:], run.actuals[half:], levels=LEVELS, nominal=0.8).mean()
        for run in (narrow, calibrated)
    )
    assert before < 0.6
    assert after == pytest.approx(0.8, abs=0.1)
    page = calibrated.summary(naive).to_markdown()
    assert "RandomWalk, calibrated" in page
    assert "adaptive, step 0.02" in page


def test_only_walks_over_the_same_targets_are_compared(naive: RollingForecasts) -> None:
    other = walk(VolatilityScaledQuantiles(), reverting(seed=1))
    with pytest.raises(ValueError, match="other origins or targets"):
        naive.summary(other)
    with pytest.raises(ValueError, match=r"horizons: \[64\]"):
        naive.summary(naive, horizons=[64])
