"""HeteroSAGE: GraphSAGE over nodes and edges of several types."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch_geometric.nn import HeteroConv, SAGEConv
from typing_extensions import override

from models.graph.encoders.encoder import check_num_layers
from models.layers.dropout import Dropout


class HeteroSAGE(nn.Module):
    """Message passing with separate weights for each edge type.

    After Hamilton et al. (2017) and Schlichtkrull et al. (2018): a layer sums, for each node, a linear map of the node
    and, for each type of incoming edges, a linear map of the neighbours' mean.

    Args:
        num_features: Features of a node, by node type.
        edge_types: Triples of source type, relation, target type.
        target_type: Node type to encode.
        output_size: Output features per node, D.
        hidden_size: Width of the layers.
        num_layers: Layers of message passing.
        dropout: Dropout after each layer but the last.
    """

    def __init__(
        self,
        *,
        num_features: dict[str, int],
        edge_types: Sequence[tuple[str, str, str]],
        target_type: str,
        output_size: int,
        hidden_size: int = 64,
        num_layers: int = 2,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        check_num_layers(num_layers)
        if target_type not in num_features:
            raise ValueError(f"model.encoder.target_type: {target_type!r} given, the graph has {list(num_features)}")
        self.output_size = output_size
        self.target_type = target_type
        self.edge_types = [(source, relation, target) for source, relation, target in edge_types]
        self.dropout = Dropout(dropout)
        self.own = nn.ModuleList()
        self.neighbors = nn.ModuleList()
        widths = dict(num_features)
        for index in range(num_layers):
            size = output_size if index == num_layers - 1 else hidden_size
            self.own.append(nn.ModuleDict({name: nn.Linear(width, size) for name, width in widths.items()}))
            layers = {
                (source, relation, target): SAGEConv(
                    (widths[source], widths[target]), size, root_weight=False, bias=False
                )
                for source, relation, target in self.edge_types
            }
            self.neighbors.append(HeteroConv(layers, aggr="sum"))
            widths = dict.fromkeys(widths, size)

    @override
    def forward(self, x: Mapping[str, Tensor], edge_index: Mapping[str, Tensor]) -> Tensor:
        """Encodes the nodes of the target type.

        Args:
            x: float32 (N, F) by node type.
            edge_index: int64 (2, E), sources and targets, by edge type written `source__relation__target`.

        Returns:
            (N, D).
        """
        edges = {edge_type: edge_index[edge_type_name(edge_type)] for edge_type in self.edge_types}
        hidden = dict(x)
        for index, (own, neighbors) in enumerate(zip(self.own, self.neighbors, strict=True)):
            if index:
                hidden = {name: self.dropout(values.relu()) for name, values in hidden.items()}
            messages = neighbors(hidden, edges)
            kept = {name: layer(hidden[name]) for name, layer in own.items()}  # type: ignore[operator]
            hidden = {name: values + messages[name] if name in messages else values for name, values in kept.items()}
        return hidden[self.target_type]


def edge_type_name(edge_type: tuple[str, str, str]) -> str:
    """Edge type as one word, used in input names of exported graphs."""
    return "__".join(edge_type)
