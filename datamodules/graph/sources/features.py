"""Node features, dense or sparse."""

import torch
from torch import Tensor

SPARSE_BELOW = 0.05
"""Features with a smaller fraction of non-zeros are stored as sparse."""


def prepare_features(x: Tensor, *, normalize: bool, sparse: bool | None) -> Tensor:
    """Converts features to the form that models take.

    Args:
        x: float32 (N, F), dense or `torch.sparse_csr`.
        normalize: Divide each row by its sum if that exceeds 1.
        sparse: Whether to return `torch.sparse_csr`; None decides by the fraction of non-zeros.

    Returns:
        float32 (N, F), dense or `torch.sparse_csr`.
    """
    is_sparse = x.layout == torch.sparse_csr
    if sparse is None:
        num_nonzero = x.values().numel() if is_sparse else int(x.count_nonzero())
        sparse = num_nonzero < SPARSE_BELOW * x.shape[0] * x.shape[1]
    if sparse and not is_sparse:
        x = x.to_sparse_csr()
    if not sparse and is_sparse:
        x = x.to_dense()
    if not normalize:
        return x
    if not sparse:
        return x / x.sum(dim=-1, keepdim=True).clamp(min=1.0)
    rows = _row_of_each_value(x.crow_indices())
    sums = torch.zeros(len(x)).index_add_(0, rows, x.values()).clamp(min=1.0)
    return _csr(x.crow_indices(), x.col_indices(), x.values() / sums[rows], x.shape)


def joined_features(x: Tensor, more: Tensor) -> Tensor:
    """Puts features side by side.

    Args:
        x: float32 (N, F), dense or `torch.sparse_csr`.
        more: float32 (N, G), dense or `torch.sparse_csr`.

    Returns:
        float32 (N, F + G), `torch.sparse_csr` if one of them is.
    """
    if not x.shape[1]:
        return more
    if x.layout != torch.sparse_csr and more.layout != torch.sparse_csr:
        return torch.cat([x, more], dim=1)
    return torch.cat([x.to_sparse_coo(), more.to_sparse_coo()], dim=1).coalesce().to_sparse_csr()


def feature_rows(x: Tensor, nodes: Tensor) -> Tensor:
    """Selects rows of dense or sparse features.

    Args:
        x: (N, F), dense or `torch.sparse_csr`.
        nodes: int64 (S,).

    Returns:
        (S, F), in the layout of `x`.
    """
    if x.layout != torch.sparse_csr:
        return x[nodes]
    rowptr = x.crow_indices()
    sizes = rowptr.diff()[nodes]
    new_rowptr = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
    offset = torch.repeat_interleave(rowptr[nodes] - new_rowptr[:-1], sizes)
    positions = offset + torch.arange(len(offset))
    return _csr(new_rowptr, x.col_indices()[positions], x.values()[positions], torch.Size([len(nodes), x.shape[1]]))


def _row_of_each_value(rowptr: Tensor) -> Tensor:
    return torch.repeat_interleave(torch.arange(len(rowptr) - 1), rowptr.diff())


def _csr(rowptr: Tensor, columns: Tensor, values: Tensor, shape: torch.Size) -> Tensor:
    return torch.sparse_csr_tensor(rowptr, columns, values, shape, check_invariants=False)
