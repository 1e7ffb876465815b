"""Base of exporters of models on one fixed graph: the encoded nodes are stored in the file."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn
from torch_geometric.data import Data, HeteroData
from typing_extensions import override

from lightning_app.packaging.export.batches import RawParity
from lightning_app.packaging.export.exporter import Exporter
from lightning_app.packaging.export.held_out import HeldOutRows
from lightning_app.packaging.format.manifest import TensorSpec
from lightning_app.packaging.format.node_ids import NodeIds
from lightning_app.packaging.format.raw_input import RawColumn, RawInputSpec
from lightning_app.packaging.format.strict_json import write_json
from lightning_app.packaging.monitored.rows import MonitoredRows
from lightning_app.packaging.runtime.predictor import Predictor
from lightning_app.packaging.runtime.row_ids import as_array
from models.graph.encoders.whole_graph import encode

NODE_COLUMNS = "node_columns.json"
_RAW_ROWS = 256
"""Test rows that are asked by the columns of the training tables too."""


class TransductiveExporter(Exporter):
    """A model whose answers are about the nodes of one graph, which the package knows."""

    family = "graph"
    pipeline_tag = "graph-ml"

    @property
    @override
    def limitations(self) -> Sequence[str]:
        return (
            f"answers for the nodes of the graph that it was tested on alone, by their {self._called} there; a graph "
            "with other nodes, features or edges needs another export",
        )

    @property
    @abstractmethod
    def node_names(self) -> np.ndarray | None:
        """The user's ids (N,) of the nodes; None where the graph has none."""

    @property
    @abstractmethod
    def num_nodes(self) -> int:
        """Nodes that can be asked for."""

    @cached_property
    @override
    def node_ids(self) -> NodeIds | None:
        return NodeIds.of(self.node_names)

    @property
    @abstractmethod
    def id_columns(self) -> tuple[str, ...] | None:
        """Columns of the training tables with the ids that the inputs take; None without tables."""

    @property
    @override
    def raw_input(self) -> tuple[RawInputSpec, Mapping[str, bytes]] | None:
        names = tuple(spec.name for spec in self.inputs)
        columns = self.id_columns
        if columns is None or columns == names or len(set(columns)) < len(columns):
            return None
        kind = "text" if self.node_ids is not None else "whole number"
        unit = f"{self._called} of the training table"
        roles = [RawColumn(column, kind, name, unit) for column, name in zip(columns, names, strict=True)]
        spec = RawInputSpec(kind="node_ids", file=NODE_COLUMNS, columns=tuple(roles), min_rows=1, rows_of="row")
        return spec, {NODE_COLUMNS: write_json(dict(zip(names, columns, strict=True)))}

    @override
    def raw_batches(self, predictor: Predictor) -> Iterator[RawParity]:
        assert self.id_columns is not None
        sample = self.sample(_RAW_ROWS)
        table = pl.DataFrame(
            {column: sample.request[spec.name] for column, spec in zip(self.id_columns, self.inputs, strict=True)}
        )
        answer = pl.concat(part.table for part in predictor.predict_raw(table))
        yield RawParity(sample.rows, {name: answer[name].to_numpy() for name in sample.answer}, sample.answer)

    @override
    def monitored_rows(self, predictor: Predictor, held_out: HeldOutRows) -> MonitoredRows:
        """A row is a node, or a pair of nodes; requests name them as those for raw rows do."""
        rows = super().monitored_rows(predictor, held_out)
        names = [spec.name for spec in self.inputs]
        ids = rows.requests.select(names)
        if self.raw_input is not None:
            assert self.id_columns is not None
            rows = replace(rows, requests=ids.rename(dict(zip(names, self.id_columns, strict=True))))
        return replace(rows, answers=ids.hstack(rows.answers.get_columns()))

    @property
    def _called(self) -> str:
        return "numbers" if self.node_ids is None else "ids"

    def input_of(self, name: str) -> TensorSpec:
        """The signature of an input that names a node."""
        unit = "number of the node in the graph, from 0"
        if self.node_ids is not None:
            kind = "a text" if self.node_ids.spec((name,)).dtype == "text" else "a whole number"
            unit = f"id of the node, {kind}, of which the package looks up the number"
        return TensorSpec(name, "int64", ("batch",), unit=unit, num_values=self.num_nodes)

    def named(self, nodes: np.ndarray) -> np.ndarray:
        """What a request calls nodes, int64 (B,)."""
        return nodes if self.node_ids is None else as_array(self.node_ids.names(nodes))


class NodeTable(nn.Module):
    """Encoded nodes of one graph.

    Nothing that comes with a request changes it, so it is computed at export: a runtime does not fold the encoder by
    itself (the edges without loops, for one, have no size that it knows), and would run it for each request.

    Args:
        encoder: The encoder, in evaluation.
        graph: The graph.
    """

    table: Tensor

    def __init__(self, encoder: nn.Module, graph: Data | HeteroData) -> None:
        super().__init__()
        self.register_buffer("table", encode(encoder, graph).detach().clone(), persistent=False)

    def forward(self, nodes: Tensor) -> Tensor:
        """The vectors of some nodes, int64 (B,) to (B, D)."""
        return self.table.index_select(0, nodes)


def degrees(graph: Data | HeteroData) -> Tensor:
    """Edges that end in each node, of the target type where there are types; float64 (N,)."""
    if not isinstance(graph, HeteroData):
        return torch.bincount(graph.edge_index[1], minlength=graph.x.shape[0]).double()
    target = graph.target_type
    ends = [graph[kind].edge_index[1] for kind in graph.edge_types if kind[2] == target]
    return torch.bincount(torch.cat(ends), minlength=graph[target].x.shape[0]).double()
