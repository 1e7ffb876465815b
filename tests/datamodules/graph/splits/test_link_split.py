"""Held-out links never leak, and negatives are never edges."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch_geometric.data import Data

from datamodules.graph import HardNegatives, KarateClub, LinkSplit, RandomLinkSplit, SplitLinks
from datamodules.graph.splits.link_split import Positives
from datamodules.graph.splits.non_edges import NonEdges, pair_numbers, pairs_of


@st.composite
def graphs(draw: st.DrawFn) -> Data:
    """A random undirected graph with self loops, in a random order of edges."""
    num_nodes = draw(st.integers(16, 40))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    link = np.triu(rng.random((num_nodes, num_nodes)) < draw(st.sampled_from([0.2, 0.4])), k=0)
    edges = np.argwhere(link | link.T)
    assume(np.triu(link, k=1).sum() >= 10)
    assume((link | link.T).sum(1).max() <= num_nodes - 5)  # a hard negative needs nodes that are no neighbours
    x = torch.from_numpy(rng.random((num_nodes, 5), dtype=np.float32))
    return Data(x=x, edge_index=torch.from_numpy(rng.permutation(edges).T.copy()))


def pairs(edge_index: Tensor) -> set[frozenset[int]]:
    return {frozenset(pair) for pair in edge_index.flatten(1).T.tolist()}


def edges_of(graph: Data) -> set[frozenset[int]]:
    return {pair for pair in pairs(graph.edge_index) if len(pair) == 2}


def messages_of(graph: Data, links: SplitLinks) -> set[frozenset[int]]:
    return {pair for pair in pairs(graph.edge_index[:, links.message_mask]) if len(pair) == 2}


SPLITS = (RandomLinkSplit(val=0.1, test=0.2), HardNegatives(val=0.1, test=0.2, per_positive=4))


@settings(max_examples=25, deadline=None)
@given(graph=graphs(), split=st.sampled_from(SPLITS))
def test_held_out_links_are_no_message_edges_and_negatives_no_edges(graph: Data, split: LinkSplit) -> None:
    links = split.split(graph)
    train, val, test = pairs(links.train), pairs(links.val.positive), pairs(links.test.positive)
    assert train | val | test == edges_of(graph)
    assert len(train) + len(val) + len(test) == len(edges_of(graph))
    assert messages_of(graph, links) == train  # frozen sets: neither direction of a held-out link is there
    loops = graph.edge_index[0] == graph.edge_index[1]
    assert links.message_mask[loops].all()
    for part in (links.val, links.test):
        assert not pairs(part.negative) & edges_of(graph)
        assert all(len(pair) == 2 for pair in pairs(part.negative))


@settings(max_examples=25, deadline=None)
@given(graph=graphs(), seed=st.integers(0, 5))
def test_uniform_negatives_are_as_many_as_links_and_differ(graph: Data, seed: int) -> None:
    links = RandomLinkSplit(val=0.1, test=0.1, seed=seed).split(graph)
    both = torch.cat([links.val.negative, links.test.negative], dim=1)
    assert links.val.negative.shape == links.val.positive.shape
    assert links.test.negative.shape == links.test.positive.shape
    assert len(pairs(both)) == both.shape[1]


@settings(max_examples=25, deadline=None)
@given(graph=graphs(), seed=st.integers(0, 5))
def test_hard_negatives_share_one_end_with_their_link_and_differ(graph: Data, seed: int) -> None:
    links = HardNegatives(val=0.1, test=0.1, seed=seed, per_positive=6).split(graph)
    for part in (links.val, links.test):
        same_source, same_target = part.negative == part.positive.unsqueeze(-1)
        assert same_source[:, :3].all()
        assert same_target[:, 3:].all()
        for index in range(part.positive.shape[1]):
            assert len(pairs(part.negative[:, index, :3])) == 3
            assert len(pairs(part.negative[:, index, 3:])) == 3


def test_hard_negatives_are_nodes_with_common_neighbours_or_like_features() -> None:
    # Two cliques without a few links: within its own clique a node finds its best partners.
    size = 20
    inside = [(a, b) for a, b in itertools.combinations(range(size), 2) if (a < 10) == (b < 10) and (a + b) % 3]
    edge_index = torch.tensor([*inside, *((b, a) for a, b in inside), (0, 19), (19, 0)]).T
    x = torch.nn.functional.one_hot((torch.arange(size) < 10).long(), 2).float()
    links = HardNegatives(val=0.1, test=0.1, per_positive=2).split(Data(x=x, edge_index=edge_index))
    source, target = links.test.negative.flatten(1)
    assert ((source < 10) == (target < 10)).float().mean() > 0.9


def test_heuristics_see_message_edges_only() -> None:
    graph, split = KarateClub().read(), HardNegatives(val=0.1, test=0.1, per_positive=8)
    links = split.split(graph)
    masks = (links.message_mask, torch.ones_like(links.message_mask))
    honest, leaking = (
        split.negatives(
            graph,
            Positives(message_mask=mask, val=links.val.positive, test=links.test.positive),
            np.random.default_rng(0),
        )
        for mask in masks
    )
    # In the whole graph a held-out link's ends are neighbours of each other's neighbours.
    assert not torch.equal(honest[1], leaking[1])
    rewired = graph.edge_index.clone()
    rewired[:, ~links.message_mask] = rewired[:, ~links.message_mask].flip(0)
    again = split.negatives(
        Data(x=graph.x, edge_index=rewired),
        Positives(message_mask=masks[0], val=links.val.positive, test=links.test.positive),
        np.random.default_rng(0),
    )
    assert torch.equal(honest[1], again[1])


@pytest.mark.parametrize("split", [RandomLinkSplit, HardNegatives])
def test_a_seed_gives_one_split_and_another_seed_another(split: type[LinkSplit]) -> None:
    graph = KarateClub().read()
    options = {"per_positive": 4} if split is HardNegatives else {}
    first, again, other = (split(val=0.1, test=0.1, seed=seed, **options).split(graph) for seed in (3, 3, 4))
    for part in ("val", "test"):
        for name in ("positive", "negative"):
            assert torch.equal(getattr(getattr(first, part), name), getattr(getattr(again, part), name))
    assert torch.equal(first.train, again.train)
    assert not torch.equal(first.train, other.train)


def test_no_seed_means_that_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = KarateClub().read()
    split = RandomLinkSplit(val=0.1, test=0.1, seed=None)
    monkeypatch.setenv("PL_GLOBAL_SEED", "7")
    assert torch.equal(split.split(graph).train, RandomLinkSplit(val=0.1, test=0.1, seed=7).split(graph).train)
    assert "seed 7" in split.describe()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"val": 0.5, "test": 0.5}, "leave some links to train on"),
        ({"val": 0.0}, "shares above 0"),
        ({"seed": -1}, "data.split.seed: -1 given"),
    ],
)
def test_wrong_shares_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RandomLinkSplit(**options)  # type: ignore[arg-type]


def star(leaves: int) -> Data:
    edges = torch.stack([torch.zeros(leaves, dtype=torch.long), torch.arange(1, leaves + 1)])
    return Data(x=torch.ones(leaves + 1, 1), edge_index=torch.cat([edges, edges.flip(0)], dim=1))


def test_graphs_that_cannot_be_split_are_refused_with_the_reason() -> None:
    graph = star(6)
    with pytest.raises(ValueError, match="of 6 links, val 0.05 and test 0.1 leave 0 and 0"):
        RandomLinkSplit().split(graph)
    with pytest.raises(ValueError, match="the graph is directed"):
        RandomLinkSplit().split(Data(x=graph.x, edge_index=graph.edge_index[:, :6]))
    with pytest.raises(ValueError, match="no edge joins two nodes"):
        RandomLinkSplit().split(Data(x=graph.x, edge_index=torch.tensor([[1, 2], [1, 2]])))
    with pytest.raises(ValueError, match="data.split.per_positive: 40 given, but a node with"):
        HardNegatives(val=0.2, test=0.2, per_positive=40).split(graph)
    everyone = torch.tensor(list(itertools.permutations(range(8), 2))).T
    with pytest.raises(ValueError, match="only 0 pairs of nodes have no edge"):
        RandomLinkSplit().split(Data(x=torch.ones(8, 1), edge_index=everyone.repeat(1, 1)))


def test_hard_negatives_of_too_large_a_graph_are_refused_before_anything_is_computed() -> None:
    with pytest.raises(
        ValueError, match=r"data.split: HardNegatives .* has 30,001; allowed are 30,000. Choose RandomLinkSplit"
    ):
        HardNegatives().split(star(30_000))


@pytest.mark.parametrize("num_nodes", [2, 3, 8, 9])
def test_pairs_are_numbered_without_gaps(num_nodes: int) -> None:
    every = torch.tensor(list(itertools.combinations(range(num_nodes), 2))).T
    numbers = pair_numbers(every, num_nodes)
    assert sorted(numbers.tolist()) == list(range(every.shape[1]))
    assert pairs(pairs_of(numbers, num_nodes)) == pairs(every)


@settings(max_examples=25, deadline=None)
@given(graph=graphs())
def test_non_edges_are_all_pairs_without_an_edge(graph: Data) -> None:
    non_edges = NonEdges(graph.edge_index, len(graph.x))
    listed = non_edges.pairs(torch.arange(non_edges.count))
    every = {frozenset(pair) for pair in itertools.combinations(range(len(graph.x)), 2)}
    assert pairs(listed) == every - edges_of(graph)
    assert pairs(non_edges.draw(50)) <= every - edges_of(graph)
