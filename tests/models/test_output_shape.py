"""Injected parts of graph and stream models that give another shape are named."""

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from typing_extensions import override

from models.graph import GraphPredictor, InnerProductDecoder, LinkPredictor, NodeClassifier
from models.recurrent import Encoder, RecurrentLanguageModel


class Wide(nn.Module):
    """Gives the same numbers for each node, of any count."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.output_size = width

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return torch.zeros(len(x), self.width)


class Claims(Wide):
    """Says that it gives three numbers per node."""

    def __init__(self) -> None:
        super().__init__(5)
        self.output_size = 3


class Column(nn.Module):
    """A logit per pair in a column, which a loss would broadcast."""

    def forward(self, nodes: Tensor, edge_label_index: Tensor) -> Tensor:
        return (nodes[edge_label_index[0]] * nodes[edge_label_index[1]]).sum(-1, keepdim=True)


class LastStep(Encoder):
    """Gives the last step alone."""

    input_size = output_size = 4

    @override
    def initial_state(self, num_lanes: int) -> Tensor:
        return torch.zeros(num_lanes, 1)

    @override
    def encode(self, chunk: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return chunk[:, -1:], state


def graph() -> Data:
    return Data(
        x=torch.randn(6, 2),
        edge_index=torch.tensor([[0, 1], [1, 0]]),
        y=torch.tensor([0, 1, 2, 0, 1, 2]),
        target_index=torch.arange(6),
        node_id=torch.arange(6),
        edge_label_index=torch.tensor([[0, 1, 2], [3, 4, 5]]),
        edge_label=torch.tensor([1.0, 0.0, 1.0]),
    )


def test_an_encoder_of_nodes_is_named() -> None:
    module = NodeClassifier(encoder=Claims(), num_features=2, num_classes=3)
    with pytest.raises(ValueError, match=r"model.encoder: Claims gives \(6, 5\), expected is a tensor \(6, 3\)"):
        module.step(graph())


def test_a_decoder_of_links_is_named() -> None:
    module = LinkPredictor(encoder=Wide(4), decoder=Column(), num_features=2)
    with pytest.raises(ValueError, match=r"model.decoder: Column gives \(3, 1\), expected is a tensor \(3,\)"):
        module.step(graph())
    right = LinkPredictor(encoder=Wide(4), decoder=InnerProductDecoder(), num_features=2)
    assert right.step(graph()).loss.isfinite()


def test_a_head_of_graphs_is_named() -> None:
    module = GraphPredictor(encoder=Wide(4), head=nn.Linear(4, 1), num_features=2, num_classes=3).eval()
    batch = Data(x=torch.randn(4, 2), edge_index=torch.zeros(2, 0, dtype=torch.long), y=torch.tensor([0, 1]))
    batch.batch, batch.graph_id = torch.tensor([0, 0, 1, 1]), torch.arange(2)
    with pytest.raises(ValueError, match=r"model.head: Linear gives \(2, 1\), expected is a tensor \(any, 3\)"):
        module.step(batch)


def test_an_encoder_of_streams_is_named() -> None:
    module = RecurrentLanguageModel(encoder=LastStep(), vocab_size=5, chunk_size=3)
    tokens = torch.ones(2, 3, dtype=torch.long)
    batch = {"tokens": tokens, "targets": tokens, "valid": tokens > 0, "reset": torch.zeros(2, 3) > 0}
    batch["reset"][:, 0] = True
    with pytest.raises(ValueError, match=r"encoder: LastStep gives \(2, 1, 4\), expected is a tensor \(2, 3, 4\)"):
        module.step(batch)
