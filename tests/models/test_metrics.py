import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.metrics import WeightedMean


@given(st.lists(st.lists(st.floats(-100, 100), min_size=1, max_size=8), min_size=1, max_size=6))
def test_means_of_batches_weigh_as_many_samples_as_they_hold(batches: list[list[float]]) -> None:
    metric = WeightedMean()
    for batch in batches:
        metric.update(torch.tensor(batch).mean(), len(batch))
    everything = torch.tensor([value for batch in batches for value in batch], dtype=torch.float64)
    assert float(metric.compute()) == pytest.approx(float(everything.mean()), rel=1e-4, abs=1e-3)


def test_an_empty_batch_says_nothing() -> None:
    metric = WeightedMean()
    metric.update(torch.tensor(3.0), 2)
    metric.update(torch.tensor(float("nan")), 0)
    assert metric.compute() == 3


def test_a_nan_loss_is_not_hidden() -> None:
    metric = WeightedMean()
    metric.update(torch.tensor(1.0), 2)
    metric.update(torch.tensor(float("nan")), 2)
    assert metric.compute().isnan()
