import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_app.evaluation.bootstrap import _student_quantile, bootstrap_ratio


def correlated_scores(seed: int, *, num_origins: int = 120, level: float = 1.0) -> np.ndarray:
    """Positive scores (N,) whose neighbours share most of their noise, as overlapping targets do."""
    noise = np.random.default_rng(seed).standard_normal(num_origins + 4)
    return level + 0.2 * np.convolve(noise, np.ones(5) / 5**0.5, mode="valid")


def test_the_interval_holds_the_true_ratio() -> None:
    held = 0
    for seed in range(100):
        model = correlated_scores(2 * seed, level=1.1)
        baseline = correlated_scores(2 * seed + 1)
        found = bootstrap_ratio(model, baseline, block=8, resamples=300, seed=seed)
        held += found.low <= 1.1 <= found.high
    assert held >= 85


@pytest.mark.parametrize("num_origins", [24, 48, 77])
def test_equal_forecasters_are_called_skilful_as_rarely_as_the_confidence_says(num_origins: int) -> None:
    def scores(seed: int) -> np.ndarray:
        noise = np.random.default_rng(seed).standard_normal(num_origins + 2)
        return np.exp(0.4 * np.convolve(noise, np.ones(3) / 3, mode="valid"))  # each overlaps two others

    claims = [
        bootstrap_ratio(scores(2 * seed), scores(2 * seed + 1), block=6, resamples=200, seed=seed).claims_skill
        for seed in range(400)
    ]
    assert np.mean(claims) <= 0.05  # 0.025 is nominal


def test_students_quantile_is_close() -> None:
    for freedom, expected in ((3, 3.182), (5, 2.571), (10, 2.228), (30, 2.042)):
        assert _student_quantile(0.975, freedom=freedom) == pytest.approx(expected, rel=0.01)


def test_longer_blocks_widen_the_interval_of_correlated_scores() -> None:
    widths = [
        np.mean(
            [
                (found := bootstrap_ratio(correlated_scores(seed), np.ones(120), block=block, resamples=500)).high
                - found.low
                for seed in range(20)
            ]
        )
        for block in (1, 3, 8)
    ]
    assert widths[0] < 0.8 * widths[1] < 0.8 * widths[2]


def test_skill_is_claimed_only_where_the_whole_interval_lies_below_one() -> None:
    model = correlated_scores(0)
    assert bootstrap_ratio(model, model + 0.3).claims_skill
    assert not bootstrap_ratio(model + 0.3, model).claims_skill
    by_chance = bootstrap_ratio(model, model[::-1] + 0.002)
    assert by_chance.ratio < 1 < by_chance.high
    assert not by_chance.claims_skill
    same = bootstrap_ratio(model, model)
    assert (same.ratio, same.low, same.high, same.claims_skill) == (1, 1, 1, False)


def test_few_origins_claim_nothing() -> None:
    found = bootstrap_ratio(np.full(11, 0.1), np.ones(11), block=3)
    assert (found.low, found.high, found.claims_skill) == (0, np.inf, False)
    assert bootstrap_ratio(np.full(12, 0.1), np.ones(12), block=3).claims_skill


@settings(max_examples=20, deadline=None)
@given(scale=st.floats(0.01, 1000), copies=st.integers(1, 4), seed=st.integers(0, 100), block=st.integers(1, 10))
def test_units_and_copies_of_a_series_change_nothing(scale: float, copies: int, seed: int, block: int) -> None:
    model, baseline = correlated_scores(seed), correlated_scores(seed + 500)
    one = bootstrap_ratio(model, baseline, block=block, resamples=50)
    tables = [np.repeat(scale * scores[:, None], copies, axis=1) for scores in (model, baseline)]
    for over_series in ("sum", "geometric_mean"):
        several = bootstrap_ratio(*tables, block=block, resamples=50, over_series=over_series)
        np.testing.assert_allclose(
            [several.ratio, several.low, several.high], [one.ratio, one.low, one.high], rtol=1e-9
        )


def test_series_weigh_alike_in_the_geometric_mean() -> None:
    baseline = np.stack([np.full(40, 1000.0), np.ones(40)], axis=1)
    model = baseline * [2.0, 0.5]
    assert bootstrap_ratio(model, baseline).ratio == pytest.approx(2, rel=0.01)
    assert bootstrap_ratio(model, baseline, over_series="geometric_mean").ratio == pytest.approx(1)


@pytest.mark.parametrize(
    ("model", "baseline", "options", "message"),
    [
        (np.ones(5), np.ones(6), {}, "shape"),
        (np.ones((5, 2, 2)), np.ones((5, 2, 2)), {}, "shape"),
        (np.array([1.0, np.nan]), np.ones(2), {}, "finite"),
        (np.ones(5), np.zeros(5), {}, "zero"),
        (np.ones(5), np.ones(5), {"block": 0}, "block"),
        (np.ones(5), np.ones(5), {"confidence": 1.0}, "confidence"),
    ],
)
def test_what_has_no_ratio_is_refused(
    model: np.ndarray, baseline: np.ndarray, options: dict[str, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        bootstrap_ratio(model, baseline, **options)
