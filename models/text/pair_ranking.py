"""Pair ranking: mean reciprocal rank and recall of each anchor's positive among the positives of all pairs."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torchmetrics import Metric
from typing_extensions import override

_ANCHORS = 256
"""Anchors whose similarities to all positives are in memory at once."""


class PairRanks:
    """Ranks of the positives of all pairs, computed once for all metrics that share it."""

    def __init__(self) -> None:
        self._known: tuple[Tensor, Tensor, Tensor] | None = None

    def of(self, embeddings: Tensor, texts: Tensor) -> Tensor:
        """Rank of each pair's positive, float32 (N,), counted from 1.

        Args:
            embeddings: Of anchor and positive, (N, 2, E).
            texts: Numbers of their texts, int64 (N, 2).
        """
        if self._known is not None:  # metrics hold copies of one state, so that identity says nothing
            *pairs, ranks = self._known
            if ranks.device == embeddings.device and all(map(torch.equal, pairs, (embeddings, texts))):
                return ranks
        anchors, positives = embeddings.unbind(dim=1)
        parts = [
            _ranks(anchors[start : start + _ANCHORS], positives, texts[start : start + _ANCHORS], texts, start)
            for start in range(0, len(anchors), _ANCHORS)
        ]
        ranks = torch.cat(parts)
        self._known = embeddings, texts, ranks
        return ranks

    def clear(self) -> None:
        """Forgets the ranks."""
        self._known = None


class PairRanking(Metric, ABC):
    """Mean over pairs of a function of the positive's rank among the positives of all pairs seen.

    Positives of pairs that share the anchor's text or the positive's text are no competitors. Ties get the mean of the
    tied ranks; a similarity of NaN ranks last. All embeddings are kept until `compute`.

    Args:
        ranks: Shared by metrics of the same pairs; None for ranks of its own.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    embeddings: list[Tensor]
    texts: list[Tensor]

    def __init__(self, *, ranks: PairRanks | None = None) -> None:
        super().__init__()
        self._ranks = PairRanks() if ranks is None else ranks
        self.add_state("embeddings", default=[], dist_reduce_fx="cat")
        self.add_state("texts", default=[], dist_reduce_fx="cat")

    @abstractmethod
    def worth(self, rank: Tensor) -> Tensor:
        """Contribution (B,) of pairs with ranks float32 (B,), counted from 1."""

    def update(self, embeddings: Tensor, texts: Tensor) -> None:
        """Adds pairs.

        Args:
            embeddings: Of anchor and positive, (B, 2, E).
            texts: Number of the anchor's and of the positive's text, int64 (B, 2); equal texts have equal numbers.
        """
        self.embeddings.append(embeddings.float())
        self.texts.append(texts)

    def compute(self) -> Tensor:
        """The mean over all pairs."""
        ranks = self._ranks.of(_joined(self.embeddings), _joined(self.texts))
        return self.worth(ranks).double().mean().float()

    @override
    def reset(self) -> None:
        super().reset()
        self._ranks.clear()


class PairReciprocalRank(PairRanking):
    """Mean reciprocal rank (MRR)."""

    def worth(self, rank: Tensor) -> Tensor:
        """Reciprocal rank."""
        return 1 / rank


class PairRecall(PairRanking):
    """Recall@k: share of pairs whose positive has rank k or better.

    Args:
        top: k.
        ranks: See `PairRanking`.
    """

    def __init__(self, top: int, *, ranks: PairRanks | None = None) -> None:
        super().__init__(ranks=ranks)
        self.top = top

    def worth(self, rank: Tensor) -> Tensor:
        """1 for a positive that is found, else 0."""
        return (rank <= self.top).float()


def _ranks(anchors: Tensor, positives: Tensor, own_texts: Tensor, texts: Tensor, start: int) -> Tensor:
    """Ranks (B,) of the positives of rows `start` to `start + B`."""
    similarity = anchors @ positives.T  # (B, N)
    rows = torch.arange(len(anchors), device=anchors.device)
    own = similarity[rows, start + rows].unsqueeze(1)
    competes = ~same_texts(own_texts, texts)
    not_lower = (~(similarity < own) & competes).sum(1)
    equal = ((similarity == own) & competes).sum(1)
    return 1 + not_lower - equal / 2


def same_texts(first: Tensor, second: Tensor) -> Tensor:
    """Whether two pairs share their anchor's or their positive's text, bool (B, N).

    Args:
        first: Numbers of the texts, int64 (B, 2).
        second: int64 (N, 2).
    """
    return (first[:, None] == second[None]).any(dim=2)


def _joined(parts: list[Tensor] | Tensor) -> Tensor:
    """State of a metric, which is one tensor once it was reduced over processes."""
    return parts if isinstance(parts, Tensor) else torch.cat(parts)
