"""GPS: graph transformer, message passing beside attention over all nodes of a graph."""

from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.nn import GINConv
from typing_extensions import override

from models.graph.encoders.encoder import GraphEncoder, check_num_layers, refuse_weights
from models.graph.encoders.gin import two_layers
from models.graph.encoders.sparse_matrix import SparseLinear, SparseMatrix, as_features

_SMALLEST = 1e-6


class LinearAttention(nn.Module):
    """Attention between all nodes of a graph, at a cost that is linear in their number.

    Weights are products of positive features of query and key, elu + 1, instead of the exponential of their product
    (Katharopoulos et al., Transformers are RNNs, ICML 2020), so that a graph's keys and values are summed up once.

    Args:
        width: Numbers per node, D.
        num_heads: Heads; they divide D.
    """

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        if width % num_heads:
            raise ValueError(f"model.encoder.num_heads: {num_heads} given, it must divide hidden_size, {width}")
        self.num_heads = num_heads
        self.inputs = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor, batch: Tensor, graphs: Tensor) -> Tensor:
        """Mixes the nodes of each graph.

        Args:
            x: (N, D).
            batch: int64 (N,), the graph of each node.
            graphs: (G,), any values; its length is the number of graphs.

        Returns:
            (N, D).
        """
        heads = (x.shape[0], self.num_heads, x.shape[1] // self.num_heads)
        query, key, value = (part.reshape(heads) for part in self.inputs(x).chunk(3, dim=-1))
        query, key = nn.functional.elu(query) + 1, nn.functional.elu(key) + 1
        pairs = key.unsqueeze(-1) * value.unsqueeze(-2)  # (N, H, d, d)
        sums = _sum_per_graph(pairs, batch, graphs)[batch]
        weights = _sum_per_graph(key, batch, graphs)[batch]
        # elu(x) + 1 is 0 in float32 below -17: a node that attends to none would be 0 / 0.
        total = (query * weights).sum(-1, keepdim=True).clamp(min=_SMALLEST)
        mixed = (query.unsqueeze(-2) @ sums).squeeze(-2) / total
        return self.output(mixed.reshape(x.shape))


class GPSLayer(nn.Module):
    """A layer of GPS: a GIN convolution beside attention, then an MLP, each with a residual and a batch norm.

    Args:
        width: Numbers per node, D.
        num_heads: Heads of the attention.
        dropout: Dropout of each part.
    """

    def __init__(self, width: int, *, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.local = GINConv(two_layers(width, width), train_eps=False)
        self.attention = LinearAttention(width, num_heads)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(2 * width, width)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor, graphs: Tensor) -> Tensor:
        """(N, D) -> (N, D); see `LinearAttention`."""
        local = self.norms[0](x + self.dropout(self.local(x, edge_index)))
        distant = self.norms[1](x + self.dropout(self.attention(x, batch, graphs)))
        both = local + distant
        return self.norms[2](both + self.dropout(self.mlp(both)))


class GPS(GraphEncoder):
    """Graph transformer (Rampasek et al., Recipe for a general, powerful, scalable graph transformer, NeurIPS 2022).

    Nodes of one graph alone attend to each other, in a batch of many graphs too; a whole graph without `batch`, and a
    sampled part of one, are one graph. Attention sees no positions: give them as features, e.g. `RandomWalkFeatures`.

    Args:
        num_features: Features of a node, F.
        output_size: Output features per node, D, by a final linear layer; None for `hidden_size` without one.
        hidden_size: Width of the layers.
        num_layers: Layers.
        num_heads: Heads of the attention; they divide `hidden_size`.
        dropout: Dropout of each part of a layer.
    """

    takes_sparse = True
    takes_graphs = True

    def __init__(
        self,
        *,
        num_features: int,
        output_size: int | None = None,
        hidden_size: int = 32,
        num_layers: int = 3,
        num_heads: int = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        check_num_layers(num_layers)
        self.output_size = output_size or hidden_size
        self.input = SparseLinear(num_features, hidden_size)
        self.layers = nn.ModuleList(
            GPSLayer(hidden_size, num_heads=num_heads, dropout=dropout) for _ in range(num_layers)
        )
        self.output = nn.Linear(hidden_size, output_size) if output_size else nn.Identity()

    @override
    def forward(
        self,
        x: Tensor | SparseMatrix,
        edge_index: Tensor | SparseMatrix,
        edge_weight: Tensor | None = None,
        *,
        batch: Tensor | None = None,
        graphs: Tensor | None = None,
    ) -> Tensor:
        """See `GraphEncoder.forward`.

        Args:
            x: float32 (N, F), dense or sparse.
            edge_index: int64 (2, E), sources and targets.
            edge_weight: Refused.
            batch: int64 (N,), the graph of each node; None for one graph.
            graphs: (G,), its length is the number of graphs.

        Returns:
            (N, D).
        """
        refuse_weights(self, edge_weight)
        hidden: Any = self.input(as_features(x))
        if batch is None or graphs is None:
            batch = hidden.new_zeros(hidden.shape[0], dtype=torch.long)
            graphs = batch.new_zeros(1)
        for layer in self.layers:
            hidden = layer(hidden, edge_index, batch, graphs)
        return self.output(hidden)


def _sum_per_graph(values: Tensor, batch: Tensor, graphs: Tensor) -> Tensor:
    """(N, ...) -> (G, ...)."""
    return values.new_zeros(graphs.shape[0], *values.shape[1:]).index_add(0, batch, values)
