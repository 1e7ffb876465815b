"""Linear bandit: what it learns, what it sends to workers, and what they make of it."""

import math
import timeit

import msgspec
import numpy as np
import pytest

from lightning_app.serving.config.control_channel import LinearState
from lightning_app.serving.experiments.policies.linear_choice import LinearChoice
from lightning_app.serving.experiments.policies.linear_moments import LinearMoments, no_moments
from lightning_app.serving.experiments.policies.linear_posterior import linear_state

COLUMNS = ["age", "income"]


def rewarded(num_rows: int) -> list[tuple[str, dict[str, float], float, float]]:
    """Arm a is better for the old, b for the young; income says nothing."""
    generator = np.random.default_rng(0)
    rows = []
    for number in range(num_rows):
        age, income = generator.normal(50, 10), generator.normal(1e6, 1e3)
        arm = "ab"[number % 2]
        good = generator.random() < 0.5 + (0.03 if arm == "a" else -0.03) * (age - 50)
        rows.append((arm, {"age": age, "income": income}, float(good), 1.0))
    return rows


def learned(num_rows: int, *, order: tuple[str, ...] = ("a", "b"), batch: int = 100) -> LinearMoments:
    moments, rows = no_moments(COLUMNS, order), rewarded(num_rows)
    for begin in range(0, num_rows, batch):
        moments.learn(rows[begin : begin + batch])
    return moments


def chosen(moments: LinearMoments, row: dict[str, object], floor: float = 0.05) -> dict[str, float]:
    choice = LinearChoice(linear_state(moments, floor=floor, num_draws=256))
    return dict(zip(choice.arms, choice.probabilities(row).tolist(), strict=True))


def test_the_better_arm_depends_on_the_columns():
    moments = learned(2000)
    old, young = chosen(moments, {"age": 70, "income": 1e6}), chosen(moments, {"age": 30.0, "income": 1e6})
    assert old["a"] == pytest.approx(0.95)
    assert young["a"] == pytest.approx(0.05)
    assert sum(old.values()) == pytest.approx(1)


def test_what_is_learned_hardly_depends_on_the_batches():
    whole, parts = learned(1000, batch=100), learned(1000, batch=7)
    row = {"age": 51, "income": 1e6}
    assert chosen(whole, row) == pytest.approx(chosen(parts, row), abs=0.1)


def test_moments_equal_a_regression_on_standardised_columns():
    moments = learned(500)
    means, scales = moments.standardisation()
    assert means == pytest.approx([50, 1e6], rel=0.02)
    assert scales == pytest.approx([10, 1e3], rel=0.1)
    state = linear_state(moments, floor=0, num_draws=2048)
    slopes = np.mean(state.draws["a"], axis=0)[1:] / scales
    rows = [(1, row["age"], row["income"], reward) for arm, row, reward, _ in rewarded(500) if arm == "a"]
    expected = np.linalg.lstsq(np.array(rows)[:, :3], np.array(rows)[:, 3], rcond=None)[0]
    assert slopes * scales == pytest.approx(expected[1:] * scales, abs=0.005)


def test_nothing_known_means_equal_arms_and_a_restart_changes_nothing():
    before = chosen(no_moments(COLUMNS, ["a", "b"]), {"age": 1, "income": 2})
    assert before["a"] == pytest.approx(0.5, abs=0.1)
    moments = learned(100)
    again = msgspec.json.decode(msgspec.json.encode(moments), type=LinearMoments)
    assert linear_state(again, floor=0.1, num_draws=64) == linear_state(moments, floor=0.1, num_draws=64)


def test_the_order_of_the_arms_does_not_matter():
    row = {"age": 52, "income": 1e6}
    assert chosen(learned(300, order=("b", "a")), row) == pytest.approx(chosen(learned(300), row))


def test_forgotten_moments_leave_equal_arms():
    moments = learned(2000)
    moments.fade(0.0)
    assert chosen(moments, {"age": 70, "income": 1e6})["a"] == pytest.approx(0.5, abs=0.1)


