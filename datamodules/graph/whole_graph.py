"""One graph as one batch."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

SPARSE_BELOW = 0.05
"""Features with a smaller share of non-zeros are kept sparse. At this share both ways take as long with 16 columns."""


class WholeGraph:
    """The same graph at every step.

    Args:
        graph: The batch.
        num_steps: How many times an epoch gives it.
    """

    def __init__(self, graph: Data, *, num_steps: int) -> None:
        self.graph = graph
        self.num_steps = num_steps

    def __len__(self) -> int:
        return self.num_steps

    def __getitems__(self, indices: np.ndarray) -> Data:
        """The graph."""
        return self.graph


def prepare_features(x: Tensor, *, normalize: bool, sparse: bool | None) -> Tensor:
    """Features as the models take them.

    Args:
        x: float32 (N, F), dense or `torch.sparse_csr`.
        normalize: Divide each row by its sum, where that is more than 1.
        sparse: Keep them in `torch.sparse_csr`; None decides by the share of non-zeros.

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
    rowptr = x.crow_indices()
    rows = torch.repeat_interleave(torch.arange(len(x)), rowptr.diff())
    sums = torch.zeros(len(x)).index_add_(0, rows, x.values()).clamp(min=1.0)
    return torch.sparse_csr_tensor(rowptr, x.col_indices(), x.values() / sums[rows], x.shape, check_invariants=False)


class OnDevice:
    """Copies of whole graphs where the model is: each is copied once, not once per step."""

    def __init__(self) -> None:
        self._copies: dict[tuple[int, torch.device], Any] = {}

    def copy(self, graph: Data, device: torch.device) -> Data:
        """The graph on a device; the data module keeps the graph, so that its id stays its own."""
        if graph.edge_index.device == device:
            return graph
        return self._copies.setdefault((id(graph), device), graph.to(device))
