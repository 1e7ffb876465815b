"""NodeMLP: a structure-free baseline that ignores the edges."""

from itertools import pairwise

from torch import Tensor, nn
from typing_extensions import override

from models.graph.encoders.encoder import GraphEncoder
from models.graph.encoders.sparse_matrix import SparseDropout, SparseLinear, SparseMatrix, as_dense, as_features


class NodeMLP(GraphEncoder):
    """MLP on each node separately, without edges: the structure-free baseline (Errica et al., ICLR 2020).

    With sum readout and no layers, a graph is the sum of its nodes' features (their "molecular fingerprint"); with
    layers it is a deep set.

    Args:
        num_features: Features of a node, F.
        output_size: Output features per node, D; None for F without layers, else `hidden_size`.
        hidden_size: Width of the hidden layers.
        num_layers: Linear layers; 0 returns the features unchanged.
        dropout: Dropout before each layer.
    """

    takes_sparse = True

    def __init__(
        self,
        *,
        num_features: int,
        output_size: int | None = None,
        hidden_size: int = 64,
        num_layers: int = 2,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not num_layers and output_size not in (None, num_features):
            raise ValueError(
                f"model.encoder.num_layers: 0 passes the {num_features} features on, but output_size is {output_size}; "
                "give at least 1 layer or leave output_size out"
            )
        self.output_size = output_size or (hidden_size if num_layers else num_features)
        sizes = [num_features, *([*[hidden_size] * (num_layers - 1), self.output_size] if num_layers else [])]
        self.dropout = SparseDropout(dropout)
        self.layers = nn.ModuleList(SparseLinear(*pair) for pair in pairwise(sizes))

    @override
    def forward(
        self, x: Tensor | SparseMatrix, edge_index: Tensor | SparseMatrix, edge_weight: Tensor | None = None
    ) -> Tensor:
        if not self.layers:
            return as_dense(x)
        hidden = self.layers[0](self.dropout(as_features(x)))
        for layer in self.layers[1:]:
            hidden = layer(self.dropout(hidden.relu()))
        return hidden