def test_a_stopped_arm_gets_nothing():
    state = linear_state(learned(100), floor=0.05, num_draws=64, stopped=frozenset("b"))
    choice = LinearChoice(state)
    assert (choice.arms, choice.probabilities({"age": 1, "income": 2}).tolist()) == (["a"], [1.0])
    with pytest.raises(ValueError, match="all arms are stopped"):
        linear_state(learned(10), floor=0.05, num_draws=64, stopped=frozenset("ab"))


@pytest.mark.parametrize("value", [None, "n/a", math.nan, math.inf, 10**400, [1, 2], {}, np.array([1, 2])])
def test_what_is_no_number_counts_as_average_and_is_counted(value):
    moments = learned(500)
    choice = LinearChoice(linear_state(moments, floor=0, num_draws=256))
    means, _ = moments.standardisation()
    expected = choice.probabilities({"age": means[0], "income": means[1]})
    assert choice.probabilities({"age": means[0], "income": value}) == pytest.approx(expected)
    assert choice.rows.missing == {"age": 0, "income": 1}
    before = moments.arms["a"].products
    moments.learn([("a", {"age": means[0], "income": value}, 1.0, 1.0)])
    assert moments.missing == {"age": 0, "income": 1}
    assert np.isfinite(moments.arms["a"].products).all()
    assert np.array(moments.arms["a"].products)[0, 0] == np.array(before)[0, 0] + 1


def test_an_outlier_is_clipped_and_counted():
    moments = learned(500)
    moments.learn([("a", {"age": 1e300, "income": 1e6}, 1.0, 1.0)])
    assert moments.clipped == {"age": 1, "income": 0}
    choice = LinearChoice(linear_state(moments, floor=0, num_draws=256))
    assert choice.probabilities({"age": -1e308, "income": 1e6})[1] == pytest.approx(1)
    assert choice.rows.clipped == {"age": 1, "income": 0}


def test_a_constant_column_and_an_outlier_among_the_first_rows_do_no_harm():
    moments = no_moments(["constant", "wild"], ["a", "b"])
    rows = [("ab"[n % 2], {"constant": 7, "wild": 1e300 if n == 3 else n % 5}, float(n % 2), 1.0) for n in range(200)]
    for row in rows:
        moments.learn([row])
    found = chosen(moments, {"constant": 7, "wild": 2}, floor=0)
    assert found["b"] > 0.95


def test_a_worker_chooses_in_less_than_20_microseconds():
    generator = np.random.default_rng(0)
    columns = [f"column-{number}" for number in range(8)]
    draws = {arm: generator.normal(size=(256, 9)).tolist() for arm in "abc"}
    state = LinearState(columns=columns, means=[0.0] * 8, scales=[1.0] * 8, floor=0.05, draws=draws)
    choice, row = LinearChoice(state), dict(zip(columns, generator.normal(size=8).tolist(), strict=True))
    best = min(timeit.repeat(lambda: choice.probabilities(row), number=100, repeat=50)) / 100
    assert best < 20e-6 * 2  # twice, for a machine that is busy


@pytest.mark.parametrize("value", [np.float32(70), np.int64(70), np.array([70.0]), [70], True * 70])
def test_numbers_of_tables_and_tensors_are_numbers(value):
    choice = LinearChoice(linear_state(learned(500), floor=0, num_draws=256))
    expected = choice.probabilities({"age": 70.0, "income": 1e6})
    assert choice.probabilities({"age": value, "income": 1e6}).tolist() == expected.tolist()
    assert choice.rows.take_counts() == []


def test_what_was_replaced_is_counted_once():
    choice = LinearChoice(linear_state(learned(500), floor=0, num_draws=16))
    choice.probabilities({"age": 1e9})
    assert choice.rows.take_counts() == [("income", "missing", 1), ("age", "clipped", 1)]
    assert choice.rows.take_counts() == []
