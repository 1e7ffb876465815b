"""Exporter of node classifiers on one graph: from the id of a node to the probabilities of its classes."""

from collections.abc import Iterator, Mapping
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from typing_extensions import override

from datamodules.graph import NodeDataModule
from lightning_app.packaging.export.batches import Arrays, Sample, TestBatch, spread
from lightning_app.packaging.export.families.transductive import NodeTable, TransductiveExporter, degrees
from lightning_app.packaging.format.manifest import TensorSpec
from models.graph import NodeClassifier

_INPUT, _OUTPUT = "node_id", "probabilities"


class NodeExporter(TransductiveExporter):
    """`NodeClassifier` on a graph.

    Args:
        module: The model with the weights of the checkpoint, in evaluation.
        data: The data module, after `setup("test")`.
    """

    task = "node_classification"
    data_module = NodeDataModule
    module: NodeClassifier
    data: NodeDataModule
    error_name = "share of nodes of which another class is likeliest"
    row_name = "nodes"

    def __init__(self, module: NodeClassifier, data: NodeDataModule) -> None:
        super().__init__(module, data)
        self.labels = tuple(data.class_names)

    @property
    @override
    def node_names(self) -> np.ndarray | None:
        return self.data.node_names

    @property
    @override
    def id_columns(self) -> tuple[str, ...] | None:
        columns = self.data.source.id_columns
        return None if columns is None else columns[:1]

    @property
    @override
    def num_nodes(self) -> int:
        return self.data.num_nodes

    @property
    @override
    def inputs(self) -> tuple[TensorSpec, ...]:
        return (self.input_of(_INPUT),)

    @property
    @override
    def outputs(self) -> tuple[TensorSpec, ...]:
        return (TensorSpec(_OUTPUT, "float32", ("batch", self.module.num_classes), unit="probability"),)

    @override
    def network(self) -> nn.Module:
        return _Nodes(NodeTable(self.module.encoder, self.data.graph))

    @override
    def example(self) -> tuple[Tensor, ...]:
        return (torch.tensor([1, 0]),)

    @override
    def walk(self) -> Iterator[TestBatch]:
        yield from self._test_batches

    @cached_property
    def _test_batches(self) -> list[TestBatch]:
        batches = []
        for batch in self.data.test_dataloader():
            predicted = self.module.predict_step(batch, 0)
            nodes = predicted["node_id"].numpy()
            step = self.module.step(batch)
            answer = {_OUTPUT: predicted["probabilities"].numpy()}
            request = {_INPUT: self.named(nodes)}
            # Not the batch itself, which may be one of many sampled graphs.
            targets = Data(y=step.targets, target_index=torch.arange(len(step.targets)))
            batches.append(TestBatch(rows=nodes, request=request, answer=answer, step=step, batch=targets))
        return batches

    @override
    def module_outputs(self, answer: Mapping[str, Tensor]) -> Tensor:
        return answer[_OUTPUT].clamp_min(torch.finfo(torch.float32).tiny).log()

    @override
    def errors(self, outputs: Tensor, batch: Data) -> Tensor:
        return 1.0 - (outputs.argmax(dim=-1) == batch.y).double()

    @override
    def slices(self, outputs: Tensor, test_batch: TestBatch) -> Mapping[str, np.ndarray]:
        return {
            "class": np.array([(self.labels or ())[target] for target in test_batch.batch.y.tolist()], dtype=np.str_),
            "degree": self._degrees[test_batch.rows],
        }

    @cached_property
    def _degrees(self) -> np.ndarray:
        return degrees(self.data.graph).numpy()

    @override
    def targets(self, test_batch: TestBatch) -> Arrays:
        return {"target": np.array(self.labels, dtype=np.str_)[test_batch.batch.y.numpy()]}

    @override
    def sample(self, count: int) -> Sample:
        batches = self._test_batches
        rows = np.concatenate([batch.rows for batch in batches])
        positions = spread(len(rows), count)
        expected = np.concatenate([batch.answer[_OUTPUT] for batch in batches])[positions]
        targets = np.concatenate([batch.batch.y.numpy() for batch in batches])[positions]
        names = np.array(self.labels, dtype=np.str_)[targets]
        return Sample(rows[positions], {_INPUT: self.named(rows[positions])}, {_OUTPUT: expected}, {"target": names})


class _Nodes(nn.Module):
    def __init__(self, nodes: NodeTable) -> None:
        super().__init__()
        self.nodes = nodes

    def forward(self, node_id: Tensor) -> tuple[Tensor]:
        """Probabilities of the classes of some nodes."""
        return (self.nodes(node_id).softmax(dim=-1),)
