"""Statistics of experiments against SciPy and statsmodels, and by simulation."""

import numpy as np
import pytest
from scipy import stats

from lightning_app.drift.statistics.multiple_testing import holm
from lightning_app.serving.experiments.analysis.statistics.distributions import (
    chi_square_tail,
    normal_cdf,
    normal_quantile,
    student_quantile,
    student_tail,
)
from lightning_app.serving.experiments.analysis.statistics.effects import Curve, effect_curve, last_effects
from lightning_app.serving.experiments.analysis.statistics.moments import Moments, Observations
from lightning_app.serving.experiments.analysis.statistics.power import plan
from lightning_app.serving.experiments.analysis.statistics.sample_ratio import SampleRatio, SampleRatioBuilder


def moments_of(arms: np.ndarray, rewards: np.ndarray, *, keys: np.ndarray | None = None, num_looks: int = 4,
               weights: np.ndarray | None = None, before: np.ndarray | None = None) -> Moments:  # fmt: skip
    count = len(arms)
    order = np.arange(count) if keys is None else np.lexsort((np.arange(count), keys))
    rows = Observations(
        looks=(np.arange(count) * num_looks // count)[order], arms=arms[order],
        weights=(np.ones(count) if weights is None else weights)[order], rewards=rewards[order],
        before=(np.zeros(count) if before is None else before)[order],
        keys=(np.arange(count) if keys is None else keys)[order],
    )  # fmt: skip
    moments = Moments(num_arms=int(arms.max()) + 1, num_looks=num_looks)
    moments.add(rows, keys_are_requests=keys is None)
    moments.finish()
    return moments


def test_distributions_are_those_of_scipy() -> None:
    for value in (0.01, 0.5, 3.0, 20.0):
        assert normal_cdf(-value) == pytest.approx(stats.norm.cdf(-value), rel=1e-9)
        for degrees in (1, 2, 5, 30, 500):
            assert chi_square_tail(value, degrees) == pytest.approx(stats.chi2.sf(value, degrees), abs=1e-13, rel=1e-9)
            assert student_tail(value, degrees) == pytest.approx(2 * stats.t.sf(value, degrees), rel=1e-8)
    for probability in (0.6, 0.975, 0.9995):
        assert normal_quantile(probability) == pytest.approx(stats.norm.ppf(probability))
        for degrees in (1.0, 2.5, 30.0, 1e5):
            assert student_quantile(probability, degrees) == pytest.approx(stats.t.ppf(probability, degrees), rel=1e-9)


def test_without_keys_an_effect_is_that_of_welch() -> None:
    random = np.random.default_rng(0)
    arms = (random.random(3000) < 0.3).astype(np.int64)
    rewards = random.normal(0.1 * arms, 1 + arms)
    (effect,), _ = last_effects(moments_of(arms, rewards), ["a", "b"], offset=0.0, alpha=0.05)
    welch = stats.ttest_ind(rewards[arms == 1], rewards[arms == 0], equal_var=False)
    assert effect.p_value == pytest.approx(welch.pvalue, rel=1e-8)
    assert effect.interval == pytest.approx(tuple(welch.confidence_interval()), rel=1e-8)
    assert effect.sequence[0] < effect.interval[0] < effect.interval[1] < effect.sequence[1]
    assert effect.relative == pytest.approx(effect.estimate / rewards[arms == 0].mean())


def test_standard_errors_are_robust_to_keys_at_every_look() -> None:
    """Some keys have both arms, as in a ramp."""
    import statsmodels.api as sm

    random = np.random.default_rng(1)
    keys = random.integers(0, 800, 5000)
    arms = np.where(keys % 10 == 0, random.integers(0, 2, 5000), keys % 2).astype(np.int64)
    rewards = random.standard_normal(800)[keys] + random.standard_normal(5000) + 0.2 * arms
    curve = effect_curve(moments_of(arms, rewards, keys=keys), 1, 0, alpha=0.05)
    for look in range(4):
        seen = np.arange(5000) * 4 // 5000 <= look
        fit = sm.OLS(rewards[seen], sm.add_constant(arms[seen].astype(float))).fit(
            cov_type="cluster", cov_kwds={"groups": keys[seen], "use_correction": False}
        )
        assert curve.estimate[look] == pytest.approx(fit.params[1], rel=1e-9)
        assert curve.standard_error[look] == pytest.approx(fit.bse[1], rel=0.004)  # K / (K - 1) keys


def test_cuped_is_the_regression_on_the_pre_period() -> None:
    random = np.random.default_rng(2)
    arms = random.integers(0, 2, 4000)
    before = random.standard_normal(4000)
    rewards = 2 * before + random.standard_normal(4000) + 0.1 * arms
    moments = moments_of(arms, rewards, before=before)
    (effect,), _ = last_effects(moments, ["a", "b"], offset=0.0, alpha=0.05, adjusted=True)
    design = np.stack([np.ones(4000), arms, before], axis=1)
    expected = np.linalg.lstsq(design, rewards, rcond=None)[0]
    assert effect.estimate == pytest.approx(expected[1], abs=2e-3)
    assert effect.variance_reduction == pytest.approx(0.8, abs=0.02)


def simulated_curve(random: np.random.Generator, *, lift: float = 0.0, ramp: bool = False) -> Curve:
    """Rewards of 0 and 1 whose rate doubles halfway; with a ramp, the share of the arm grows at that time."""
    count = 4000
    late = np.arange(count) >= count // 2
    shares = np.where(late, 0.5, 0.1) if ramp else np.full(count, 0.3)
    arms = (random.random(count) < shares).astype(np.int64)
    rewards = (random.random(count) < np.where(late, 0.2, 0.1) + lift * arms).astype(float)
    weights = 4 * np.where(arms == 1, 1 - shares, shares)
    return effect_curve(moments_of(arms, rewards, weights=weights, num_looks=100), 1, 0, alpha=0.05)


@pytest.mark.parametrize("ramp", [False, True])
def test_a_confidence_sequence_covers_at_all_looks_at_once(ramp: bool) -> None:
    random = np.random.default_rng(3)
    curves = [simulated_curve(random, ramp=ramp) for _ in range(200)]
    missed = [np.nanmax(np.abs(curve.estimate) - curve.radius) > 0 for curve in curves]
    peeked = [np.nanmax(np.abs(curve.estimate) - 1.96 * curve.standard_error) > 0 for curve in curves]
    assert np.mean(missed) <= 0.05
    assert np.mean(peeked) > 0.15  # what a fixed interval does when one looks again and again
    assert np.mean([curve.p_values[-1] < 0.05 for curve in curves]) <= 0.05
    found = [simulated_curve(random, lift=0.1, ramp=ramp).p_values[-1] < 0.05 for _ in range(50)]
    assert np.mean(found) > 0.9


def test_several_arms_are_judged_by_holm() -> None:
    from statsmodels.stats.multitest import multipletests

    p_values = [0.04, 0.01, 0.03, 0.5]
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


def assigned(shares: np.ndarray, told: np.ndarray, seed: int, *, count: int = 5000) -> SampleRatio:
    """Assignments with some shares, where others are journalled."""
    random = np.random.default_rng(seed)
    builder = SampleRatioBuilder(["a", "b", "c"][: len(shares)], num_looks=20)
    arms = random.choice(len(shares), count, p=shares)
    builder.add(np.arange(count) * 20 // count, arms, told[arms])
    return builder.result()


def test_a_sample_ratio_mismatch_is_found_and_a_right_ratio_is_not_called_one() -> None:
    right = np.array([0.8, 0.1, 0.1])
    results = [assigned(right, right, seed) for seed in range(200)]
    assert np.mean([result.p_value < 0.05 for result in results]) <= 0.05
    assert 0.01 < np.mean([result.fixed_p_value < 0.05 for result in results]) < 0.1
    wrong = np.array([0.76, 0.14, 0.1])
    assert all(assigned(wrong, right, seed).p_value < 0.01 for seed in range(20))
    one = results[0]
    expected = stats.chisquare(list(one.units.values()), list(one.expected.values()))
    assert (one.chi_square, one.fixed_p_value) == pytest.approx((expected.statistic, expected.pvalue))


def test_a_ratio_whose_probabilities_change_is_tested_too() -> None:
    def result(seed: int, lost: float) -> SampleRatio:
        random = np.random.default_rng(seed)
        shares = np.where(np.arange(6000) < 3000, 0.05, 0.5)
        arms = (random.random(6000) < shares).astype(np.int64)
        kept = (arms == 0) | (random.random(6000) >= lost)  # answers of an arm that are never journalled
        builder = SampleRatioBuilder(["a", "b"], num_looks=10)
        looks = np.arange(6000) * 10 // 6000
        builder.add(looks[kept], arms[kept], np.where(arms == 1, shares, 1 - shares)[kept])
        return builder.result()

    results = [result(seed, 0.0) for seed in range(200)]
    assert results[0].chi_square is None
    assert np.mean([one.p_value < 0.05 for one in results]) <= 0.05
    assert np.mean([one.fixed_p_value < 0.05 for one in results]) < 0.1
    assert all(result(seed, 0.2).p_value < 0.01 for seed in range(20))


def test_a_plan_has_the_power_that_it_says() -> None:
    import statsmodels.stats.power as power

    planned = plan(baseline=1.0, deviation=2.0, effect=0.25, alpha=0.05, power=0.9, shares=[0.8, 0.2],
                   requests_per_day=1000, within_seconds=86_400, is_rate=False)  # fmt: skip
    expected = power.NormalIndPower().solve_power(0.125, alpha=0.05, power=0.9, ratio=0.25)
    assert planned.fixed[0] == pytest.approx(expected, rel=1e-3)
    assert planned.fixed[0] == pytest.approx(4 * planned.fixed[1], abs=4)
    total, needed = sum(planned.sequential), sum(planned.fixed)
    assert 1.3 * needed < total < 2 * needed
    assert planned.expected_if_twice < needed
    random = np.random.default_rng(4)
    found = 0
    for _ in range(100):
        arms = (random.random(total) < 0.2).astype(np.int64)
        rewards = random.normal(1 + 0.25 * arms, 2.0)
        moments = moments_of(arms, rewards, weights=4 * np.where(arms == 1, 0.8, 0.2), num_looks=100)
        found += effect_curve(moments, 1, 0, alpha=0.05, tightest_at=needed).p_values[-1] < 0.05
    assert found >= 80
