from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.losses import InfoNCE
from models.text.pair_ranking import PairRecall, PairReciprocalRank
from models.text.pooling import MeanPooling
from models.text.text_embedder import TextEmbedder


class TokenVectors(nn.Module):
    def __init__(self, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.vectors = nn.Embedding(20, 8)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(8, 8)

    def forward(self, token_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.output(self.dropout(self.vectors(token_ids)).tanh())


def pairs(count: int = 10) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(1)
    batch = {"row": torch.arange(count), "texts": torch.arange(2 * count).view(2, count).T.contiguous()}
    for role in ("anchor", "positive", "negative"):
        lengths = torch.randint(1, 7, (count, 1), generator=draw)
        mask = (torch.arange(6) < lengths).long()
        batch[f"{role}_token_ids"] = torch.randint(1, 20, (count, 6), generator=draw) * mask
        batch[f"{role}_attention_mask"] = mask
    return batch


def embedder(*, dropout: float = 0.0, micro_batch_size: int | None = None) -> TextEmbedder:
    torch.manual_seed(0)
    return TextEmbedder(
        encoder=TokenVectors(dropout=dropout),
        pooling=MeanPooling(),
        loss=InfoNCE(temperature=0.1),
        micro_batch_size=micro_batch_size,
        optimizer=partial(torch.optim.SGD, lr=0.1),
    ).train()


def gradients(model: TextEmbedder) -> list[Tensor]:
    torch.manual_seed(2)
    model.step(pairs()).loss.backward()
    return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]


@pytest.mark.parametrize("size", [1, 3, 10])
def test_micro_batches_have_the_gradient_of_the_whole_batch(size: int) -> None:
    whole, cached = gradients(embedder()), gradients(embedder(micro_batch_size=size))
    assert len(whole) == len(cached) == 3
    for expected, gradient in zip(whole, cached, strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-5)


def test_gradient_caching_replays_dropout(monkeypatch: pytest.MonkeyPatch) -> None:
    cached = gradients(embedder(dropout=0.5, micro_batch_size=3))
    graph_kept: Callable[..., Tensor] = lambda function, *inputs, **_: function(*inputs)  # noqa: E731
    monkeypatch.setattr("models.text.text_embedder.checkpoint", graph_kept)
    for gradient, expected in zip(cached, gradients(embedder(dropout=0.5, micro_batch_size=3)), strict=True):
        torch.testing.assert_close(gradient, expected, rtol=0, atol=0)


def test_gradient_caching_keeps_no_activations_of_the_encoder() -> None:
    def kept(model: TextEmbedder) -> int:
        shapes: list[torch.Size] = []

        def pack(tensor: Tensor) -> Tensor:
            shapes.append(tensor.shape)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            model.step(pairs(64))
        return sum(len(shape) == 3 for shape in shapes)  # (B, L, E)

    assert kept(embedder(micro_batch_size=4)) == 0 < kept(embedder())


def test_pairs_that_share_a_text_are_no_negatives_of_each_other() -> None:
    model, batch = embedder().eval(), pairs(3)
    apart = model.step(batch).loss
    batch["texts"] = torch.tensor([[0, 10], [1, 10], [0, 11]])  # 0 and 1 share the positive, 0 and 2 the anchor
    embeddings = {
        role: model(batch[f"{role}_token_ids"], batch[f"{role}_attention_mask"])
        for role in ("anchor", "positive", "negative")
    }
    logits = embeddings["anchor"] @ torch.cat([embeddings["positive"], embeddings["negative"]]).T / 0.1
    for row, column in ((0, 1), (1, 0), (0, 2), (2, 0)):
        logits[row, column] = -torch.inf
    shared = model.step(batch).loss
    torch.testing.assert_close(shared, F.cross_entropy(logits, torch.arange(3)))
    assert shared < apart


def test_ranks_are_those_among_the_pairs_of_all_batches() -> None:
    embeddings = F.normalize(torch.randn(50, 2, 4, generator=torch.Generator().manual_seed(0)), dim=-1)
    texts = torch.arange(100).view(50, 2)
    texts[7] = texts[3]  # pairs that share a text do not compete
    similarity = embeddings[:, 0] @ embeddings[:, 1].T
    similarity[7, 3] = similarity[3, 7] = -2.0
    ranks = (similarity >= similarity.diagonal()[:, None]).sum(1).float()
    mrr, recall = PairReciprocalRank(), PairRecall(5)
    for part in (slice(0, 20), slice(20, 50)):
        mrr.update(embeddings[part], texts[part])
        recall.update(embeddings[part], texts[part])
    torch.testing.assert_close(mrr.compute(), (1 / ranks).mean())
    torch.testing.assert_close(recall.compute(), (ranks <= 5).float().mean())
    metrics = embedder().configure_metrics().clone(prefix="val/")  # they share the ranks, also of the next pairs
    for pairs_ in (embeddings, embeddings.flip(0)[:30]):
        metrics.reset()
        metrics.update(pairs_, texts[: len(pairs_)])
        for name, metric in {"val/mrr": PairReciprocalRank(), "val/recall_at_5": PairRecall(5)}.items():
            metric.update(pairs_, texts[: len(pairs_)])
            torch.testing.assert_close(metrics.compute()[name], metric.compute())
