"""From the vectors of two nodes to the logit of a link between them."""

import math
from abc import ABC, abstractmethod
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override


class LinkDecoder(nn.Module, ABC):
    """Scores pairs of nodes; the two nodes of a pair are exchangeable.

    Attributes:
        input_size: Numbers per node that it takes, D; None for any.
    """

    input_size: int | None = None

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
    """The inner product of the two vectors (Kipf & Welling, 2016)."""

    @override
    def forward(self, nodes: Tensor, edge_label_index: Tensor) -> Tensor:
        source, target = edge_label_index
        return (nodes.index_select(0, source) * nodes.index_select(0, target)).sum(-1)


class CosineDecoder(LinkDecoder):
    """The cosine of the two vectors, times a learned factor, plus a learned offset.

    An inner product grows with the length of the vectors, which follows a node's degree and words more than what it
    is linked to.

    Args:
        scale: The factor at first.
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
    """An MLP over the elementwise product of the two vectors.

    Args:
        input_size: Numbers per node that the encoder gives, D.
        hidden_size: Width between the layers.
        num_layers: Linear layers.
        dropout: After each hidden layer.
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
