"""GAT: graph attention network."""

import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import GATConv
from typing_extensions import override

from models.graph.encoders.encoder import GraphEncoder, check_num_layers, refuse_weights
from models.graph.encoders.sparse_matrix import SparseDropout, SparseLinear, SparseMatrix, as_features


class GAT(GraphEncoder):
    """Graph attention network (Velickovic et al., ICLR 2018).

    Args:
        num_features: Features of a node, F.
        output_size: Output features per node, D; the last layer's heads are averaged.
        hidden_size: Width of each head in the hidden layers.
        num_layers: Attention layers.
        num_heads: Heads of all layers but the last.
        num_output_heads: Heads of the last layer.
        dropout: Dropout before each layer, and of the attention weights.
    """

    takes_sparse = True

    def __init__(
        self,
        *,
        num_features: int,
        output_size: int,
        hidden_size: int = 8,
        num_layers: int = 2,
        num_heads: int = 8,
        num_output_heads: int = 1,
        dropout: float = 0.6,
    ) -> None:
        super().__init__()
        check_num_layers(num_layers)
        self.output_size = output_size
        self.dropout = SparseDropout(dropout)
        inner = [(hidden_size, num_heads, True)] * (num_layers - 1)
        self.layers = nn.ModuleList()
        width = num_features
        for size, heads, concat in [*inner, (output_size, num_output_heads, False)]:
            layer = GATConv(width, size, heads, concat=concat, dropout=dropout)
            if not self.layers:
                # PyG's layer takes dense features only, so its first linear map is applied separately.
                layer.lin = nn.Identity()
                self.linear = SparseLinear(num_features, size * heads, bias=False)
            self.layers.append(layer)
            width = size * heads

    @override
    def forward(
        self, x: Tensor | SparseMatrix, edge_index: Tensor | SparseMatrix, edge_weight: Tensor | None = None
    ) -> Tensor:
        refuse_weights(self, edge_weight)
        hidden = self.layers[0](self.linear(self.dropout(as_features(x))), edge_index)
        for layer in self.layers[1:]:
            hidden = layer(self.dropout(F.elu(hidden)), edge_index)
        return hidden
