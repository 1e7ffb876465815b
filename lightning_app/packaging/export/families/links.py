"""Exporter of link predictors on one graph: from the ids of two nodes to the probability of a link between them."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data
from typing_extensions import override

from datamodules.graph import LinkDataModule
from lightning_app.errors import UsageError
from lightning_app.packaging.export.batches import Arrays, Evaluation, Sample, TestBatch, spread
from lightning_app.packaging.export.families.transductive import NodeTable, TransductiveExporter, degrees
from lightning_app.packaging.format.manifest import TensorSpec
from models.graph import LinkPredictor, LinkRanker

_ENDS = ("source", "target")
_LOGIT, _PROBABILITY = "logit", "probability"


class LinkExporter(TransductiveExporter):
    """`LinkPredictor` or `LinkRanker` on a graph.

    Args:
        module: The model with the weights of the checkpoint, in evaluation.
        data: The data module, after `setup("test")`.

    Raises:
        UsageError: The decoder reads edges.
    """

    task = "link_prediction"
    data_module = LinkDataModule
    module: LinkPredictor
    data: LinkDataModule

    def __init__(self, module: LinkPredictor, data: LinkDataModule) -> None:
        if getattr(module.decoder, "reads_edges", False):
            raise UsageError(
                f"model.decoder: {type(module.decoder).__name__} reads the edges around each pair, while a package of "
                "links has a vector per node alone; answer by `lightning-app predict` with data.pairs, or export a "
                "model with another decoder"
            )
        super().__init__(module, data)
        self.ranks = isinstance(module, LinkRanker)
        self.error_name = "1 minus the reciprocal rank" if self.ranks else "cross-entropy of the pair, in nats"
        self.row_name = "links" if self.ranks else "pairs"

    @cached_property
    def _graph(self) -> Data:
        """The graph that messages go along, with all pairs of the test."""
        graph: Data = self.data.dataset("test").batch  # type: ignore[attr-defined]
        return graph

    @property
    @override
    def inputs(self) -> tuple[TensorSpec, ...]:
        return tuple(self.input_of(name) for name in _ENDS)

    @property
    @override
    def node_names(self) -> np.ndarray | None:
        return self.data.node_names

    @property
    @override
    def id_columns(self) -> tuple[str, ...] | None:
        columns = self.data.source.id_columns
        return None if columns is None else columns[1:]

    @property
    @override
    def num_nodes(self) -> int:
        return len(self._graph.x)

    @property
    @override
    def outputs(self) -> tuple[TensorSpec, ...]:
        return (
            TensorSpec(_PROBABILITY, "float32", ("batch",), unit="probability"),
            TensorSpec(_LOGIT, "float32", ("batch",), unit="log odds, which tell apart what rounds to one probability"),
        )

    @override
    def network(self) -> nn.Module:
        return _Links(NodeTable(self.module.encoder, self._graph), self.module.decoder)

    @override
    def example(self) -> tuple[Tensor, ...]:
        return torch.tensor([0, 1]), torch.tensor([1, 0])

    @override
    def walk(self) -> Iterator[TestBatch]:
        yield from self._test_batches

    @cached_property
    def _test_batches(self) -> list[TestBatch]:
        batches, seen = [], 0
        for batch in self.data.test_dataloader():
            pairs, negatives = batch.edge_label_index, batch.get("negative_index")
            every = pairs if negatives is None else torch.cat([pairs, negatives.flatten(1).long()], dim=1)
            request = Data(**{**batch.to_dict(), "edge_label_index": every})
            nodes = batch.node_id[every]
            predicted = self.module.predict_step(request, 0)
            rows = seen + np.arange(nodes.shape[1])
            batches.append(
                TestBatch(
                    rows=rows,
                    request={name: self.named(end.numpy()) for name, end in zip(_ENDS, nodes, strict=True)},
                    answer={name: predicted[name].numpy() for name in (_PROBABILITY, _LOGIT)},
                    step=self.module.step(batch),
                    batch=Data(edge_label=batch.edge_label, negative_index=negatives, nodes=nodes),  # None is left out
                )
            )
            seen += _num_links(batches[-1])
        return batches

    @override
    def evaluate(self, answer: Mapping[str, np.ndarray], test_batch: TestBatch) -> Evaluation:
        rows = test_batch.rows[: _num_links(test_batch)]
        return replace(super().evaluate(answer, replace(test_batch, rows=rows)), rows=rows)

    @override
    def module_outputs(self, answer: Mapping[str, Tensor]) -> Tensor:
        return answer[_LOGIT]

    @override
    def errors(self, outputs: Tensor, batch: Data) -> Tensor:
        if "negative_index" not in batch:
            return F.binary_cross_entropy_with_logits(outputs, batch.edge_label, reduction="none").double()
        num_links, num_negatives = batch.negative_index.shape[1:]
        positive, negative = outputs[:num_links], outputs[num_links:].view(num_links, num_negatives)
        above = (negative >= positive.unsqueeze(1)).sum(dim=1)
        return 1.0 - 1.0 / (1.0 + above.double())

    @override
    def slices(self, outputs: Tensor, test_batch: TestBatch) -> Mapping[str, np.ndarray]:
        batch = test_batch.batch
        degree = np.minimum(*self._degrees[batch.nodes.numpy()])[: _num_links(test_batch)]
        if "negative_index" in batch:
            return {"degree": degree}
        return {"pair": np.where(batch.edge_label.numpy() > 0, "link", "none"), "degree": degree}

    @cached_property
    def _degrees(self) -> np.ndarray:
        return degrees(self._graph).numpy()

    @override
    def targets(self, test_batch: TestBatch) -> Arrays:
        links = test_batch.batch.edge_label.numpy() > 0
        return {"is_link": np.concatenate([links, np.zeros(len(test_batch.rows) - len(links), dtype=bool)])}

    @override
    def sample(self, count: int) -> Sample:
        batches = self._test_batches
        kept = [_num_links(batch) for batch in batches]
        rows = np.concatenate([batch.rows[:size] for batch, size in zip(batches, kept, strict=True)])
        positions = spread(len(rows), count)

        def joined(name: str, source: str) -> np.ndarray:
            values = [getattr(batch, source)[name][:size] for batch, size in zip(batches, kept, strict=True)]
            return np.concatenate(values)[positions]

        labels = [batch.batch.edge_label.numpy()[:size] for batch, size in zip(batches, kept, strict=True)]
        return Sample(
            rows=rows[positions],
            request={name: joined(name, "request") for name in _ENDS},
            answer={name: joined(name, "answer") for name in (_PROBABILITY, _LOGIT)},
            targets={"is_link": np.concatenate(labels)[positions] > 0},
        )


def _num_links(test_batch: TestBatch) -> int:
    """Rows of a batch without the negatives that each link has of its own."""
    batch = test_batch.batch
    return batch.negative_index.shape[1] if "negative_index" in batch else len(test_batch.rows)


class _Links(nn.Module):
    def __init__(self, nodes: NodeTable, decoder: nn.Module) -> None:
        super().__init__()
        self.nodes = nodes
        self.decoder = decoder

    def forward(self, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Probability and logit of a link between each pair."""
        count = source.shape[0]
        ends = self.nodes(torch.cat([source, target]))  # (2 B, D): a decoder may work on every node of its input
        pairs = torch.arange(2 * count).view(2, count)
        logits: Tensor = self.decoder(ends, pairs)
        return logits.sigmoid(), logits
