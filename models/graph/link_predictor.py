"""Link prediction: LinkPredictor (AUC, average precision) and LinkRanker (MRR, hits)."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data
from torchmetrics import MetricCollection
from torchmetrics.classification import BinaryAUROC, BinaryAveragePrecision
from typing_extensions import override

from models.base import BaseModule, OptimizerFactory, SchedulerFactory, StepOutput
from models.graph.encoders.whole_graph import PreparedGraphs, encode
from models.graph.ranking_metrics import HitsAt, MeanReciprocalRank
from models.output_shape import check_output
from models.parameter_groups import decay_by_prefix

_PAIRS_AT_ONCE = 1 << 17


class LinkPredictor(BaseModule):
    """Trains an encoder and a decoder with binary cross-entropy; evaluated by AUC and average precision.

    A batch has message edges `edge_index`, pairs `edge_label_index` int64 (2, P), and their `edge_label` float32 (P,),
    1 for a link. A training batch of a whole graph has only links, and `non_edges` (see `NonEdges`): the same number of
    negatives is sampled anew at each step. They are not edges of the training graph; one in a few thousand may be a
    validation or test link, which training cannot know.

    Args:
        encoder: Maps (x, edge_index, edge_weight) to (N, D), see `GraphEncoder`.
        decoder: Maps (nodes, edge_label_index) to a logit per pair, see `LinkDecoder`; one with `reads_edges` takes the
            message edges too.
        num_features: Features of a node, F.
        weight_decay: Weight decay by prefix of parameter names, see `NodeClassifier`.
        optimizer: Optimizer factory.
        scheduler: Scheduler factory, see `BaseModule`.
    """

    exporter = "lightning_app.packaging.export.families.links:LinkExporter"
    injected_arguments = (*BaseModule.injected_arguments, "encoder", "decoder")

    def __init__(
        self,
        *,
        encoder: nn.Module,
        decoder: nn.Module,
        num_features: int,
        weight_decay: dict[str, float] | None = None,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
    ) -> None:
        super().__init__(optimizer=optimizer, scheduler=scheduler)
        encoder_size, decoder_size = getattr(encoder, "output_size", None), getattr(decoder, "input_size", None)
        if decoder_size is not None and encoder_size is not None and encoder_size != decoder_size:
            raise ValueError(
                f"model.decoder.input_size: {decoder_size} given, the encoder gives {encoder_size} numbers per node "
                "(model.encoder.output_size); set one to the other"
            )
        self.encoder = encoder
        self.prepared = PreparedGraphs()
        self.decoder = decoder
        self.num_features = num_features
        self.weight_decay = weight_decay or {}

    @override
    def configure_metrics(self) -> MetricCollection:
        return MetricCollection({"auc": BinaryAUROC(), "ap": BinaryAveragePrecision()})

    @override
    def parameters_to_train(self) -> list[nn.Parameter] | list[dict[str, Any]]:
        return decay_by_prefix(self, self.weight_decay)

    def forward(
        self, x: Tensor, edge_index: Tensor, edge_label_index: Tensor, edge_weight: Tensor | None = None
    ) -> Tensor:
        """Logits of pairs.

        Args:
            x: float32 (N, F).
            edge_index: int64 (2, E), message edges, sources and targets.
            edge_label_index: int64 (2, P), pairs of nodes.
            edge_weight: float32 (E,), or None.

        Returns:
            (P,).
        """
        weight = () if edge_weight is None else (edge_weight,)
        edges = (edge_index,) if self._reads_edges else ()
        return self.decoder(self.encoder(x, edge_index, *weight), edge_label_index, *edges)

    @property
    def _reads_edges(self) -> bool:
        return bool(getattr(self.decoder, "reads_edges", False))

    @override
    def step(self, batch: Data) -> StepOutput:
        if "negative_index" in batch:
            raise ValueError(
                "model: LinkPredictor measures AUC over all pairs together, but the split has separate negatives "
                "for each link; choose LinkRanker, or data.split: RandomLinkSplit"
            )
        return self.classify(batch)

    def classify(self, batch: Data) -> StepOutput:
        """Loss and scores of links and negatives as one set of pairs."""
        pairs, labels = batch.edge_label_index, batch.edge_label
        if "non_edges" in batch:
            pairs = torch.cat([pairs, batch.non_edges.draw(pairs.shape[1])], dim=1)
            labels = torch.cat([labels, torch.zeros_like(labels)])
        return self.evaluate_pairs(self._scored(encode(self.encoder, batch, self.prepared), pairs, batch), labels)

    @override
    def evaluate(self, outputs: Tensor, batch: Data) -> StepOutput:
        """See `BaseModule.evaluate`.

        Args:
            outputs: Logits of the pairs, (P,).
            batch: With `edge_label`.
        """
        return self.evaluate_pairs(outputs, batch.edge_label)

    def _scored(self, nodes: Tensor, pairs: Tensor, batch: Data) -> Tensor:
        """Logits (P,) of pairs (2, P) in the graph of a batch."""
        if self._reads_edges and "whole_graph" not in batch:
            raise ValueError(
                f"model.decoder: {type(self.decoder).__name__} reads all training edges, but a batch is a sampled "
                "neighbourhood; leave out data.fan_out and data.eval_fan_out, or take another decoder"
            )
        edges = (batch.edge_index,) if self._reads_edges else ()
        logits = self.decoder(nodes, pairs, *edges)
        check_output(logits, (pairs.shape[1],), part=self.decoder, key="model.decoder", meaning="(pairs,)")
        return logits

    def evaluate_pairs(self, logits: Tensor, labels: Tensor) -> StepOutput:
        """Loss and scores of pairs as one set.

        Args:
            logits: (P,).
            labels: float32 (P,), 1 for a link.
        """
        loss = F.binary_cross_entropy_with_logits(logits, labels)
        return StepOutput(loss=loss, predictions=_scores(logits, labels), targets=labels.long(), weight=len(labels))

    def logits(self, batch: Data) -> Tensor:
        """Logits (P,) of the pairs of a batch."""
        return self._scored(encode(self.encoder, batch, self.prepared), batch.edge_label_index, batch)

    @override
    def predict_step(self, batch: Data, batch_idx: int) -> dict[str, Tensor]:
        logits = self.logits(batch)
        source, target = batch.node_id[batch.edge_label_index]
        return {"source": source, "target": target, "probability": logits.sigmoid(), "logit": logits}

    @override
    def example_inputs(self) -> dict[str, Tensor]:
        return {
            "x": torch.randn(5, self.num_features),
            "edge_index": torch.tensor([[0, 1, 2, 3], [1, 0, 3, 2]]),
            "edge_label_index": torch.tensor([[0, 1, 4], [2, 3, 0]]),
        }

    def dynamic_axes(self) -> dict[str, Any]:
        """Dynamic axes of the inputs, by name: what each varying dimension counts."""
        return {
            "x": {0: "nodes"},
            "edge_index": {1: "edges"},
            "edge_label_index": {1: "pairs"},
            "edge_weight": {0: "edges"},
        }


class LinkRanker(LinkPredictor):
    """Trained like `LinkPredictor`, but evaluated by the rank of each link among a separate set of negatives.

    Validation and test batches have `negative_index` (2, P, K) beside the links, as `HardNegatives` makes them. Their
    loss weighs all links and all negatives one half each. Arguments as in `LinkPredictor`.
    """

    @override
    def configure_metrics(self) -> MetricCollection:
        hits = {f"hits_at_{last}": HitsAt(last) for last in (1, 10, 50)}
        return MetricCollection({"mrr": MeanReciprocalRank(), **hits})

    @override
    def step(self, batch: Data) -> StepOutput:
        if "negative_index" in batch:
            return self.rank(batch)
        if not self.training:
            raise ValueError(
                "model: LinkRanker needs negatives of each link, which data.split: HardNegatives gives; "
                "choose that, or LinkPredictor for AUC"
            )
        return self.classify(batch)

    def rank(self, batch: Data) -> StepOutput:
        """Loss and scores (P, 1 + K): column 0 is the link, the others are its negatives."""
        nodes = encode(self.encoder, batch, self.prepared)
        negatives = batch.negative_index.flatten(1)  # (2, P K)
        positive = self._scored(nodes, batch.edge_label_index, batch)
        parts = [self._scored(nodes, part.long(), batch) for part in negatives.split(_PAIRS_AT_ONCE, dim=1)]
        return self.evaluate_ranking(positive, torch.cat(parts).view(batch.negative_index.shape[1:]))

    @override
    def evaluate(self, outputs: Tensor, batch: Data) -> StepOutput:
        """See `BaseModule.evaluate`.

        Args:
            outputs: Logits of the links, then of all their negatives, (P + P K,).
            batch: With `negative_index` (2, P, K).
        """
        num_links, num_negatives = batch.negative_index.shape[1:]
        return self.evaluate_ranking(outputs[:num_links], outputs[num_links:].view(num_links, num_negatives))

    def evaluate_ranking(self, positive: Tensor, negative: Tensor) -> StepOutput:
        """Loss and scores of links, each with a separate set of negatives.

        Args:
            positive: Logits of the links, (P,).
            negative: Logits of their negatives, (P, K).
        """
        loss = (F.softplus(-positive).mean() + F.softplus(negative).mean()) / 2
        targets = torch.zeros(len(positive), dtype=torch.long, device=positive.device)
        predictions = torch.cat([positive.unsqueeze(1), negative], dim=1)
        return StepOutput(loss=loss, predictions=predictions, targets=targets, weight=len(targets))


def _scores(logits: Tensor, labels: Tensor) -> Tensor:
    """Order-preserving map of logits to (0, 1), float64 (P,), so that torchmetrics uses them unchanged.

    torchmetrics applies a sigmoid to batches with values outside [0, 1] only, which makes batches inconsistent; and the
    float32 sigmoid of all logits from 17 on is 1. NaN logits count as wrong for either label.
    """
    squashed = F.softsign(logits.detach().double().clamp(-1e38, 1e38))  # softsign(inf) is NaN
    return torch.where(squashed.isnan(), 1 - labels.double(), (1 + squashed) / 2)
