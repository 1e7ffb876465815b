"""GCN: graph convolutional network."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from typing_extensions import override

from models.graph.encoders.adjacency import Adjacency, normalized_adjacency
from models.graph.encoders.encoder import ConvolutionalEncoder, check_num_layers
from models.graph.encoders.sparse_matrix import SparseDropout, SparseLinear, SparseMatrix, as_features


class GCNLayer(nn.Module):
    """A linear layer, averaged over the neighbours by the normalised adjacency.

    Args:
        in_features: Input features per node.
        out_features: Output features per node.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.linear = SparseLinear(in_features, out_features, bias=False)
        self.bias = nn.Parameter(torch.zeros(out_features))

    def forward(self, x: Tensor | SparseMatrix, adjacency: Adjacency) -> Tensor:
        """(N, in_features) -> (N, out_features)."""
        return adjacency @ self.linear(x) + self.bias


class GCN(ConvolutionalEncoder):
    """Graph convolutional network (Kipf & Welling, ICLR 2017).

    Args:
        num_features: Features of a node, F.
        output_size: Output features per node, D.
        hidden_size: Width of the hidden layers.
        num_layers: Graph convolutions.
        dropout: Dropout before each convolution.
    """

    def __init__(
        self, *, num_features: int, output_size: int, hidden_size: int = 64, num_layers: int = 2, dropout: float = 0.5
    ) -> None:
        super().__init__()
        check_num_layers(num_layers)
        sizes = [num_features, *[hidden_size] * (num_layers - 1), output_size]
        self.output_size = output_size
        self.dropout = SparseDropout(dropout)
        self.layers = nn.ModuleList(GCNLayer(*pair) for pair in pairwise(sizes))

    @override
    def forward(
        self, x: Tensor | SparseMatrix, edge_index: Tensor | SparseMatrix, edge_weight: Tensor | None = None
    ) -> Tensor:
        adjacency = normalized_adjacency(edge_index, edge_weight, x.shape[0])
        hidden = self.layers[0](self.dropout(as_features(x)), adjacency)
        for layer in self.layers[1:]:
            hidden = layer(self.dropout(hidden.relu()), adjacency)
        return hidden
