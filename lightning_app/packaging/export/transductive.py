"""What exporters of models of one fixed graph share: the graph travels inside the file."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data, HeteroData
from typing_extensions import override

from lightning_app.packaging.export.exporter import Exporter
from models.graph.hetero import edge_type_name
from models.graph.sparse_matrix import as_dense


class TransductiveExporter(Exporter):
    """A model whose answers are about the nodes of one graph, which the package carries."""

    family = "graph"

    @property
    @override
    def limitations(self) -> Sequence[str]:
        return (
            "answers for the nodes of the graph that it was tested on alone: features and edges are inside the file, "
            "and a node is named by its number there",
        )


class FixedGraph(nn.Module):
    """Encodes one graph that it holds itself; a runtime computes it once, when the file is loaded.

    Args:
        encoder: The encoder.
        graph: The graph.
    """

    def __init__(self, encoder: nn.Module, graph: Data | HeteroData) -> None:
        super().__init__()
        self.encoder = encoder
        if isinstance(graph, HeteroData):
            self._keep("x", graph.x_dict)
            self._keep("edge_index", {edge_type_name(kind): edges for kind, edges in graph.edge_index_dict.items()})
        else:
            self._keep("x", {"": graph.x})
            self._keep("edge_index", {"": graph.edge_index})
            if graph.get("edge_weight") is not None:
                self._keep("edge_weight", {"": graph.edge_weight})

    def _keep(self, name: str, tensors: dict[str, Tensor]) -> None:
        for kind, tensor in tensors.items():
            self.register_buffer(f"{name}__{kind}", as_dense(tensor).clone(), persistent=False)

    def forward(self) -> Tensor:
        """A vector per node, of the target type where there are types."""
        arguments: list[Any] = []
        held: dict[str, Tensor] = dict(self.named_buffers(recurse=False))
        for name in ("x", "edge_index", "edge_weight"):
            parts = {key.partition("__")[2]: value for key, value in held.items() if key.startswith(f"{name}__")}
            if parts:
                arguments.append(parts.get("", parts))
        encoded: Tensor = self.encoder(*arguments)
        return encoded


def degrees(graph: Data | HeteroData) -> Tensor:
    """Edges that end in each node, of the target type where there are types; float64 (N,)."""
    if not isinstance(graph, HeteroData):
        return torch.bincount(graph.edge_index[1], minlength=graph.x.shape[0]).double()
    target = graph.target_type
    ends = [graph[kind].edge_index[1] for kind in graph.edge_types if kind[2] == target]
    return torch.bincount(torch.cat(ends), minlength=graph[target].x.shape[0]).double()
