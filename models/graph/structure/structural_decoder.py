"""StructuralDecoder: link decoder over structural features of pairs, alone or beside a decoder of node vectors."""

import torch
from torch import Tensor, nn
from typing_extensions import override

from models.graph.decoders import LinkDecoder
from models.graph.structure.last_graph import LastGraph
from models.graph.structure.pair_structure import BYTES_PER_PAIR, FEATURES, PairStructure


class StructuralDecoder(LinkDecoder):
    """MLP over structural features of a pair, see `PairStructure`, without the edge between its two nodes.

    Features are standardised by batch normalisation, then pass one hidden layer. They are computed from the message
    edges, which are training links alone, once per graph.

    Args:
        embedding: Decoder of the encoder's vectors whose logits are added; None uses the structure alone.
        hidden_size: Width of the hidden layer.
        dropout: Dropout after the hidden layer.
        damping: Katz: weight of a walk by one more step, above 0.
        teleport: Teleport probability of personalised PageRank, between 0 and 1.
        max_nodes: Larger graphs are refused: tables over all pairs of nodes take 45 bytes each, 2.9 GB for 8,000 nodes.
    """

    reads_edges = True

    def __init__(
        self,
        *,
        embedding: LinkDecoder | None = None,
        hidden_size: int = 32,
        dropout: float = 0.0,
        damping: float = 0.05,
        teleport: float = 0.15,
        max_nodes: int = 8000,
    ) -> None:
        if damping <= 0:
            raise ValueError(f"model.decoder.damping: {damping:g} given, it must be above 0")
        if not 0 < teleport < 1:
            raise ValueError(f"model.decoder.teleport: {teleport:g} given, it must be between 0 and 1")
        super().__init__()
        self.embedding = embedding
        self.input_size = None if embedding is None else embedding.input_size
        self.damping = damping
        self.teleport = teleport
        self.max_nodes = max_nodes
        self.layers = nn.Sequential(
            nn.BatchNorm1d(len(FEATURES)),
            nn.Linear(len(FEATURES), hidden_size),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden_size, 1),
        )
        self._structures: LastGraph[PairStructure] = LastGraph()

    @override
    def forward(self, nodes: Tensor, edge_label_index: Tensor, edge_index: Tensor | None = None) -> Tensor:
        """See `LinkDecoder.forward`.

        Args:
            nodes: (N, D); only N is used without `embedding`.
            edge_label_index: int64 (2, P), the two nodes of each pair.
            edge_index: int64 (2, E), the message edges.
        """
        if edge_index is None:
            raise ValueError("model.decoder: StructuralDecoder needs the message edges, edge_index int64 (2, E)")
        logits: Tensor = self.layers(self.features(edge_label_index, edge_index, nodes.shape[0])).squeeze(-1)
        if self.embedding is None:
            return logits
        edges = (edge_index,) if self.embedding.reads_edges else ()
        return logits + self.embedding(nodes, edge_label_index, *edges)

    @torch.no_grad()
    def features(self, edge_label_index: Tensor, edge_index: Tensor, num_nodes: int) -> Tensor:
        """Structural features of pairs, float32 (P, 12), in the order of `FEATURES`.

        Args:
            edge_label_index: int64 (2, P), the two nodes of each pair.
            edge_index: int64 (2, E), the message edges.
            num_nodes: N.

        Raises:
            ValueError: The graph has more than `max_nodes` nodes.
        """
        if num_nodes > self.max_nodes:
            raise ValueError(
                f"model.decoder: StructuralDecoder needs {BYTES_PER_PAIR * num_nodes**2 / 1e9:,.1f} GB for the pairs "
                f"of {num_nodes:,} nodes, max_nodes is {self.max_nodes:,}; raise it, or take "
                "SubgraphDecoder, which has no tables"
            )
        structure = self._structures.of(edge_index, num_nodes)
        if structure is None:
            structure = PairStructure(edge_index, num_nodes, damping=self.damping, teleport=self.teleport)
            self._structures.keep(edge_index, num_nodes, structure)
        return structure.features(edge_label_index)
