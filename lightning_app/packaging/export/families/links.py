"""Links of one graph: the ids of two nodes to the probability of a link between them."""

from collections.abc import Iterator, Mapping
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data
from typing_extensions import override

from datamodules.graph import LinkDataModule
from lightning_app.packaging.export.exporter import Judged, Sample, Tested, as_tensor, spread
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
    """

    task = "link_prediction"
    data_module = LinkDataModule
    module: LinkPredictor
    data: LinkDataModule

    def __init__(self, module: LinkPredictor, data: LinkDataModule) -> None:
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
    def walk(self) -> Iterator[Tested]:
        yield from self._tested

    @cached_property
    def _tested(self) -> list[Tested]:
        found, seen = [], 0
        for batch in self.data.test_dataloader():
            pairs, labels = batch.edge_label_index, batch.edge_label
            negatives = batch.get("negative_index")
            every = pairs if negatives is None else torch.cat([pairs, negatives.flatten(1).long()], dim=1)
            asked = Data(**{**batch.to_dict(), "edge_label_index": every})
            nodes = batch.node_id[every]
            predicted = self.module.predict_step(asked, 0)
            answer = {name: predicted[name].numpy() for name in (_PROBABILITY, _LOGIT)}
            request = {name: self.named(end.numpy()) for name, end in zip(_ENDS, nodes, strict=True)}
            rows = seen + np.arange(nodes.shape[1])
            count = None if negatives is None else negatives.shape[1:]
            found.append(Tested(rows, request, answer, self.module.step(batch), (labels, count, nodes.numpy())))
            seen += len(rows) if count is None else count[0]
        return found

    @override
    def judge(self, answer: Mapping[str, np.ndarray], tested: Tested) -> Judged:
        labels, count, nodes = tested.batch
        logits = as_tensor(answer[_LOGIT])
        degree = np.minimum(*self._degrees[nodes])
        if count is None:
            errors = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
            kinds = np.where(labels.numpy() > 0, "link", "none")
            slices = {"pair": kinds, "degree": degree}
            return Judged(self.module.judged(logits, labels), errors.double().numpy(), slices)
        assert isinstance(self.module, LinkRanker)
        positive, negative = logits[: count[0]], logits[count[0] :].view(count)
        above = (negative >= positive.unsqueeze(1)).sum(dim=1)
        return Judged(
            step=self.module.ranked(positive, negative),
            errors=(1.0 - 1.0 / (1.0 + above.double())).numpy(),
            slices={"degree": degree[: count[0]]},
            rows=tested.rows[: count[0]],
        )

    @cached_property
    def _degrees(self) -> np.ndarray:
        return degrees(self._graph).numpy()

    @override
    def sample(self, count: int) -> Sample:
        parts = self._tested
        kept = [len(part.rows) if part.batch[1] is None else part.batch[1][0] for part in parts]
        rows = np.concatenate([part.rows[:size] for part, size in zip(parts, kept, strict=True)])
        places = spread(len(rows), count)

        def joined(name: str, source: str) -> np.ndarray:
            values = [getattr(part, source)[name][:size] for part, size in zip(parts, kept, strict=True)]
            return np.concatenate(values)[places]

        labels = np.concatenate([part.batch[0].numpy()[:size] for part, size in zip(parts, kept, strict=True)])
        return Sample(
            rows=rows[places],
            request={name: joined(name, "request") for name in _ENDS},
            answer={name: joined(name, "answer") for name in (_PROBABILITY, _LOGIT)},
            targets={"is_link": labels[places] > 0},
        )


class _Links(nn.Module):
    def __init__(self, nodes: NodeTable, decoder: nn.Module) -> None:
        super().__init__()
        self.nodes = nodes
        self.decoder = decoder

    def forward(self, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Probability and logit of a link between each pair."""
        count = source.shape[0]
        ends = self.nodes(torch.cat([source, target]))  # (2 B, D): a decoder may work on every node that it is given
        places = torch.arange(2 * count).view(2, count)
        logits: Tensor = self.decoder(ends, places)
        return logits.sigmoid(), logits
