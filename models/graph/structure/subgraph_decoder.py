"""SubgraphDecoder: link decoder over the labelled subgraph that encloses a pair (SEAL)."""

from typing import Literal

import torch
from torch import Tensor, nn
from typing_extensions import override

from models.graph.decoders import LinkDecoder
from models.graph.structure.enclosing_subgraphs import EnclosingSubgraphs, SubgraphExtractor
from models.graph.structure.last_graph import LastGraph

_KERNEL = 5


class SubgraphDecoder(LinkDecoder):
    """Graph convolutions over the nodes around a pair, each labelled by its distances from the two (SEAL).

    Sources: Zhang & Chen, "Link prediction based on graph neural networks", NeurIPS 2018 (enclosing subgraphs, labels);
    Zhang et al., "An end-to-end deep learning architecture for graph classification", AAAI 2018 (`sort`); Zhang et al.,
    "Labeling trick", NeurIPS 2021, for readouts from the two nodes of the pair (`pair`).

    A node enters with a learned vector of its label, the logarithm of its degree and, with `input_size`, what the
    encoder says of it. Subgraphs are extracted anew at each call, from the message edges without the one between the
    two nodes: train with `data.links_per_step`, as all links at once take much memory.

    Args:
        input_size: Numbers per node of the encoder to put beside the labels; None for the structure alone.
        num_hops: Radius of a subgraph around its two nodes.
        max_per_hop: Nodes that a hop may add to a subgraph, see `SubgraphExtractor`.
        num_labels: Different labels; larger ones are taken as the largest.
        hidden_size: Width of the convolutions.
        num_layers: Convolutions; the outputs of all are read out.
        pooling: `pair` reads the product of the vectors of the two nodes and the mean of all; `sort` the first
            `num_sorted` nodes in the order of a convolution with one output, by one-dimensional convolutions.
        num_sorted: Nodes that `sort` reads; shorter subgraphs are padded with zeros.
        dropout: Dropout before the last layer.
        pairs_at_once: Pairs whose subgraphs are in memory together outside training.
    """

    reads_edges = True

    def __init__(
        self,
        *,
        input_size: int | None = None,
        num_hops: int = 2,
        max_per_hop: int = 100,
        num_labels: int = 32,
        hidden_size: int = 32,
        num_layers: int = 3,
        pooling: Literal["pair", "sort"] = "pair",
        num_sorted: int = 20,
        dropout: float = 0.5,
        pairs_at_once: int = 1024,
    ) -> None:
        for name, value, least in (
            ("num_hops", num_hops, 1), ("max_per_hop", max_per_hop, 1), ("num_labels", num_labels, 2),
            ("hidden_size", hidden_size, 2), ("num_layers", num_layers, 1), ("pairs_at_once", pairs_at_once, 1),
            ("num_sorted", num_sorted, 2 * _KERNEL),
        ):  # fmt: skip
            if value < least:
                raise ValueError(f"model.decoder.{name}: {value} given, at least {least} is needed")
        if pooling not in ("pair", "sort"):
            raise ValueError(f"model.decoder.pooling: {pooling!r} given, allowed are 'pair' and 'sort'")
        super().__init__()
        self.input_size = input_size
        self.num_hops = num_hops
        self.max_per_hop = max_per_hop
        self.pairs_at_once = pairs_at_once
        self.num_labels = num_labels
        self.labels = nn.Embedding(num_labels, hidden_size)
        self.numbers = nn.Linear(1 + (input_size or 0), hidden_size)
        self.layers = nn.ModuleList(nn.Linear(hidden_size, hidden_size) for _ in range(num_layers))
        width = num_layers * hidden_size
        self.readout: nn.Module
        if pooling == "pair":
            self.readout = PairReadout(width=width, hidden_size=hidden_size, dropout=dropout)
        else:
            self.readout = SortReadout(width=width, num_sorted=num_sorted, hidden_size=hidden_size, dropout=dropout)
        self._extractors: LastGraph[SubgraphExtractor] = LastGraph()

    @override
    def forward(self, nodes: Tensor, edge_label_index: Tensor, edge_index: Tensor | None = None) -> Tensor:
        """See `LinkDecoder.forward`.

        Args:
            nodes: (N, D); only N is used without `input_size`.
            edge_label_index: int64 (2, P), the two nodes of each pair.
            edge_index: int64 (2, E), the message edges.
        """
        if edge_index is None:
            raise ValueError("model.decoder: SubgraphDecoder needs the message edges, edge_index int64 (2, E)")
        if (edge_label_index[0] == edge_label_index[1]).any():
            raise ValueError(
                "model.decoder: SubgraphDecoder was given a pair of a node with itself; take such pairs out"
            )
        if self.training or not edge_label_index.shape[1]:
            return self._logits(nodes, edge_label_index, edge_index)
        parts = edge_label_index.split(self.pairs_at_once, dim=1)
        return torch.cat([self._logits(nodes, part, edge_index) for part in parts])

    def _logits(self, nodes: Tensor, pairs: Tensor, edge_index: Tensor) -> Tensor:
        subgraphs = self.extractor(edge_index, nodes.shape[0]).extract(pairs)
        adjacency = subgraphs.normalized()
        degrees = torch.bincount(subgraphs.edge_index[0], minlength=len(subgraphs.node))
        numbers = [degrees.to(self.numbers.weight.dtype).log1p().unsqueeze(1)]
        if self.input_size is not None:
            numbers.append(nodes.index_select(0, subgraphs.node))
        hidden = self.labels(subgraphs.label.clamp(max=self.num_labels - 1)) + self.numbers(torch.cat(numbers, dim=1))
        outputs = []
        for layer in self.layers:
            hidden = torch.tanh(layer(adjacency @ hidden))
            outputs.append(hidden)
        logits: Tensor = self.readout(torch.cat(outputs, dim=1), subgraphs)
        return logits

    def extractor(self, edge_index: Tensor, num_nodes: int) -> SubgraphExtractor:
        """The extractor of a graph; that of the last one is kept."""
        extractor = self._extractors.of(edge_index, num_nodes)
        if extractor is not None:
            return extractor
        made = SubgraphExtractor(edge_index, num_nodes, num_hops=self.num_hops, max_per_hop=self.max_per_hop)
        return self._extractors.keep(edge_index, num_nodes, made)


