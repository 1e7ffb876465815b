"""Exporter of graph predictors: from features and edges of each graph to its class or its values."""

from collections.abc import Iterator, Mapping
from functools import cached_property

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from typing_extensions import override

from datamodules.graph import GraphDataModule
from datamodules.graph.sources.source import RawGraphs
from features.graphs.spec import GraphSpec
from lightning_app.errors import UsageError
from lightning_app.packaging.export.batches import Arrays, RawParity, TestBatch, spread
from lightning_app.packaging.export.exporter import Exporter
from lightning_app.packaging.export.families.graph_rows import graph_rows
from lightning_app.packaging.export.held_out import HeldOutRows
from lightning_app.packaging.format.manifest import TensorSpec
from lightning_app.packaging.format.raw_input import RawColumn, RawInputSpec
from lightning_app.packaging.monitored.rows import MonitoredRows
from lightning_app.packaging.runtime.predictor import Predictor
from models.graph import GraphPredictor

GRAPH = "graph.json"
_RAW_GRAPHS = 256
"""Test graphs that are answered from the raw tables too."""
_ID = "whole number or text"


class GraphExporter(Exporter):
    """`GraphPredictor` on a set of graphs.

    Args:
        module: The model with the weights of the checkpoint, in evaluation.
        data: The data module, after `setup("test")`.
    """

    family = "graph"
    pipeline_tag = "graph-ml"
    data_module = GraphDataModule
    module: GraphPredictor
    data: GraphDataModule
    layout = "graphs"
    row_name = "graphs"

    def __init__(self, module: GraphPredictor, data: GraphDataModule) -> None:
        if data.features is not None:
            raise UsageError(
                f"data.features: a package answers to the features and edges of a graph, and does not compute "
                f"{data.features.describe()}; put them into the tables, or train without data.features"
            )
        super().__init__(module, data)
        self.task = "graph_classification" if module.num_classes else "graph_regression"
        self.error_name = "share of graphs of which another class is likeliest"
        self.output = "probabilities"
        if module.num_classes:
            self.labels = tuple(data.class_names)
        else:
            self.error_name, self.output = (
                "mean absolute error of the graph, in units of the training deviation",
                "value",
            )

    @property
    @override
    def inputs(self) -> tuple[TensorSpec, ...]:
        weight = (TensorSpec("edge_weight", "float32", ("edges",)),) if self._has_weights else ()
        return (
            TensorSpec("x", "float32", ("nodes", self.module.num_features), unit="as given"),
            TensorSpec("edge_index", "int64", (2, "edges"), unit="number of a node in its graph, from 0"),
            TensorSpec("batch", "int64", ("nodes",)),
            TensorSpec("graph_id", "int64", ("graphs",)),
            *weight,
        )

    @property
    def _has_weights(self) -> bool:
        return self.data.graphs.edge_weight is not None

    @property
    @override
    def outputs(self) -> tuple[TensorSpec, ...]:
        module = self.module
        if module.num_classes:
            return (TensorSpec(self.output, "float32", ("graphs", module.num_classes), unit="probability"),)
        return (TensorSpec(self.output, "float32", ("graphs", len(module.target_mean)), unit="as given"),)

    @property
    @override
    def values_per_row(self) -> int:
        graphs = self.data.graphs
        return (graphs.x.numel() + graphs.edge_index.numel()) // max(1, len(graphs)) + 16

    @cached_property
    def _raw_graphs(self) -> RawGraphs | None:
        return self.data.source.raw_tables()

    @property
    @override
    def raw_input(self) -> tuple[RawInputSpec, Mapping[str, bytes]] | None:
        raw = self._raw_graphs
        if raw is None:
            return None
        described = describe_graphs(raw.spec)
        return described, {described.file: raw.spec.to_json()}

    @override
    def raw_batches(self, predictor: Predictor) -> Iterator[RawParity]:
        raw = self._raw_graphs
        assert raw is not None
        sizes = self.data.graphs.node_ptr.diff().numpy()
        rows = np.array([row for row in self.data.dataset("test").numbers if sizes[row]], dtype=np.int64)
        rows = rows[spread(len(rows), _RAW_GRAPHS)]
        expected = self.module.predict_step(self.data.graphs.batch(rows), 0)[self.output].numpy()
        parts = [part.table for part in predictor.predict_raw({"nodes": raw.nodes, "edges": raw.edges})]
        table = pl.concat(part for part in parts if len(part))
        ids = pl.DataFrame({"graph_id": pl.Series(self.data.ids_of(rows)).cast(table["graph_id"].dtype)})
        answered = ids.join(table, on="graph_id", how="left", maintain_order="left")[self.output]
        yield RawParity(rows, {self.output: np.stack(answered.to_list())}, {self.output: expected})

    @override
    def monitored_rows(self, predictor: Predictor, held_out: HeldOutRows) -> MonitoredRows:
        """A row is a graph: its tables of nodes and edges, or `x` and `edge_index` where there are no tables."""
        raw = self._raw_graphs
        if raw is None:
            return super().monitored_rows(predictor, held_out)
        return graph_rows(predictor, held_out, data=self.data, raw=raw)

    @override
    def network(self) -> nn.Module:
        return _Graphs(self.module)

    @override
    def example(self) -> tuple[Tensor, ...]:
        example = self.module.example_inputs()
        weight = (torch.rand(example["edge_index"].shape[1]),) if self._has_weights else ()
        return (*(example[name] for name in ("x", "edge_index", "batch", "graph_id")), *weight)

    @override
    def test_batch(self, positions: np.ndarray) -> TestBatch:
        batch = self.data.dataset("test").__getitems__(positions)
        answer = self.module.predict_step(batch, 0)[self.output]
        rows = batch.graph_id.numpy()
        return TestBatch(rows, self._request(rows), {self.output: answer.numpy()}, self.module.step(batch), batch)

    @override
    def targets(self, test_batch: TestBatch) -> Arrays:
        targets = test_batch.batch.y.numpy()
        return {"target": targets if self.labels is None else np.array(self.labels, dtype=np.str_)[targets]}

    @override
    def ids(self, test_batch: TestBatch) -> Mapping[str, np.ndarray]:
        return {"graph_id": self.data.ids_of(test_batch.rows)}

    def _request(self, numbers: np.ndarray) -> dict[str, np.ndarray | list[np.ndarray]]:
        """Graphs one by one, nodes numbered from 0 in each."""
        graphs = self.data.graphs
        nodes = [slice(int(graphs.node_ptr[number]), int(graphs.node_ptr[number + 1])) for number in numbers]
        edges = [slice(int(graphs.edge_ptr[number]), int(graphs.edge_ptr[number + 1])) for number in numbers]
        request: dict[str, np.ndarray | list[np.ndarray]] = {
            "x": [graphs.x[part].numpy() for part in nodes],
            "edge_index": [np.ascontiguousarray(graphs.edge_index[:, part].numpy().T) for part in edges],
        }
        if graphs.edge_weight is not None:
            request["edge_weight"] = [graphs.edge_weight[part].numpy() for part in edges]
        return request

    @override
    def module_outputs(self, answer: Mapping[str, Tensor]) -> Tensor:
        output = answer[self.output]
        return output.clamp_min(torch.finfo(torch.float32).tiny).log() if self.module.num_classes else output

    @override
    def errors(self, outputs: Tensor, batch: Data) -> Tensor:
        if self.module.num_classes:
            return 1.0 - (outputs.argmax(dim=-1) == batch.y).double()
        return (self.module.standardize(outputs) - self.module.standardize(batch.y)).abs().double().mean(dim=1)

    @override
    def slices(self, outputs: Tensor, test_batch: TestBatch) -> Mapping[str, np.ndarray]:
        size = np.array([len(x) for x in test_batch.request["x"]], dtype=np.float64)
        if self.labels is None:
            return {"nodes": size}
        names = [self.labels[target] for target in test_batch.batch.y.tolist()]
        return {"nodes": size, "class": np.array(names, dtype=np.str_)}


