"""Node features, dense or sparse."""

from typing import Literal

import torch
from torch import Tensor

SPARSE_BELOW = 0.05
"""Features with a smaller fraction of non-zeros are stored as sparse."""


Normalization = Literal["rows", "columns", "centred", "none"]
"""Rows: divided by their sum if that exceeds 1. Columns: each with mean 0 and standard deviation 1. Centred: columns
with mean 0, all divided by one number, their root mean square. The latter two are dense."""


def choose_normalization(x: Tensor) -> tuple[Normalization, str]:
    """Chooses how features are normalised, from their values.

    Counts with few non-zeros, such as the words of a text, are normalised by row: a long text is not a louder one.
    Dense features are not: of the sum of a row with hundreds of non-zeros, each has a share near 0 that differs little
    between nodes, so that a network hardly learns from it. Their columns are centred, because what all nodes share
    would drown the differences; those beyond 0 to 1 also have units of their own, and are standardised.

    Args:
        x: float32 (N, F), dense or `torch.sparse_csr`, finite.

    Returns:
        The choice, and its reason in words.
    """
    values = x.values() if x.layout == torch.sparse_csr else x
    filled = float(values.count_nonzero()) / max(x.shape[0] * x.shape[1], 1)
    if not filled:
        return "none", "they are all 0"
    low, high = values.min().item(), values.max().item()
    if filled < SPARSE_BELOW:
        if low >= 0 and bool((values == values.round()).all()):
            return "rows", f"they are counts, {_percent(filled)} of them not 0"
        return "none", f"they are sparse ({_percent(filled)} not 0), but no counts"
    if low >= 0 and high <= 1:
        return "centred", f"they are dense ({_percent(filled)} not 0), between 0 and 1"
    return "columns", f"they are dense ({_percent(filled)} not 0), from {low:.3g} to {high:.3g}"


def prepare_features(x: Tensor, *, normalize: Normalization, sparse: bool | None) -> Tensor:
    """Converts features to the form that models take.

    Args:
        x: float32 (N, F), dense or `torch.sparse_csr`.
        normalize: What to normalise.
        sparse: Whether to return `torch.sparse_csr`; None decides by the fraction of non-zeros.

    Returns:
        float32 (N, F), dense or `torch.sparse_csr`.
    """
    if normalize in ("columns", "centred"):
        x = _centred(x, one_scale=normalize == "centred")
    is_sparse = x.layout == torch.sparse_csr
    if sparse is None:
        num_nonzero = x.values().numel() if is_sparse else int(x.count_nonzero())
        sparse = num_nonzero < SPARSE_BELOW * x.shape[0] * x.shape[1]
    if sparse and not is_sparse:
        x = x.to_sparse_csr()
    if not sparse and is_sparse:
        x = x.to_dense()
    if normalize != "rows":
        return x
    if not sparse:
        return x / x.sum(dim=-1, keepdim=True).clamp(min=1.0)
    rows = _row_of_each_value(x.crow_indices())
    sums = torch.zeros(len(x)).index_add_(0, rows, x.values()).clamp(min=1.0)
    return _csr(x.crow_indices(), x.col_indices(), x.values() / sums[rows], x.shape)


def _centred(x: Tensor, *, one_scale: bool) -> Tensor:
    """Dense features (N, F) with mean 0 in every column, divided by one scale or each by its deviation."""
    dense = (x.to_dense() if x.layout == torch.sparse_csr else x).double()
    centred = dense - dense.mean(dim=0)
    deviation = centred.square().mean(dim=0).sqrt()
    constant = deviation <= 1e-9 * dense.abs().amax(dim=0)
    if one_scale and not constant.all():
        deviation = deviation[~constant].square().mean().sqrt()
    return torch.where(constant, 0.0, centred / torch.where(constant, 1.0, deviation)).float()


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share > 0.1 else f"{100 * share:.2g} %"


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
