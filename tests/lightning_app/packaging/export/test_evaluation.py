import numpy as np
import pytest
import torch

from lightning_app.packaging import TensorSpec
from lightning_app.packaging.export.batches import Evaluation
from lightning_app.packaging.export.evaluation_table import evaluation_table, mean_interval, slice_errors
from lightning_app.packaging.export.parity import AnswerComparison, ParityError, compare_metrics
from models import StepOutput

STEP = StepOutput(loss=torch.zeros(()), predictions=torch.zeros(1), targets=torch.zeros(1), weight=1)


@pytest.mark.parametrize("block", [1, 10])
def test_the_interval_of_a_mean_covers_the_truth_about_as_often_as_it_says(block: int) -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(30):
        noise = rng.exponential(size=400 // block)
        interval = mean_interval(np.repeat(noise, block), block=2 * block if block > 1 else 1, seed=seed)
        assert interval.low < interval.mean < interval.high
        hits += interval.low < 1 < interval.high
    assert hits >= 25


def test_correlated_rows_have_a_wider_interval() -> None:
    errors = np.repeat(np.random.default_rng(0).exponential(size=60), 10)
    alone, together = mean_interval(errors, block=1), mean_interval(errors, block=20)
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_too_few_rows_claim_nothing() -> None:
    assert mean_interval(np.ones(30), block=10).high == float("inf")


def test_errors_of_one_row_are_averaged_and_numbers_cut_into_thirds() -> None:
    evaluations = [
        Evaluation(STEP, np.array([1.0, 3.0]), {"size": np.array([0.0, 0.0]), "kind": np.array(["a", "a"])}),
        Evaluation(STEP, np.array([5.0, 7.0]), {"size": np.array([5.0, 9.0]), "kind": np.array(["b", "a"])}),
    ]
    table = evaluation_table([np.array([7, 7]), np.array([3, 4])], evaluations)
    assert table["row"].to_list() == [3, 4, 7]
    assert table["error"].to_list() == [5.0, 7.0, 2.0]
    assert table["slice.size"].to_list() == ["middle", "high", "low"]
    assert slice_errors(table)["kind"] == {"a": {"rows": 2, "error": 4.5}, "b": {"rows": 1, "error": 5.0}}


def test_differences_are_measured_by_column_where_columns_have_units_of_their_own() -> None:
    expected = {"price": np.array([[1e6, 1.0], [2e6, 2.0]], dtype=np.float32)}
    wrong = {"price": np.array([[1e6, 1.0], [2e6, 2.01]], dtype=np.float32)}
    named = AnswerComparison([TensorSpec("price", "float32", ("batch", 2), columns=("a", "b"))])
    named.compare(expected, expected, np.array([5, 6]))
    with pytest.raises(ParityError, match="price of row 6, in a batch of 2, is 0.005 of"):
        named.compare(wrong, expected, np.array([5, 6]))
    AnswerComparison([TensorSpec("price", "float32", ("batch", 2))]).compare(wrong, expected, np.array([5, 6]))


@pytest.mark.parametrize("answer", [[float("nan"), 1.0], [1.0]])
def test_answers_that_are_no_numbers_or_too_few_are_refused(answer: list[float]) -> None:
    comparison = AnswerComparison([TensorSpec("y", "float32", ("batch",))])
    with pytest.raises(ParityError, match="^y"):
        comparison.compare({"y": np.array(answer)}, {"y": np.array([1.0, 1.0], dtype=np.float32)}, np.arange(2))


def test_metrics_must_agree_to_four_digits() -> None:
    compare_metrics({"test/mse": 0.361234}, {"test/mse": 0.361235})
    with pytest.raises(ParityError, match=r"test/mse is 0\.3613 of the package and 0\.3612 of the checkpoint"):
        compare_metrics({"test/mse": 0.3612}, {"test/mse": 0.3613})
    with pytest.raises(ParityError, match="test/mae is nan"):
        compare_metrics({"test/mae": 1.0}, {})
