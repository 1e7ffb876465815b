"""APPNP: personalised propagation of neural predictions."""

import torch
from torch import Tensor
from typing_extensions import override

from models.graph.encoders.adjacency import normalized_adjacency
from models.graph.encoders.encoder import ConvolutionalEncoder
from models.graph.encoders.sparse_matrix import SparseDropout, SparseLinear, SparseMatrix, as_features


class APPNP(ConvolutionalEncoder):
    """An MLP per node whose outputs are propagated by personalised PageRank (Gasteiger et al., ICLR 2019).

    Args:
        num_features: Features of a node, F.
        output_size: Output features per node, D.
        hidden_size: Width of the MLP.
        num_steps: Propagation steps.
        teleport: Teleport probability: weight of the MLP's output at every step.
        dropout: Dropout before both layers of the MLP.
    """

    def __init__(
        self,
        *,
        num_features: int,
        output_size: int,
        hidden_size: int = 64,
        num_steps: int = 10,
        teleport: float = 0.1,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.output_size = output_size
        self.num_steps = num_steps
        self.teleport = teleport
        self.dropout = SparseDropout(dropout)
        self.hidden = SparseLinear(num_features, hidden_size)
        self.output = SparseLinear(hidden_size, output_size)

    @override
    def forward(
        self, x: Tensor | SparseMatrix, edge_index: Tensor | SparseMatrix, edge_weight: Tensor | None = None
    ) -> Tensor:
        adjacency = normalized_adjacency(edge_index, edge_weight, x.shape[0])
        predictions = self.output(self.dropout(self.hidden(self.dropout(as_features(x))).relu()))
        travelled = predictions
        for _ in range(self.num_steps):
            travelled = torch.lerp(adjacency @ travelled, predictions, self.teleport)
        return travelled
