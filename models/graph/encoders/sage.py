"""GraphSAGE."""

from itertools import pairwise
from typing import Literal

from torch import Tensor, nn
from torch_geometric.nn import SAGEConv
from typing_extensions import override

from models.graph.encoders.encoder import GraphEncoder, check_num_layers, refuse_weights
from models.graph.encoders.sparse_matrix import SparseMatrix, as_dense


class GraphSAGE(GraphEncoder):
    """GraphSAGE (Hamilton et al., NeurIPS 2017): combines a node's vector with the mean or maximum of its neighbours'.

    Inductive: it depends only on the sampled neighbourhood and has no weights per node, so it also encodes new nodes.

    Args:
        num_features: Features of a node, F.
        output_size: Output features per node, D.
        hidden_size: Width of the hidden layers.
        num_layers: Aggregations over neighbours.
        dropout: Dropout before each layer but the first.
        aggregation: Aggregation of the neighbours.
    """

    def __init__(
        self,
        *,
        num_features: int,
        output_size: int,
        hidden_size: int = 64,
        num_layers: int = 2,
        dropout: float = 0.5,
        aggregation: Literal["mean", "max"] = "mean",
    ) -> None:
        super().__init__()
        check_num_layers(num_layers)
        sizes = [num_features, *[hidden_size] * (num_layers - 1), output_size]
        self.output_size = output_size
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(SAGEConv(*pair, aggr=aggregation) for pair in pairwise(sizes))

    @override
    def forward(
        self, x: Tensor | SparseMatrix, edge_index: Tensor | SparseMatrix, edge_weight: Tensor | None = None
    ) -> Tensor:
        refuse_weights(self, edge_weight)
        hidden = self.layers[0](as_dense(x), edge_index)
        for layer in self.layers[1:]:
            hidden = layer(self.dropout(hidden.relu()), edge_index)
        return hidden
