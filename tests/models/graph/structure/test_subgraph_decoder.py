"""Subgraphs around pairs: what they hold, their labels, and that a pair's own edge is not in them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from datamodules.graph import ConstantFeature, KarateClub, LinkDataModule, RandomLinkSplit
from models.graph import LinkPredictor, NodeMLP, StructuralDecoder, SubgraphDecoder, export_onnx
from models.graph.structure.enclosing_subgraphs import SubgraphExtractor

nx = pytest.importorskip("networkx", reason="networkx, which comes with torch, is the reference")
EDGES = KarateClub().read().edge_index
NUM_NODES = 34
LINKS = EDGES[:, EDGES[0] < EDGES[1]]
PAIRS = torch.cat([LINKS[:, ::7], torch.tensor([[0, 9, 11], [33, 14, 26]])], dim=1)


def without(pair: Tensor) -> Tensor:
    """The edges that do not join the two nodes."""
    joins = (pair.view(2, 1) == EDGES).all(0) | (pair.flip(0).view(2, 1) == EDGES).all(0)
    return EDGES[:, ~joins]


def expected(pair: Tensor, num_hops: int) -> tuple[dict[int, int], set[tuple[int, int]]]:
    """Label of each node, and the edges, of a subgraph by networkx."""
    club = nx.Graph(without(pair).T.tolist())
    club.add_nodes_from(range(NUM_NODES))
    one, other = pair.tolist()
    around = [set(nx.single_source_shortest_path_length(club, end, cutoff=num_hops)) for end in (one, other)]
    part = club.subgraph(around[0] | around[1])
    distances = [
        nx.single_source_shortest_path_length(part.subgraph(set(part) - {closed}), start)
        for start, closed in ((one, other), (other, one))
    ]
    labels = {}
    for node in part:
        if node in (one, other):
            labels[node] = 1
        elif node in distances[0] and node in distances[1]:
            near, far = sorted(reach[node] for reach in distances)
            half, odd = divmod(near + far, 2)
            labels[node] = 1 + near + half * (half + odd - 1)
        else:
            labels[node] = 0
    return labels, {(source, target) for edge in part.edges for source, target in (edge, edge[::-1])}


@pytest.mark.parametrize("num_hops", [1, 2])
def test_subgraphs_and_labels_are_those_of_networkx(num_hops: int) -> None:
    extractor = SubgraphExtractor(EDGES, NUM_NODES, num_hops=num_hops, max_per_hop=NUM_NODES)
    found = extractor.extract(PAIRS)
    assert torch.equal(found.node[found.ends], PAIRS)
    for index, pair in enumerate(PAIRS.T):
        inside = found.pair == index
        labels, edges = expected(pair, num_hops)
        assert dict(zip(found.node[inside].tolist(), found.label[inside].tolist(), strict=True)) == labels
        of_pair = found.edge_index[:, inside[found.edge_index[0]]]
        assert set(map(tuple, found.node[of_pair].T.tolist())) == edges


def test_hops_of_many_nodes_keep_those_of_lowest_degree() -> None:
    degree = torch.bincount(EDGES[0])
    pair = torch.tensor([[0], [33]])
    whole = SubgraphExtractor(EDGES, NUM_NODES, num_hops=1, max_per_hop=NUM_NODES).extract(pair)
    cut = SubgraphExtractor(EDGES, NUM_NODES, num_hops=1, max_per_hop=5).extract(pair)
    taken = set(cut.node.tolist()) - {0, 33}
    assert len(taken) == 5
    left_out = set(whole.node.tolist()) - taken - {0, 33}
    assert max(degree[list(taken)]) <= min(degree[list(left_out)])


def decoder(**options: Any) -> SubgraphDecoder:
    torch.manual_seed(0)
    return SubgraphDecoder(hidden_size=8, dropout=0.0, **options).eval()


@pytest.mark.parametrize("pooling", ["pair", "sort"])
def test_scores_of_a_link_are_those_without_its_edge_in_either_order_and_batch(pooling: str) -> None:
    model = decoder(pooling=pooling, num_sorted=10, pairs_at_once=4)
    nodes = torch.zeros(NUM_NODES, 1)
    scores = model(nodes, PAIRS, EDGES)
    torch.testing.assert_close(model(nodes, PAIRS.flip(0), EDGES), scores)
    for pair, score in zip(PAIRS.T, scores, strict=True):
        torch.testing.assert_close(model(nodes, pair.view(2, 1), without(pair))[0], score)
    assert scores.std() > 1e-4


def test_what_the_encoder_says_of_nodes_enters_where_its_size_is_given() -> None:
    nodes = torch.randn(NUM_NODES, 3)
    for model, changes in ((decoder(), False), (decoder(input_size=3), True)):
        assert torch.equal(model(nodes, PAIRS, EDGES), model(nodes + 1, PAIRS, EDGES)) is not changes


def module(chosen: Any) -> LinkPredictor:
    torch.manual_seed(0)
    encoder = NodeMLP(num_features=1, output_size=1, hidden_size=1)
    return LinkPredictor(encoder=encoder, decoder=chosen, num_features=1)


def data(**options: Any) -> LinkDataModule:
    return LinkDataModule(
        graph=KarateClub(), split=RandomLinkSplit(val=0.1, test=0.1), features=ConstantFeature(), own_features=False,
        **options,
    )  # fmt: skip


@pytest.mark.parametrize("beside", [False, True])
def test_it_learns_from_parts_of_the_links_alone_and_beside_structural_features(beside: bool) -> None:
    chosen = SubgraphDecoder(hidden_size=8, dropout=0.0)
    model = module(StructuralDecoder(embedding=chosen) if beside else chosen)
    loader = data(links_per_step=20).train_dataloader()
    batches = list(loader)
    assert [batch.edge_label_index.shape[1] for batch in batches] == [40, 40, 40]
    assert all(torch.equal(batch.edge_label, torch.tensor([1.0] * 20 + [0.0] * 20)) for batch in batches)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(20):
        for batch in batches:
            optimizer.zero_grad()
            loss = model.step(batch).loss
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert sum(losses[-6:]) / 6 < 0.55 < losses[0]


def test_parts_of_the_links_are_a_function_of_seed_and_epoch_and_cover_an_epoch_once() -> None:
    first, second = (list(data(links_per_step=10).train_dataloader()) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one.edge_label_index, other.edge_label_index)
    links = torch.cat([batch.edge_label_index[:, :10] for batch in first], dim=1)
    assert len({tuple(link) for link in links.T.tolist()}) == links.shape[1]
    training = data().links.train
    assert {tuple(link) for link in links.T.tolist()} <= {tuple(link) for link in training.T.tolist()}


def test_what_it_cannot_do_is_refused_by_name(tmp_path: Path) -> None:
    for options, words in (
        ({"num_hops": 0}, "model.decoder.num_hops: 0 given, at least 1"),
        ({"pooling": "max"}, "model.decoder.pooling: 'max' given, allowed are 'pair' and 'sort'"),
        ({"num_sorted": 4}, "model.decoder.num_sorted: 4 given, at least 10"),
    ):
        with pytest.raises(ValueError, match=words):
            SubgraphDecoder(**options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a pair of a node with itself"):
        decoder()(torch.zeros(NUM_NODES, 1), torch.tensor([[3], [3]]), EDGES)
    with pytest.raises(ValueError, match="SubgraphDecoder needs the message edges"):
        decoder()(torch.zeros(NUM_NODES, 1), PAIRS)
    with pytest.raises(ValueError, match=r"model.decoder: SubgraphDecoder computes features of pairs from all edges"):
        export_onnx(module(decoder()), tmp_path / "links.onnx")  # type: ignore[arg-type]
    for options, words in (
        ({"links_per_step": 0}, "data.links_per_step: 0 given, at least 1"),
        ({"links_per_step": 8, "fan_out": [2]}, "data.links_per_step: 8 given beside fan_out"),
        ({"links_per_step": 8, "steps_per_epoch": 3}, "data.steps_per_epoch: 3 given beside links_per_step 8"),
    ):
        with pytest.raises(ValueError, match=words):
            data(**options)


def test_a_graph_whose_pairs_fit_into_no_table_is_scored() -> None:
    num_nodes = 20_000
    ring = torch.arange(num_nodes)
    edges = torch.cat([torch.stack([ring, (ring + 1) % num_nodes]), torch.stack([ring, (ring + 2) % num_nodes])], dim=1)
    pairs = torch.tensor([[0, 0, 5], [1, 9_000, 7]])
    found = SubgraphExtractor(edges, num_nodes, num_hops=1, max_per_hop=10).extract(pairs)
    assert found.node[found.pair == 0].tolist() == [0, 1, 2, 3, num_nodes - 2, num_nodes - 1]
    assert torch.bincount(found.pair).tolist() == [6, 10, 7]
    assert (found.label[found.pair == 1] > 1).sum() == 0  # no way between the two
    assert decoder()(torch.zeros(num_nodes, 1), pairs, edges).isfinite().all()
    with pytest.raises(ValueError, match="or take SubgraphDecoder, which has no tables"):
        StructuralDecoder()(torch.zeros(num_nodes, 1), pairs, edges)
