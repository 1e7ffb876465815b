"""Link decoders: from the vectors of two nodes to the logit of a link between them."""

import math
from abc import ABC, abstractmethod
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override


class LinkDecoder(nn.Module, ABC):
    """Scores pairs of nodes symmetrically.

    Attributes:
        input_size: Required features per node, D; None for any.
        reads_edges: Whether `forward` takes the message edges, `edge_index` int64 (2, E), as a third argument.
    """

    input_size: int | None = None
    reads_edges: bool = False

    @abstractmethod
    def forward(self, nodes: Tensor, edge_label_index: Tensor) -> Tensor:
        """Scores pairs.

        Args:
            nodes: (N, D), a vector per node.
            edge_label_index: int64 (2, P), the two nodes of each pair.

        Returns:
            (P,), logits.
        """


class InnerProductDecoder(LinkDecoder):
    """Inner product of the two vectors (Kipf & Welling, 2016)."""

    @override
    def forward(self, nodes: Tensor, edge_label_index: Tensor) -> Tensor:
        source, target = edge_label_index
        return (nodes.index_select(0, source) * nodes.index_select(0, target)).sum(-1)


class CosineDecoder(LinkDecoder):
    """Cosine similarity of the two vectors, with a learned scale and offset.

    An inner product grows with the norm of the vectors, which reflects a node's degree and features more than its
    links.

    Args:
        scale: Initial scale.
    """

    def __init__(self, *, scale: float = 5.0) -> None:
        if scale <= 0:
            raise ValueError(f"model.decoder.scale: {scale:g} given, it must be above 0")
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))
        self.offset = nn.Parameter(torch.tensor(0.0))

    @override
    def forward(self, nodes: Tensor, edge_label_index: Tensor) -> Tensor:
        source, target = edge_label_index
        nodes = F.normalize(nodes, dim=-1)  # before the gather: there are fewer nodes than ends of pairs
        return (
            self.log_scale.exp() * (nodes.index_select(0, source) * nodes.index_select(0, target)).sum(-1) + self.offset
        )


class HadamardMLPDecoder(LinkDecoder):
    """MLP over the elementwise product of the two vectors.

    Args:
        input_size: Features per node of the encoder's output, D.
        hidden_size: Width of the hidden layers.
        num_layers: Linear layers.
        dropout: Dropout after each hidden layer.
    """

    def __init__(self, *, input_size: int, hidden_size: int = 64, num_layers: int = 2, dropout: float = 0.0) -> None:
        if num_layers < 1:
            raise ValueError(f"model.decoder.num_layers: {num_layers} given, at least 1 is needed")
        super().__init__()
        self.input_size = input_size
        sizes = [input_size, *[hidden_size] * (num_layers - 1), 1]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(sizes))
        self.dropout = nn.Dropout(dropout)

    @override
    def forward(self, nodes: Tensor, edge_label_index: Tensor) -> Tensor:
        source, target = edge_label_index
        hidden = nodes.index_select(0, source) * nodes.index_select(0, target)  # (P, D)
        for layer in self.layers[:-1]:
            hidden = self.dropout(layer(hidden).relu())
        return self.layers[-1](hidden).squeeze(-1)
