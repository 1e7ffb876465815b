"""Statistics of drift beside SciPy, and p-values beside resampling."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency, false_discovery_control, hypergeom, ks_2samp, wasserstein_distance

from lightning_app.drift.reference import build_reference
from lightning_app.drift.report import drift_report
from lightning_app.drift.result import DriftSettings
from lightning_app.drift.statistics.autocorrelation import fit_autocorrelation
from lightning_app.drift.statistics.distances import Tails, jensen_shannon, kolmogorov_smirnov, psi, wasserstein
from lightning_app.drift.statistics.distribution_test import distribution_test
from lightning_app.drift.statistics.multiple_testing import benjamini_hochberg, families, holm
from lightning_app.drift.statistics.share_test import share_test

counts = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=2, max_size=12).filter(
    lambda pairs: all(sum(column) > 0 for column in zip(*pairs, strict=True))
)
examples = settings(max_examples=60, deadline=None)


def two(pairs):
    return np.array(pairs, np.float64).T


@given(counts)
@examples
def test_jensen_shannon_and_kolmogorov_smirnov_are_those_of_scipy(pairs):
    first, second = two(pairs)
    assert jensen_shannon(first, second) == pytest.approx(jensenshannon(first, second, base=2), abs=1e-7)
    values = [np.repeat(np.arange(len(pairs)), one.astype(int)) for one in (first, second)]
    assert kolmogorov_smirnov(first, second) == pytest.approx(ks_2samp(*values).statistic)


@given(counts, st.randoms())
@examples
def test_wasserstein_is_that_of_scipy_for_values_spread_evenly_in_their_bins(pairs, random):
    first, second = (np.concatenate(([0.0], one, [0.0])) for one in two(pairs))
    edges = np.cumsum([random.uniform(0.1, 3) for _ in range(len(pairs) + 1)])
    inside = Tails(0.0, 0.0)
    found = wasserstein(first, second, edges, reference_tails=inside, current_tails=inside)
    points = (edges[:-1, None] + np.diff(edges)[:, None] * (np.arange(400) + 0.5) / 400).ravel()
    weights = [np.repeat(one[1:-1], 400) for one in (first, second)]
    assert found == pytest.approx(wasserstein_distance(points, points, *weights), rel=0.01, abs=0.01)


def test_wasserstein_is_exact_for_a_window_beyond_the_range():
    reference = build_reference(pl.DataFrame({"x": np.linspace(0, 1, 1000)}), roles={"x": "input"})
    result = drift_report(reference, pl.DataFrame({"x": np.linspace(100, 101, 1000)}), settings=DriftSettings())
    assert result.columns[0].wasserstein * result.columns[0].sd_reference == pytest.approx(100, rel=1e-3)


@given(counts)
@examples
def test_distances_are_symmetric_and_zero_for_equal_shares(pairs):
    first, second = two(pairs)
    for distance in (psi, jensen_shannon, kolmogorov_smirnov):
        assert distance(first, second) >= 0
        assert distance(first, second) == pytest.approx(distance(second, first))
        assert distance(first, first) == pytest.approx(0, abs=1e-7)


@given(st.lists(st.tuples(st.integers(40, 80), st.integers(40, 80)), min_size=2, max_size=8))
@examples
def test_the_test_of_categories_is_the_chi_square_test(pairs):
    first, second = two(pairs)
    found = distribution_test(first, second, ordered=False)
    together = first.sum() + second.sum()
    oracle = chi2_contingency(np.stack([first, second]), correction=False)
    assert found.statistic == pytest.approx(oracle.statistic * (together - 1) / together, abs=1e-9)
    assert found.degrees == oracle.dof


@given(st.integers(0, 30), st.integers(30, 400), st.integers(0, 30), st.integers(30, 400))
@examples
def test_shares_have_the_mid_p_values_of_fisher(reference, rows_reference, current, rows):
    p_value, least = share_test(reference, rows_reference, current, rows)
    if reference + current in {0, rows + rows_reference}:
        assert (p_value, least) == (1, 1)
        return
    oracle = hypergeom(rows + rows_reference, reference + current, rows)
    half = oracle.pmf(current) / 2
    expected = min(1, 2 * min(oracle.cdf(current) - half, oracle.sf(current) + half))
    assert p_value == pytest.approx(expected, rel=1e-6, abs=1e-12)
    assert least <= p_value + 1e-12
    more = share_test(reference, rows_reference, current, rows, more_only=True)[0]
    assert more == pytest.approx(oracle.sf(current) + half, rel=1e-6, abs=1e-12)


def test_shares_of_many_rows_have_a_closed_form():
    few = share_test(1000, 100_000, 1090, 100_000)[0]
    many = share_test(10_000, 1_000_000, 10_280, 1_000_000)[0]
    assert few == pytest.approx(many, rel=0.1)
    assert share_test(5, 100, 100, 100)[0] < 1e-10


def test_shares_of_dependent_rows_that_nearly_all_have_the_property_are_no_finding():
    effect = 3.3
    assert share_test(999 / effect, 1000 / effect, 101 / effect, 101 / effect) == (1.0, 1.0)


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize(("rows_reference", "rows"), [(200, 60), (2000, 60)])
def test_p_values_of_small_samples_are_those_of_resampling(ordered, rows_reference, rows):
    random = np.random.default_rng(1)
    shares = np.full(20, 0.05) if ordered else 1 / np.arange(1, 21) / np.sum(1 / np.arange(1, 21))
    drawn = [
        distribution_test(
            random.multinomial(rows_reference, shares).astype(float), random.multinomial(rows, shares).astype(float),
            ordered=ordered,
        ).p_value
        for _ in range(1500)
    ]  # fmt: skip
    for level in (0.3, 0.1, 0.03):
        assert np.mean(np.array(drawn) <= level) == pytest.approx(level, abs=0.03)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
@examples
def test_benjamini_hochberg_is_that_of_scipy(p_values):
    assert benjamini_hochberg(p_values) == pytest.approx(list(false_discovery_control(p_values)))
    assert all(
        strict >= found - 1e-12 for strict, found in zip(holm(p_values), benjamini_hochberg(p_values), strict=True)
    )


def test_holm():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_families_of_tests_are_corrected_for_each_other():
    assert families([0.01, 0.5], []) == [[0.01, 0.5], []]
    assert families([0.01, 0.5], [0.9]) == [pytest.approx([0.02, 1.0]), pytest.approx([0.9])]
    assert families([], []) == [[], []]


@pytest.mark.parametrize("autocorrelation", [0.0, 0.5, 0.9])
def test_the_design_effect_of_an_autoregression(autocorrelation):
    noise = np.random.default_rng(0).normal(size=50_000)
    found = fit_autocorrelation(lfilter([1.0], [1.0, -autocorrelation], noise), num_blocks=32)
    expected = (1 + autocorrelation) / (1 - autocorrelation)
    assert found.design_effect(100_000) == pytest.approx(expected, rel=0.15)
    assert found.design_effect(1) == 1
    assert found.dependent == (autocorrelation > 0)


def test_levels_that_change_between_blocks_are_no_noise():
    random = np.random.default_rng(0)
    series = random.normal(size=6400) + np.repeat(random.normal(size=32), 200)
    assert fit_autocorrelation(series, num_blocks=32).design_effect(200) > 60


@pytest.mark.slow
@pytest.mark.parametrize(("autocorrelation", "rows"), [(0.0, 300), (0.9, 2000)])
def test_undrifted_windows_are_called_drifted_as_often_as_stated(autocorrelation, rows):
    alarms = []
    for seed in range(200):
        random = np.random.default_rng(seed)

        def table(count, random=random):
            noise = random.normal(size=(count, 8))
            noise[1:] *= np.sqrt(1 - autocorrelation**2)
            series = lfilter([1.0], [1.0, -autocorrelation], noise, axis=0)
            return pl.DataFrame({f"x{place}": column for place, column in enumerate(series.T)})

        before = table(10_000)
        reference = build_reference(before, roles=dict.fromkeys(before.columns, "input"))
        alarms.append(drift_report(reference, table(rows), settings=DriftSettings()).drifted)
    assert 0.01 <= np.mean(alarms) <= 0.1
