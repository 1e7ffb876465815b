"""Classifiers of the nodes of one graph: the id of a node to the probabilities of its classes."""

from collections.abc import Iterator, Mapping
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from datamodules.graph import NodeDataModule
from lightning_app.packaging.export.exporter import Judged, Sample, Tested, as_tensor, spread
from lightning_app.packaging.export.families.transductive import NodeTable, TransductiveExporter, degrees
from lightning_app.packaging.format.manifest import TensorSpec
from models import StepOutput
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
    def walk(self) -> Iterator[Tested]:
        yield from self._tested

    @cached_property
    def _tested(self) -> list[Tested]:
        found = []
        for batch in self.data.test_dataloader():
            predicted = self.module.predict_step(batch, 0)
            nodes = predicted["node_id"].numpy()
            step = self.module.step(batch)
            answer = {_OUTPUT: predicted["probabilities"].numpy()}
            request = {_INPUT: self.named(nodes)}
            found.append(Tested(rows=nodes, request=request, answer=answer, step=step, batch=step.targets))
        return found

    @override
    def judge(self, answer: Mapping[str, np.ndarray], tested: Tested) -> Judged:
        targets: Tensor = tested.batch
        logits = as_tensor(answer[_OUTPUT]).clamp_min(torch.finfo(torch.float32).tiny).log()
        right = logits.argmax(dim=-1) == targets
        return Judged(
            step=StepOutput(
                loss=F.cross_entropy(logits, targets), predictions=logits, targets=targets, weight=len(targets)
            ),
            errors=1.0 - right.double().numpy(),
            slices={
                "class": np.array([(self.labels or ())[target] for target in targets.tolist()], dtype=np.str_),
                "degree": self._degrees[tested.rows],
            },
        )

    @cached_property
    def _degrees(self) -> np.ndarray:
        return degrees(self.data.graph).numpy()

    @override
    def sample(self, count: int) -> Sample:
        rows = np.concatenate([tested.rows for tested in self._tested])
        places = spread(len(rows), count)
        expected = np.concatenate([tested.answer[_OUTPUT] for tested in self._tested])[places]
        targets = np.concatenate([tested.batch.numpy() for tested in self._tested])[places]
        names = np.array(self.labels, dtype=np.str_)[targets]
        return Sample(rows[places], {_INPUT: self.named(rows[places])}, {_OUTPUT: expected}, {"target": names})


class _Nodes(nn.Module):
    def __init__(self, nodes: NodeTable) -> None:
        super().__init__()
        self.nodes = nodes

    def forward(self, node_id: Tensor) -> tuple[Tensor]:
        """Probabilities of the classes of some nodes."""
        return (self.nodes(node_id).softmax(dim=-1),)
