import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.graph.encoders.sparse_matrix import SparseDropout, SparseLinear, SparseMatrix


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), rows=st.integers(1, 12), columns=st.integers(1, 12), width=st.integers(1, 5))
def test_product_and_gradient_equal_the_dense_ones(seed: int, rows: int, columns: int, width: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    dense = torch.randn(rows, columns, generator=generator).relu()
    first = torch.randn(columns, width, generator=generator, requires_grad=True)
    second = first.detach().clone().requires_grad_()
    weight = torch.randn(rows, width, generator=generator)
    (SparseMatrix.from_csr(dense.to_sparse_csr()) @ first).mul(weight).sum().backward()
    (dense @ second).mul(weight).sum().backward()
    torch.testing.assert_close(first.grad, second.grad)


def test_repeated_edges_add_up() -> None:
    edges = torch.tensor([[0, 0, 1], [1, 1, 0]])
    matrix = SparseMatrix.from_edges(edges, torch.tensor([1.0, 2.0, 4.0]), 2)
    torch.testing.assert_close(matrix @ torch.eye(2), torch.tensor([[0.0, 4.0], [3.0, 0.0]]))


def test_dropout_touches_non_zeros_alone_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    dense = (torch.rand(300, 300) < 0.2) * torch.rand(300, 300)
    dropped = SparseMatrix.from_csr(dense.to_sparse_csr()).dropout(0.3)
    values = dropped.matrix.to_dense()
    assert not values[dense == 0].any()
    share = (values[dense > 0] == 0).float().mean()
    assert abs(share - 0.3) < 0.02
    torch.testing.assert_close(values.sum(), dense.sum(), rtol=0.02, atol=0)
    torch.testing.assert_close(dropped.transposed.to_dense(), values.t())


def test_dropout_of_sparse_features_is_off_in_evaluation() -> None:
    matrix = SparseMatrix.from_csr(torch.eye(3).to_sparse_csr())
    assert SparseDropout(0.9).eval()(matrix) is matrix


def test_linear_layer_of_sparse_features_adds_its_bias() -> None:
    torch.manual_seed(0)
    layer = SparseLinear(4, 3)
    layer.bias.data.normal_()
    x = torch.randn(5, 4).relu()
    torch.testing.assert_close(layer(SparseMatrix.from_csr(x.to_sparse_csr())), layer(x))