class PairReadout(nn.Module):
    """Logit of a pair from the product of the vectors of its two nodes, and the mean over its subgraph.

    Args:
        width: Numbers per node.
        hidden_size: Width of the hidden layer.
        dropout: Dropout after the hidden layer.
    """

    def __init__(self, *, width: int, hidden_size: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2 * width, hidden_size), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden_size, 1)
        )

    def forward(self, hidden: Tensor, subgraphs: EnclosingSubgraphs) -> Tensor:
        """Vectors of nodes (S, W) to logits (P,)."""
        one, other = hidden[subgraphs.ends]  # (P, W) each
        sizes = torch.bincount(subgraphs.pair, minlength=len(one)).unsqueeze(1)
        mean = torch.zeros_like(one).index_add(0, subgraphs.pair, hidden) / sizes
        logits: Tensor = self.layers(torch.cat([one * other, mean], dim=1)).squeeze(1)
        return logits


class SortReadout(nn.Module):
    """Logit of a pair from the nodes of its subgraph in the order of their last number (SortPooling of DGCNN).

    Args:
        width: Numbers per node.
        num_sorted: Nodes that are read, K.
        hidden_size: Width of the hidden layer.
        dropout: Dropout after the hidden layer.
    """

    def __init__(self, *, width: int, num_sorted: int, hidden_size: int, dropout: float) -> None:
        super().__init__()
        self.num_sorted = num_sorted
        self.order = nn.Linear(width, 1)
        self.convolutions = nn.Sequential(
            nn.Conv1d(width + 1, hidden_size, 1), nn.ReLU(), nn.MaxPool1d(2),
            nn.Conv1d(hidden_size, hidden_size, _KERNEL), nn.ReLU(), nn.Flatten(),
        )  # fmt: skip
        self.layers = nn.Sequential(
            nn.Linear((num_sorted // 2 - _KERNEL + 1) * hidden_size, hidden_size),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden_size, 1),
        )

    def forward(self, hidden: Tensor, subgraphs: EnclosingSubgraphs) -> Tensor:
        """Vectors of nodes (S, W) to logits (P,)."""
        key = torch.tanh(self.order(hidden))  # (S, 1)
        order = key.detach().squeeze(1).argsort(descending=True, stable=True)
        order = order[subgraphs.pair[order].argsort(stable=True)]
        pair = subgraphs.pair[order]
        counts = torch.bincount(pair, minlength=subgraphs.ends.shape[1])
        rank = torch.arange(len(order), device=order.device) - (counts.cumsum(0) - counts)[pair]
        read = rank < self.num_sorted
        vectors = torch.cat([hidden, key], dim=1)[order[read]]
        table = vectors.new_zeros(len(counts) * self.num_sorted, vectors.shape[1])
        table = table.index_copy(0, pair[read] * self.num_sorted + rank[read], vectors)
        logits: Tensor = self.layers(self.convolutions(table.view(len(counts), self.num_sorted, -1).transpose(1, 2)))
        return logits.squeeze(1)