def describe_graphs(spec: GraphSpec) -> RawInputSpec:
    """The columns of tables of nodes and edges, for the manifest.

    Args:
        spec: The preparation.
    """
    graph = [] if spec.graph is None else [RawColumn(spec.graph, "text", "graph", _ID, table="nodes")]
    nodes = [*graph, RawColumn(spec.id, "text", "node", _ID, table="nodes")]
    nodes += [RawColumn(name, "number", "feature", "as in training", table="nodes") for name in spec.features]
    graph = [] if spec.graph is None else [RawColumn(spec.graph, "text", "graph", _ID, table="edges")]
    edges = [RawColumn(name, "text", "end of the edge", _ID, table="edges") for name in (spec.source, spec.target)]
    weight = (
        [] if spec.weight is None else [RawColumn(spec.weight, "number", "weight", "as in training", table="edges")]
    )
    return RawInputSpec(
        kind="graphs",
        file=GRAPH,
        columns=(*nodes, *graph, *edges, *weight),
        min_rows=1,
        rows_of="row of nodes; two tables, of nodes and of edges",
    )


class _Graphs(nn.Module):
    def __init__(self, module: GraphPredictor) -> None:
        super().__init__()
        self.module = module

    def forward(
        self, x: Tensor, edge_index: Tensor, batch: Tensor, graph_id: Tensor, edge_weight: Tensor | None = None
    ) -> tuple[Tensor]:
        """Probabilities of the classes, or values, of each graph."""
        outputs = self.module(x, edge_index, batch, graph_id, edge_weight)
        return (outputs.softmax(dim=-1) if self.module.num_classes else outputs,)
