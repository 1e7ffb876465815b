"""Link predictors, their decoders and ranking metrics."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor, nn
from torch_geometric.data import Data

from models.graph import (
    GCN,
    CosineDecoder,
    HadamardMLPDecoder,
    InnerProductDecoder,
    LinkDecoder,
    LinkPredictor,
    LinkRanker,
)
from models.graph.ranking_metrics import HitsAt, MeanReciprocalRank

NAN, INF = float("nan"), float("inf")
DECODERS = (InnerProductDecoder, CosineDecoder, lambda: HadamardMLPDecoder(input_size=6, hidden_size=4))


def predictor(decoder: nn.Module, of: type[LinkPredictor] = LinkPredictor) -> LinkPredictor:
    torch.manual_seed(0)
    return of(encoder=GCN(num_features=3, output_size=6, hidden_size=8), decoder=decoder, num_features=3).eval()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_ranking_metrics_equal_a_slow_count(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(4, (7, 6), generator=generator).float()  # many ties
    targets = torch.randint(6, (7,), generator=generator)
    ranks = []
    for row, target in zip(scores.tolist(), targets.tolist(), strict=True):
        others = row[:target] + row[target + 1 :]
        ranks.append(1 + sum(score > row[target] for score in others) + others.count(row[target]) / 2)
    mrr, hits = MeanReciprocalRank(), HitsAt(2)
    for part in (slice(0, 3), slice(3, 7)):
        mrr.update(scores[part], targets[part])
        hits.update(scores[part], targets[part])
    assert float(mrr.compute()) == pytest.approx(sum(1 / rank for rank in ranks) / 7)
    assert float(hits.compute()) == pytest.approx(sum(rank <= 2 for rank in ranks) / 7)


@pytest.mark.parametrize(
    ("scores", "rank"),
    [([NAN, 0, 0, 0], 4), ([0, NAN, -1, -1], 2), ([0, NAN, 0, 1], 3.5), ([NAN] * 4, 4), ([INF, INF, 0, 0], 1.5)],
    ids=["link", "candidate", "candidate and ties", "all", "infinite"],
)
def test_a_score_that_is_no_number_counts_against_the_model(scores: list[float], rank: float) -> None:
    mrr, hits = MeanReciprocalRank(), HitsAt(1)
    for metric in (mrr, hits):
        metric.update(torch.tensor([scores]), torch.tensor([0]))
    assert float(mrr.compute()) == pytest.approx(1 / rank)
    assert float(hits.compute()) == 0


class Chosen(InnerProductDecoder):
    """Gives the logits that stand in the first feature of a pair's first node."""

    def forward(self, nodes: Tensor, edge_label_index: Tensor) -> Tensor:
        return nodes[edge_label_index[0], 0]


class Untouched(nn.Module):
    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return x


def measured(logits: list[float], labels: list[float], *, batch_size: int) -> tuple[float, float]:
    """AUC and average precision of logits that come in batches."""
    model = LinkPredictor(encoder=Untouched(), decoder=Chosen(), num_features=1).eval()
    for first in range(0, len(logits), batch_size):
        x = torch.tensor(logits[first : first + batch_size], dtype=torch.float32).unsqueeze(1)
        pairs = torch.arange(len(x)).repeat(2, 1)
        label = torch.tensor(labels[first : first + batch_size])
        output = model.step(Data(x=x, edge_index=pairs[:, :0], edge_label_index=pairs, edge_label=label))
        model.test_metrics.update(output.predictions, output.targets)
    found = model.test_metrics.compute()
    return float(found["test/auc"]), float(found["test/ap"])


def test_batches_within_0_and_1_compare_with_others() -> None:
    assert measured([0.9, 0.1, 1.5, -2.0], [0.0, 0.0, 1.0, 0.0], batch_size=2) == (1.0, 1.0)


@pytest.mark.parametrize("spread", [(20, 26), (-1e4, -1e4 + 1), (1e6, 2e6), (-1e-3, 1e-3)])
@pytest.mark.parametrize("batch_size", [7, 100])
def test_auc_of_logits_of_any_size_is_that_of_sklearn(spread: tuple[float, float], batch_size: int) -> None:
    torch.manual_seed(0)
    logits = torch.empty(100).uniform_(*spread).tolist()
    logits[50:60] = logits[40:50]  # ties
    labels = torch.randint(2, (100,)).float().tolist()
    expected = (roc_auc_score(labels, logits), average_precision_score(labels, logits))
    assert measured(logits, labels, batch_size=batch_size) == pytest.approx(expected)


def test_logits_that_are_no_numbers_are_all_wrong() -> None:
    labels = [1.0, 1.0, 0.0, 0.0]
    assert measured([NAN] * 4, labels, batch_size=4)[0] == 0
    assert measured([NAN, 1, 0, -1], labels, batch_size=2)[0] == 0.5
    assert measured([INF, 1e30, 0, -INF], labels, batch_size=4)[0] == 1


@pytest.mark.parametrize("decoder", DECODERS)
def test_logits_follow_the_nodes_when_they_are_renumbered_and_ends_are_exchangeable(decoder: type[LinkDecoder]) -> None:
    model = predictor(decoder())
    x, edge_index = torch.randn(9, 3), torch.randint(9, (2, 30))
    pairs = torch.randint(9, (2, 12))
    order = torch.randperm(9)
    place = order.argsort()
    logits = model(x, edge_index, pairs)
    assert logits.shape == (12,)
    torch.testing.assert_close(model(x[order], place[edge_index], place[pairs]), logits)
    torch.testing.assert_close(model(x, edge_index, pairs.flip(0)), logits)


def test_a_ranking_scores_each_link_against_its_own_negatives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.graph.link_predictor._PAIRS_AT_ONCE", 4)
    model = predictor(InnerProductDecoder(), LinkRanker)
    links, negatives = torch.randint(9, (2, 5)), torch.randint(9, (2, 5, 3))
    x, edge_index = torch.randn(9, 3), torch.randint(9, (2, 30))
    batch = Data(x=x, edge_index=edge_index, edge_label_index=links, edge_label=torch.ones(5), negative_index=negatives)
    output = model.step(batch)
    torch.testing.assert_close(output.predictions[:, 0], model(x, edge_index, links))
    for index in range(3):
        torch.testing.assert_close(output.predictions[:, 1 + index], model(x, edge_index, negatives[:, :, index]))
    assert not output.targets.any()


def test_a_predictor_and_a_split_that_do_not_belong_together_are_refused() -> None:
    x, edge_index = torch.randn(9, 3), torch.randint(9, (2, 30))
    batch = Data(x=x, edge_index=edge_index, edge_label_index=edge_index[:, :5], edge_label=torch.ones(5))
    with pytest.raises(ValueError, match="LinkRanker needs negatives of each link"):
        predictor(InnerProductDecoder(), LinkRanker).step(batch)
    batch.negative_index = torch.randint(9, (2, 5, 3))
    with pytest.raises(ValueError, match="choose LinkRanker"):
        predictor(InnerProductDecoder()).step(batch)
    with pytest.raises(ValueError, match=r"model.decoder.input_size: 5 given, the encoder gives 6"):
        predictor(HadamardMLPDecoder(input_size=5))
