"""ClassicGNN: message passing with normalisation, dropout, residual connections and jumping knowledge."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from typing_extensions import override

from models.graph.encoders.adjacency import Adjacency, normalized_adjacency, normalized_matrix
from models.graph.encoders.encoder import GraphEncoder, check_num_layers, refuse_weights
from models.graph.encoders.gcn import GCNLayer
from models.graph.encoders.sparse_matrix import SparseLinear, SparseMatrix, as_dense, as_features
from models.layers.dropout import Dropout

LayerFactory = Callable[[int, int], nn.Module]
"""(input size, output size) -> layer, e.g. `torch_geometric.nn.SAGEConv`."""


class ClassicGNN(GraphEncoder):
    """Stacked message passing as in "Classic GNNs are strong baselines" (Luo et al., NeurIPS 2024).

    Each layer is followed by its residual, a normalisation, ReLU and dropout; a linear layer computes the output.

    Args:
        num_features: Features of a node, F.
        output_size: Output features per node, D.
        layer: Factory of message-passing layers; None for graph convolutions.
        norm: Factory of normalisations, width -> module, e.g. `torch.nn.LayerNorm`; None for none.
        hidden_size: Width of the layers.
        num_layers: Layers of message passing.
        dropout: Dropout after each layer.
        residual: Add a linear map of a layer's input to its output.
        jumping: Input of the output layer: the last layer, the sum of all, or their element-wise maximum.
    """

    def __init__(
        self,
        *,
        num_features: int,
        output_size: int,
        layer: LayerFactory | None = None,
        norm: Callable[[int], nn.Module] | None = None,
        hidden_size: int = 256,
        num_layers: int = 3,
        dropout: float = 0.5,
        residual: bool = False,
        jumping: Literal["last", "sum", "max"] = "last",
    ) -> None:
        super().__init__()
        check_num_layers(num_layers)
        widths = [num_features, *[hidden_size] * (num_layers - 1)]
        make = layer or GCNLayer
        self.output_size = output_size
        self.jumping = jumping
        self.layers = nn.ModuleList(make(width, hidden_size) for width in widths)
        self.residuals = nn.ModuleList(SparseLinear(width, hidden_size) for width in widths if residual)
        self.norms = nn.ModuleList(norm(hidden_size) for _ in widths if norm is not None)
        self.dropout = Dropout(dropout)
        self.output = nn.Linear(hidden_size, output_size)
        self.convolutional = all(isinstance(module, GCNLayer) for module in self.layers)
        self.takes_sparse = self.convolutional

    @override
    def prepare(self, edge_index: Tensor, edge_weight: Tensor | None, num_nodes: int) -> Tensor | SparseMatrix:
        if self.convolutional:
            return normalized_matrix(edge_index, edge_weight, num_nodes)
        return super().prepare(edge_index, edge_weight, num_nodes)

    @override
    def forward(
        self, x: Tensor | SparseMatrix, edge_index: Tensor | SparseMatrix, edge_weight: Tensor | None = None
    ) -> Tensor:
        hidden, edges = self._inputs(x, edge_index, edge_weight)
        outputs = []
        for index, layer in enumerate(self.layers):
            following = layer(hidden, edges)
            if self.residuals:
                following = following + self.residuals[index](hidden)
            if self.norms:
                following = self.norms[index](following)
            hidden = self.dropout(following.relu())
            outputs.append(hidden)
        return self.output(self._jump(outputs))

    def _inputs(
        self, x: Tensor | SparseMatrix, edge_index: Tensor | SparseMatrix, edge_weight: Tensor | None
    ) -> tuple[Tensor | SparseMatrix, Tensor | Adjacency]:
        if self.convolutional:
            return as_features(x), normalized_adjacency(edge_index, edge_weight, x.shape[0])
        refuse_weights(self, edge_weight)
        return as_dense(x), edge_index

    def _jump(self, outputs: list[Tensor]) -> Tensor:
        if self.jumping == "last":
            return outputs[-1]
        stacked = torch.stack(outputs)
        return stacked.sum(0) if self.jumping == "sum" else stacked.amax(0)
