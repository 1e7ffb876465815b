"""GIN: graph isomorphism network."""

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch_geometric.nn import GINConv
from typing_extensions import override

from models.graph.encoders.encoder import GraphEncoder, check_num_layers, refuse_weights
from models.graph.encoders.sparse_matrix import SparseMatrix, as_dense


class GIN(GraphEncoder):
    """Graph isomorphism network (Xu et al., ICLR 2019): sums over neighbours, each followed by an MLP of two layers.

    Args:
        num_features: Features of a node, F.
        output_size: Output features per node, D, by a final linear layer; None for no such layer.
        hidden_size: Width of the layers.
        num_layers: Message-passing layers.
        dropout: Dropout after each layer.
        jumping_knowledge: Concatenate the features and the output of every layer, as Xu et al. do, so that
            D = F + num_layers * hidden_size; "max" takes the element-wise maximum of all layers (Xu et al., Jumping
            knowledge networks, ICML 2018); False the last layer only.
    """

    def __init__(
        self,
        *,
        num_features: int,
        output_size: int | None = None,
        hidden_size: int = 32,
        num_layers: int = 4,
        dropout: float = 0.0,
        jumping_knowledge: bool | Literal["max"] = True,
    ) -> None:
        super().__init__()
        check_num_layers(num_layers)
        sizes = [num_features, *[hidden_size] * num_layers]
        self.jumping_knowledge = jumping_knowledge
        self.layers = nn.ModuleList(GINConv(two_layers(*pair), train_eps=False) for pair in pairwise(sizes))
        self.norms = nn.ModuleList(nn.BatchNorm1d(hidden_size) for _ in self.layers)
        self.dropout = nn.Dropout(dropout)
        width = sum(sizes) if jumping_knowledge is True else hidden_size
        self.output_size = output_size or width
        self.output = nn.Linear(width, output_size) if output_size else nn.Identity()

    @override
    def forward(
        self, x: Tensor | SparseMatrix, edge_index: Tensor | SparseMatrix, edge_weight: Tensor | None = None
    ) -> Tensor:
        refuse_weights(self, edge_weight)
        outputs = [as_dense(x)]
        for layer, norm in zip(self.layers, self.norms, strict=True):
            outputs.append(self.dropout(norm(layer(outputs[-1], edge_index)).relu()))
        return self.output(self._jump(outputs))

    def _jump(self, outputs: list[Tensor]) -> Tensor:
        if self.jumping_knowledge == "max":
            return torch.stack(outputs[1:]).amax(0)
        return torch.cat(outputs, dim=-1) if self.jumping_knowledge else outputs[-1]


def two_layers(in_features: int, out_features: int) -> nn.Sequential:
    """The MLP of a GIN convolution."""
    return nn.Sequential(
        nn.Linear(in_features, out_features),
        nn.BatchNorm1d(out_features),
        nn.ReLU(),
        nn.Linear(out_features, out_features),
    )
