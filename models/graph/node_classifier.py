"""NodeClassifier, the LightningModule for classification of nodes."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score
from typing_extensions import override

from models.base import BaseModule, OptimizerFactory, SchedulerFactory, StepOutput
from models.graph.encoders.hetero import edge_type_name
from models.graph.encoders.whole_graph import PreparedGraphs, encode
from models.parameter_groups import decay_by_prefix


class NodeClassifier(BaseModule):
    """Trains an encoder with one logit per class for each node.

    A batch is a whole graph, whose nodes `target_index` are classified, or a sampled subgraph.

    Args:
        encoder: Maps (x, edge_index, edge_weight) to (N, num_classes), see `GraphEncoder`; on heterogeneous graphs it
            maps two dicts, see `HeteroSAGE`.
        num_features: Features of a node, F; a dict by node type for heterogeneous graphs.
        num_classes: Number of classes.
        weight_decay: Weight decay by prefix of parameter names, e.g. `{encoder.layers.0: 0.0005}`; the longest prefix
            wins. Parameters that match none use the optimizer's default.
        optimizer: Optimizer factory.
        scheduler: Scheduler factory, see `BaseModule`.
    """

    exporter = "lightning_app.packaging.export.families.nodes:NodeExporter"
    run_callbacks = ("lightning_app.evaluation.confusion:ConfusionMatrix",)
    injected_arguments = (*BaseModule.injected_arguments, "encoder")

    def __init__(
        self,
        *,
        encoder: nn.Module,
        num_features: int | dict[str, int],
        num_classes: int,
        weight_decay: dict[str, float] | None = None,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
    ) -> None:
        if num_classes < 2:
            raise ValueError(f"model.num_classes: {num_classes} given, at least 2 are needed to classify")
        self.num_classes = num_classes  # read by configure_metrics
        super().__init__(optimizer=optimizer, scheduler=scheduler)
        output_size = getattr(encoder, "output_size", num_classes)
        if output_size != num_classes:
            raise ValueError(
                f"model.encoder.output_size: {output_size} given, a logit for each of {num_classes} classes is needed"
            )
        self.encoder = encoder
        self.prepared = PreparedGraphs()
        self.num_features = num_features
        self.weight_decay = weight_decay or {}

    @override
    def configure_metrics(self) -> MetricCollection:
        return MetricCollection(
            {
                "accuracy": MulticlassAccuracy(self.num_classes, average="micro"),
                "macro_f1": MulticlassF1Score(self.num_classes, average="macro"),
            }
        )

    @override
    def parameters_to_train(self) -> list[nn.Parameter] | list[dict[str, Any]]:
        return decay_by_prefix(self, self.weight_decay)

    def forward(
        self,
        x: Tensor | dict[str, Tensor],
        edge_index: Tensor | dict[str, Tensor],
        edge_weight: Tensor | None = None,
    ) -> Tensor:
        """Logits of every node; on heterogeneous graphs of every node of the target type.

        Args:
            x: float32 (N, F); a dict by node type for heterogeneous graphs.
            edge_index: int64 (2, E), sources and targets; a dict by edge type, written `source__relation__target`.
            edge_weight: float32 (E,), or None.

        Returns:
            (N, num_classes).
        """
        if edge_weight is None:
            return self.encoder(x, edge_index)
        return self.encoder(x, edge_index, edge_weight)

    def _logits(self, batch: Data) -> Tensor:
        meaning = "(nodes, num_classes)"
        return encode(self.encoder, batch, self.prepared, width=self.num_classes, meaning=meaning)

    @override
    def step(self, batch: Data) -> StepOutput:
        return self.evaluate(self._logits(batch)[batch.target_index], batch)

    @override
    def evaluate(self, outputs: Tensor, batch: Data) -> StepOutput:
        """See `BaseModule.evaluate`.

        Args:
            outputs: Logits of the nodes in `target_index`, (N, num_classes).
            batch: With `y` and `target_index`.
        """
        targets = batch.y[batch.target_index]
        loss = F.cross_entropy(outputs, targets)
        return StepOutput(loss=loss, predictions=outputs, targets=targets, weight=len(targets))

    @override
    def predict_step(self, batch: Data, batch_idx: int) -> dict[str, Tensor]:
        logits = self._logits(batch)[batch.target_index]
        return {"node_id": batch.node_id[batch.target_index], "probabilities": logits.softmax(-1)}

    @override
    def example_inputs(self) -> dict[str, Any]:
        edge_index = torch.tensor([[0, 1, 2, 3], [1, 0, 3, 2]])
        if isinstance(self.num_features, int):
            return {"x": torch.randn(5, self.num_features), "edge_index": edge_index}
        return {
            "x": {name: torch.randn(5, width) for name, width in self.num_features.items()},
            "edge_index": dict.fromkeys(self._edge_type_names(), edge_index),
        }

    def dynamic_axes(self) -> dict[str, Any]:
        """Dynamic axes of the inputs, by name: what each varying dimension counts."""
        if isinstance(self.num_features, int):
            return {"x": {0: "nodes"}, "edge_index": {1: "edges"}, "edge_weight": {0: "edges"}}
        return {
            "x": {name: {0: f"nodes__{name}"} for name in self.num_features},
            "edge_index": {name: {1: f"edges__{name}"} for name in self._edge_type_names()},
        }

    def _edge_type_names(self) -> list[str]:
        edge_types: Any = self.encoder.edge_types  # every heterogeneous encoder lists its edge types
        return [edge_type_name(edge_type) for edge_type in edge_types]
