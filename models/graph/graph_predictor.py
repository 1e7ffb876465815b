"""GraphPredictor, the LightningModule for classification and regression of whole graphs."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import SumAggregation
from torchmetrics import MeanAbsoluteError, MeanSquaredError, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score
from typing_extensions import override

from models.base import BaseModule, OptimizerFactory, SchedulerFactory, StepOutput
from models.graph.encoders.whole_graph import encode
from models.output_shape import check_output


class ReadoutHead(nn.Sequential):
    """MLP with one hidden layer from the readout of a graph to its prediction.

    Sum readouts grow with the graph; without the batch norm, one step at learning rate 0.01 can set the whole hidden
    layer to zero for good (GIN on ENZYMES stays at chance).

    Args:
        input_size: Numbers per graph of the readout.
        hidden_size: Width of the hidden layer.
        output_size: Outputs per graph.
        dropout: Dropout before the last layer.
    """

    def __init__(self, *, input_size: int, hidden_size: int, output_size: int, dropout: float) -> None:
        super().__init__(
            nn.BatchNorm1d(input_size),
            nn.Linear(input_size, hidden_size),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden_size, output_size),
        )


class GraphPredictor(BaseModule):
    """Encodes the nodes, pools them per graph, and predicts the graph's class or values.

    The readout of a graph without nodes is zeros. Edge features are ignored. Node features that are more than truth
    values are standardised with mean and standard deviation over the nodes of the training graphs, because attributes
    in units of their own would drown the rest. Regression targets are standardised with mean and standard deviation of
    the training graphs. The checkpoint contains all of them. Losses are on that scale,
    `forward` and the metrics in raw units.

    Args:
        encoder: Maps (x, edge_index, edge_weight) to (N, D), see `GraphEncoder`.
        num_features: Features of a node, F.
        num_classes: Classes, C; 0 for regression.
        num_targets: Values per graph, T; unused for classification.
        pooling: Pools (N, D) with the graph index of each node to (G, R), e.g. `torch_geometric.nn.MeanAggregation`;
            None for `SumAggregation`.
        head: Maps the readout (G, R) to (G, C) or (G, T); None for a `ReadoutHead`.
        head_size: Hidden size of the default head.
        dropout: Dropout of the default head.
        loss: (predictions, targets) -> loss, e.g. `torch.nn.L1Loss`; None for cross-entropy or squared error.
        optimizer: Optimizer factory.
        scheduler: Scheduler factory, see `BaseModule`.
    """

    exporter = "lightning_app.packaging.export.families.graphs:GraphExporter"
    run_callbacks = ("lightning_app.evaluation.confusion:ConfusionMatrix",)
    injected_arguments = (*BaseModule.injected_arguments, "encoder", "pooling", "head", "loss")

    feature_mean: Tensor
    feature_std: Tensor
    target_mean: Tensor
    target_std: Tensor

    def __init__(
        self,
        *,
        encoder: nn.Module,
        num_features: int,
        num_classes: int = 0,
        num_targets: int = 1,
        pooling: nn.Module | None = None,
        head: nn.Module | None = None,
        head_size: int = 64,
        dropout: float = 0.5,
        loss: nn.Module | None = None,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
    ) -> None:
        if num_classes == 1 or num_classes < 0:
            raise ValueError(f"model.num_classes: {num_classes} given, at least 2 are needed, or 0 to predict values")
        self.num_classes = num_classes  # read by configure_metrics
        super().__init__(optimizer=optimizer, scheduler=scheduler)
        self.num_features = num_features
        self.encoder = encoder
        self.pooling = pooling or SumAggregation()
        num_outputs = num_classes or num_targets
        self.head = head or ReadoutHead(
            input_size=_readout_size(self.pooling, encoder),
            hidden_size=head_size,
            output_size=num_outputs,
            dropout=dropout,
        )
        self.loss = loss or (nn.CrossEntropyLoss() if num_classes else nn.MSELoss())
        self._has_batch_norm = any(isinstance(module, nn.BatchNorm1d) for module in self.modules())
        self.register_buffer("feature_mean", torch.zeros(num_features))
        self.register_buffer("feature_std", torch.ones(num_features))
        self.register_buffer("target_mean", torch.zeros(0 if num_classes else num_targets))
        self.register_buffer("target_std", torch.ones(0 if num_classes else num_targets))

    @override
    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Features of checkpoints from before they were standardised stay as they are."""
        state_dict.setdefault(f"{prefix}feature_mean", torch.zeros(self.num_features))
        state_dict.setdefault(f"{prefix}feature_std", torch.ones(self.num_features))
        super()._load_from_state_dict(state_dict, prefix, *args)

    @override
    def configure_metrics(self) -> MetricCollection:
        if self.num_classes:
            return MetricCollection(
                {
                    "accuracy": MulticlassAccuracy(self.num_classes, average="micro"),
                    "macro_f1": MulticlassF1Score(self.num_classes, average="macro"),
                }
            )
        return MetricCollection({"mae": MeanAbsoluteError(), "rmse": MeanSquaredError(squared=False)})

    @override
    def setup(self, stage: str) -> None:
        """Sets statistics of training graphs from the data module; a checkpoint loaded later overrides them."""
        data = getattr(self.trainer, "datamodule", None)
        of_features = getattr(data, "feature_statistics", None)
        if stage == "fit" and of_features is not None:
            mean, std = of_features()
            self.feature_mean.copy_(mean)
            self.feature_std.copy_(std)
        statistics = getattr(data, "target_statistics", None)
        if stage == "fit" and not self.num_classes and statistics is not None:
            mean, std = statistics()
            self.target_mean.copy_(mean)
            self.target_std.copy_(std)

    def forward(
        self, x: Tensor, edge_index: Tensor, batch: Tensor, graph_id: Tensor, edge_weight: Tensor | None = None
    ) -> Tensor:
        """Logits, or values in raw units, of every graph.

        Args:
            x: float32 (N, F), the nodes of all graphs.
            edge_index: int64 (2, E), sources and targets.
            batch: int64 (N,), index in `graph_id` of each node's graph, ascending.
            graph_id: int64 (G,), any numbers; only its length is used, the number of graphs. A tensor, because the last
                graphs may have no nodes, and an export would freeze an int.
            edge_weight: float32 (E,), or None.

        Returns:
            (G, C) or (G, T).
        """
        weight = () if edge_weight is None else (edge_weight,)
        graphs = {"batch": batch, "graphs": graph_id} if getattr(self.encoder, "takes_graphs", False) else {}
        nodes = self.encoder(self._standardize_features(x), edge_index, *weight, **graphs)
        return self._raw(self._read_out(nodes, batch, graph_id))

    def _standardize_features(self, x: Tensor) -> Tensor:
        return (x - self.feature_mean) / self.feature_std

    def _outputs(self, batch: Data) -> Tensor:
        """Logits (G, C), or standardised values (G, T)."""
        scaled = copy.copy(batch)
        scaled.x = self._standardize_features(batch.x)
        return self._read_out(encode(self.encoder, scaled), batch.batch, batch.graph_id)

    def _read_out(self, nodes: Tensor, batch: Tensor, graph_id: Tensor) -> Tensor:
        """Pools nodes (N, D) and applies the head: logits (G, C), or standardised values (G, T)."""
        outputs = self.head(self.pooling(nodes, batch, dim_size=graph_id.size(0)))
        meaning = "(graphs, num_classes)" if self.num_classes else "(graphs, num_targets)"
        width = self.num_classes or len(self.target_mean)
        check_output(outputs, (None, width), part=self.head, key="model.head", meaning=meaning)
        return outputs

    def _raw(self, outputs: Tensor) -> Tensor:
        return outputs if self.num_classes else outputs * self.target_std + self.target_mean

    @override
    def step(self, batch: Data) -> StepOutput:
        if self.training and len(batch.graph_id) == 1 and self._has_batch_norm:
            raise ValueError("data.batch_size: 1 graph has no statistics for a batch norm; give at least 2")
        outputs = self._outputs(batch)
        return self._step_output(outputs, self._raw(outputs), batch)

    @override
    def evaluate(self, outputs: Tensor, batch: Data) -> StepOutput:
        """See `BaseModule.evaluate`.

        Args:
            outputs: Logits (G, C), or values in raw units (G, T).
            batch: With `y` and `graph_id`.
        """
        return self._step_output(self.standardize(outputs), outputs, batch)

    def standardize(self, values: Tensor) -> Tensor:
        """Values (G, T) in units of the training targets' deviation; of classes as they are."""
        return values if self.num_classes else (values - self.target_mean) / self.target_std

    def _step_output(self, standardized: Tensor, raw: Tensor, batch: Data) -> StepOutput:
        return StepOutput(
            loss=self.loss(standardized, self.standardize(batch.y)),
            predictions=raw,
            targets=batch.y,
            weight=len(batch.graph_id),
        )

    @override
    def predict_step(self, batch: Data, batch_idx: int) -> dict[str, Tensor]:
        outputs = self._raw(self._outputs(batch))
        name, values = ("probabilities", outputs.softmax(-1)) if self.num_classes else ("value", outputs)
        return {"graph_id": batch.graph_id, name: values}

    @override
    def example_inputs(self) -> dict[str, Tensor]:
        edge_index = torch.tensor([[0, 1, 2, 3, 4], [1, 0, 3, 4, 3]])
        return {
            "x": torch.randn(5, self.num_features),
            "edge_index": edge_index,
            "batch": torch.tensor([0, 0, 1, 1, 1]),
            "graph_id": torch.arange(2),
        }

    def dynamic_axes(self) -> dict[str, dict[int, str]]:
        """Dynamic axes of the inputs, by name: what each varying dimension counts."""
        return {
            "x": {0: "nodes"},
            "edge_index": {1: "edges"},
            "batch": {0: "nodes"},
            "graph_id": {0: "graphs"},
            "edge_weight": {0: "edges"},
        }


def _readout_size(pooling: nn.Module, encoder: nn.Module) -> int:
    """Numbers per graph of a readout, R, measured on two nodes of zeros."""
    output_size: Any = getattr(encoder, "output_size", None) or getattr(encoder, "out_channels", None)
    if output_size is None:
        raise ValueError(
            f"model.head: {type(encoder).__name__} has no output_size to make a head for; give model.head yourself"
        )
    with torch.no_grad():
        index = torch.zeros(2, dtype=torch.long)
        return int(pooling(torch.zeros(2, int(output_size)), index, dim_size=1).shape[-1])
