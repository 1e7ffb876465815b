"""GCNII: deep graph convolutions with initial residual and identity mapping."""

import math

import torch
from torch import Tensor, nn
from typing_extensions import override

from models.graph.encoders.adjacency import Adjacency, normalized_adjacency
from models.graph.encoders.encoder import ConvolutionalEncoder, check_num_layers
from models.graph.encoders.sparse_matrix import SparseDropout, SparseLinear, SparseMatrix, as_features


class GCNIILayer(nn.Module):
    """One layer of `GCNII`.

    Args:
        hidden_size: Width, D.
        initial_share: Weight of the first layer's output in every layer, alpha.
        mapping_share: Weight of the learned mapping against the identity, beta.
    """

    def __init__(self, hidden_size: int, *, initial_share: float, mapping_share: float) -> None:
        super().__init__()
        self.initial_share = initial_share
        self.mapping_share = mapping_share
        bound = hidden_size**-0.5  # the authors' initialisation, not Glorot
        self.weight = nn.Parameter(torch.empty(hidden_size, hidden_size).uniform_(-bound, bound))

    def forward(self, hidden: Tensor, initial: Tensor, adjacency: Adjacency) -> Tensor:
        """(N, D) -> (N, D)."""
        support = torch.lerp(adjacency @ hidden, initial.to(hidden.dtype), self.initial_share)
        return torch.addmm(support, support, self.weight, beta=1 - self.mapping_share, alpha=self.mapping_share)


class GCNII(ConvolutionalEncoder):
    """GCNII (Chen et al., ICML 2020): dozens of layers without oversmoothing.

    Args:
        num_features: Features of a node, F.
        output_size: Output features per node, D.
        hidden_size: Width of the layers.
        num_layers: Graph convolutions.
        initial_share: Weight of the first layer's output in every layer, the paper's alpha.
        mapping_decay: The paper's lambda: beta of layer l is log(lambda / l + 1).
        dropout: Dropout before each layer.
    """

    def __init__(
        self,
        *,
        num_features: int,
        output_size: int,
        hidden_size: int = 64,
        num_layers: int = 64,
        initial_share: float = 0.1,
        mapping_decay: float = 0.5,
        dropout: float = 0.6,
    ) -> None:
        super().__init__()
        check_num_layers(num_layers)
        self.output_size = output_size
        self.dropout = SparseDropout(dropout)
        self.input = SparseLinear(num_features, hidden_size)
        self.layers = nn.ModuleList(
            GCNIILayer(hidden_size, initial_share=initial_share, mapping_share=math.log(mapping_decay / depth + 1))
            for depth in range(1, num_layers + 1)
        )
        self.output = SparseLinear(hidden_size, output_size)

    @override
    def forward(
        self, x: Tensor | SparseMatrix, edge_index: Tensor | SparseMatrix, edge_weight: Tensor | None = None
    ) -> Tensor:
        adjacency = normalized_adjacency(edge_index, edge_weight, x.shape[0])
        hidden = initial = self.input(self.dropout(as_features(x))).relu()
        for layer in self.layers:
            hidden = layer(self.dropout(hidden), initial, adjacency).relu()
        return self.output(self.dropout(hidden))
