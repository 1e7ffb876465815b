"""Predictors of whole graphs: features and edges of each graph to its class or its values."""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from datamodules.graph import GraphDataModule
from lightning_app.packaging.export.exporter import Exporter, Judged, Sample, Tested, as_tensor, spread
from lightning_app.packaging.format.manifest import TensorSpec
from models import StepOutput
from models.graph import GraphPredictor


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

    @override
    def network(self) -> nn.Module:
        return _Graphs(self.module)

    @override
    def example(self) -> tuple[Tensor, ...]:
        example = self.module.example_inputs()
        weight = (torch.rand(example["edge_index"].shape[1]),) if self._has_weights else ()
        return (*(example[name] for name in ("x", "edge_index", "batch", "graph_id")), *weight)

    @override
    def walk(self) -> Iterator[Tested]:
        total, size = len(self.data.dataset("test")), self.data.eval_batch_size
        for start in range(0, total, size):
            yield self._tested(np.arange(start, min(start + size, total)))

    def _tested(self, places: np.ndarray) -> Tested:
        batch = self.data.dataset("test").__getitems__(places)
        predicted = self.module.predict_step(batch, 0)
        answer = predicted[self.output]
        rows = batch.graph_id.numpy()
        return Tested(rows, self._request(rows), {self.output: answer.numpy()}, self.module.step(batch), batch.y)

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
    def judge(self, answer: Mapping[str, np.ndarray], tested: Tested) -> Judged:
        module, targets = self.module, tested.batch
        given = as_tensor(answer[self.output])
        size = np.array([len(x) for x in tested.request["x"]], dtype=np.float64)
        slices: dict[str, np.ndarray] = {"nodes": size}
        if module.num_classes:
            predictions = given.clamp_min(torch.finfo(torch.float32).tiny).log()
            loss = module.loss(predictions, targets)
            errors = 1.0 - (given.argmax(dim=-1) == targets).double()
            slices["class"] = np.array([(self.labels or ())[target] for target in targets.tolist()], dtype=np.str_)
        else:
            predictions = given
            found, wanted = ((values - module.target_mean) / module.target_std for values in (given, targets))
            loss = module.loss(found, wanted)
            errors = (found - wanted).abs().double().mean(dim=1)
        step = StepOutput(loss=loss, predictions=predictions, targets=targets, weight=len(targets))
        return Judged(step=step, errors=errors.numpy(), slices=slices)

    @override
    def sample(self, count: int) -> Sample:
        tested = self._tested(spread(len(self.data.dataset("test")), count))
        targets = tested.batch.numpy()
        if self.labels is not None:
            targets = np.array(self.labels, dtype=np.str_)[targets]
        ids = {"graph_id": self.data.ids_of(tested.rows)}
        return Sample(tested.rows, tested.request, tested.answer, {"target": targets}, ids)


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
