"""Embeddings of numbers: equal to the reference implementation, right at ties, missing and unseen numbers."""

import pytest
import torch
from torch import Tensor

from models.tabular import LinearEmbeddings, NumberEmbeddings, PeriodicEmbeddings, PiecewiseLinearEmbeddings

LEVELS = 721
EMBEDDINGS = [LinearEmbeddings, PeriodicEmbeddings, PiecewiseLinearEmbeddings]


def rows(count: int = 500, columns: int = 3) -> Tensor:
    return torch.randn(count, columns, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 10, 0.01])


def quantiles(numbers: Tensor) -> Tensor:
    return torch.quantile(numbers, torch.linspace(0, 1, LEVELS), dim=0).T


def test_piecewise_linear_embeddings_are_those_of_the_reference_implementation() -> None:
    rtdl_num_embeddings = pytest.importorskip(
        "rtdl_num_embeddings", reason="the reference implementation is not installed"
    )

    numbers = rows()
    bins = rtdl_num_embeddings.compute_bins(numbers, n_bins=24)
    theirs = rtdl_num_embeddings.PiecewiseLinearEmbeddings(bins, 5, activation=False, version="B")
    ours = PiecewiseLinearEmbeddings(num_numbers=3, embedding_size=5, num_bins=24)
    ours.set_quantiles(quantiles(numbers))
    with torch.no_grad():
        torch.nn.init.normal_(theirs.linear.weight)
        ours.bins.weight.copy_(theirs.linear.weight)
        ours.linear.weight.copy_(theirs.linear0.weight)
        ours.linear.bias.copy_(theirs.linear0.bias)
    asked = torch.cat([numbers[:50], numbers[:5] * 4])  # some beyond the range of the training rows
    torch.testing.assert_close(ours.encode(asked), theirs.impl(asked), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours(asked, torch.zeros_like(asked)), theirs(asked), atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("shared", [True, False])
def test_periodic_embeddings_are_those_of_the_reference_implementation(shared: bool) -> None:
    rtdl_num_embeddings = pytest.importorskip(
        "rtdl_num_embeddings", reason="the reference implementation is not installed"
    )

    theirs = rtdl_num_embeddings.PeriodicEmbeddings(3, 5, n_frequencies=7, lite=shared)
    ours = PeriodicEmbeddings(num_numbers=3, embedding_size=5, num_frequencies=7, shared=shared)
    with torch.no_grad():
        ours.frequencies.copy_(theirs.periodic.weight)
        ours.linear.weight.copy_(theirs.linear.weight)
        assert ours.linear.bias is not None
        ours.linear.bias.copy_(theirs.linear.bias)
    numbers = rows(20)
    torch.testing.assert_close(ours(numbers, torch.zeros_like(numbers)), theirs(numbers))


def test_an_encoding_counts_the_bins_below_a_number() -> None:
    embeddings = PiecewiseLinearEmbeddings(num_numbers=1, num_bins=4)
    embeddings.set_quantiles(torch.tensor([[0.0, 1.0, 2.0, 4.0, 8.0]]))
    encoded = embeddings.encode(torch.tensor([[3.0], [-1.0], [16.0]]))[:, 0]
    assert encoded.tolist() == [[1, 1, 0.5, 0], [-1, 0, 0, 0], [1, 1, 1, 3]]


def test_ties_leave_fewer_bins_and_a_constant_column_none() -> None:
    embeddings = PiecewiseLinearEmbeddings(num_numbers=2, num_bins=4)
    embeddings.set_quantiles(torch.tensor([[0.0, 0.0, 0.0, 1.0, 3.0], [7.0, 7.0, 7.0, 7.0, 7.0]]))
    encoded = embeddings.encode(torch.tensor([[2.0, 9.0]]))[0]
    assert encoded.tolist() == [[1, 0.5, 0, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("kind", EMBEDDINGS)
def test_a_missing_number_has_a_vector_of_its_own_that_is_learned(kind: type[NumberEmbeddings]) -> None:
    embeddings = kind(num_numbers=2, embedding_size=4)  # type: ignore[call-arg]
    missing = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    vectors = embeddings(torch.zeros(2, 2), missing)
    assert torch.equal(vectors[0, 0], embeddings.missing[0])
    assert torch.equal(vectors[0, 1], vectors[1, 1])
    vectors.square().sum().backward()
    (embeddings(torch.zeros(2, 2), missing)[0, 0] - 1).square().sum().backward()
    assert embeddings.missing.grad is not None
    assert embeddings.missing.grad[0].abs().sum() > 0
    assert embeddings.missing.grad[1].abs().sum() == 0
