"""Link predictors, their decoders and ranking metrics."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
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
