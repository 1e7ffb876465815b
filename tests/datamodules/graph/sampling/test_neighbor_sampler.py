import math
from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.utils import k_hop_subgraph

from datamodules.graph.sampling.neighbor_sampler import NeighborSampler
from tests.datamodules.graph.sampling.graphs_to_sample import graphs, random_graph, sampled, seeds_of

EDGES = random_graph(300, 6000)


def sampler_of(fan_out=(5, 3), key=0, **options) -> NeighborSampler:
    return NeighborSampler(edge_index=EDGES, num_nodes=300, fan_out=list(fan_out), key=key, **options)


@settings(max_examples=150, deadline=None)
@given(st.data(), graphs(), st.integers(1, 3))
def test_all_neighbours_are_the_k_hop_subgraph(data, graph, num_hops):
    edge_index, num_nodes = graph
    seed = data.draw(seeds_of(num_nodes))
    out = sampled(NeighborSampler(edge_index=edge_index, num_nodes=num_nodes, fan_out=[-1] * num_hops), seed)
    expected, *_ = k_hop_subgraph(seed, num_hops, edge_index, num_nodes=num_nodes)
    inner, *_ = k_hop_subgraph(seed, num_hops - 1, edge_index, num_nodes=num_nodes)
    assert out.node.sort().values.tolist() == expected.tolist()
    assert out.edge.sort().values.tolist() == torch.isin(edge_index[1], inner).nonzero().view(-1).tolist()
    assert torch.equal(torch.stack([out.node[out.row], out.node[out.col]]), edge_index[:, out.edge])


@settings(max_examples=100, deadline=None)
@given(st.data(), graphs(), st.lists(st.sampled_from([-1, 1, 2, 3]), min_size=1, max_size=3))
def test_a_sample_keeps_the_contract(data, graph, fan_out):
    edge_index, num_nodes = graph
    seed = data.draw(seeds_of(num_nodes))
    out = sampled(NeighborSampler(edge_index=edge_index, num_nodes=num_nodes, fan_out=fan_out, key=3), seed)
    assert torch.equal(torch.stack([out.node[out.row], out.node[out.col]]), edge_index[:, out.edge])  # real, same way
    assert len(out.edge.unique()) == len(out.edge)
    assert len(out.node.unique()) == len(out.node) == sum(out.num_sampled_nodes)
    assert torch.equal(out.node[: len(seed)], seed)
    degree = torch.bincount(edge_index[1], minlength=num_nodes)
    first_node = first_edge = 0
    for limit, nodes, edges in zip(fan_out, out.num_sampled_nodes, out.num_sampled_edges, strict=False):
        hop = out.node[first_node : first_node + nodes]
        drawn = torch.bincount(out.col[first_edge : first_edge + edges] - first_node, minlength=nodes)
        assert torch.equal(drawn, degree[hop] if limit < 0 else degree[hop].clamp(max=limit))
        first_node, first_edge = first_node + nodes, first_edge + edges
    assert first_edge == len(out.edge)


@pytest.mark.parametrize(("degree", "size"), [(5, 2), (5, 4), (6, 3), (7, 1)])
def test_every_subset_of_neighbours_is_equally_likely(degree, size):
    targets = 20_000
    sources = torch.arange(degree).repeat(targets)
    edge_index = torch.stack([sources, degree + torch.arange(targets).repeat_interleave(degree)])
    sampler = NeighborSampler(edge_index=edge_index, num_nodes=degree + targets, fan_out=[size], key=11)
    out = sampled(sampler, degree + torch.arange(targets))
    drawn = out.node[out.row].view(targets, size).sort(dim=1).values
    subsets = torch.tensor(list(combinations(range(degree), size)))
    counts = (drawn[:, None] == subsets).all(dim=2).sum(dim=0).double()
    assert counts.sum() == targets
    expected = targets / len(subsets)
    freedom = len(subsets) - 1
    # Six standard deviations above the mean of chi-square; the key is fixed, so it cannot flake.
    assert ((counts - expected) ** 2 / expected).sum() < freedom + 6 * math.sqrt(2 * freedom)


def test_neighbours_of_a_hub_are_drawn_evenly():
    degree, calls = 40_000, 200
    edge_index = torch.stack([torch.arange(degree), torch.full((degree,), degree)])
    sampler = NeighborSampler(edge_index=edge_index, num_nodes=degree + 1, fan_out=[100])
    drawn = torch.cat([sampled(sampler, torch.tensor([degree])).edge for _ in range(calls)])
    counts = torch.histc(drawn.double(), bins=10, min=0, max=degree)
    expected = len(drawn) / 10
    assert ((counts - expected) ** 2 / expected).sum() < 9 + 6 * math.sqrt(18)


def test_a_key_decides_the_draw():
    seed = torch.arange(50)
    sampler = sampler_of(key=1)
    first, second = sampled(sampler, seed), sampled(sampler, seed)
    assert first.edge.tolist() != second.edge.tolist()  # the stream goes on
    for key in (1, [1], [5, 0, 7, 2]):
        sampler.reseed(key)
        out = sampled(sampler, seed)
        fresh = sampled(sampler_of(key=key), seed)
        assert out.edge.tolist() == fresh.edge.tolist()
        assert out.node.tolist() == fresh.node.tolist()
        assert (out.edge.tolist() == first.edge.tolist()) == (key in (1, [1]))
    with pytest.raises(ValueError, match="key: -1"):
        sampler.reseed(-1)


def test_another_fan_out_is_another_sampler():
    sampler = sampler_of(fan_out=[4], key=9)
    seed = torch.arange(20)
    sampled(sampler, seed)
    wider = sampler.with_fan_out([3, 7])
    assert sampled(wider, seed).edge.tolist() == sampled(sampler_of(fan_out=[3, 7], key=9), seed).edge.tolist()
    assert sampled(sampler, seed).num_sampled_edges == [80]
    with pytest.raises(ValueError, match=r"data\.fan_out: empty"):
        sampler.with_fan_out([])


def test_draws_do_not_touch_the_global_generator():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    sampled(sampler_of(), torch.arange(50))
    assert torch.equal(torch.get_rng_state(), state)


def test_a_repeated_seed_keeps_a_row_for_each_time():
    edge_index = torch.tensor([[1, 2, 3, 0], [0, 0, 0, 1]])
    sampler = NeighborSampler(edge_index=edge_index, num_nodes=4, fan_out=[-1, -1])
    out = sampled(sampler, torch.tensor([0, 0, 3]))
    assert out.node[:3].tolist() == [0, 0, 3]
    assert out.num_sampled_nodes == [3, 2, 0]
    assert sorted(out.edge[out.col == 0].tolist()) == sorted(out.edge[out.col == 1].tolist()) == [0, 1, 2]
    # The edge from 0 to 1 leads from the first row of the repeated seed.
    assert out.row[out.edge == 3].tolist() == [0]


def test_disjoint_subgraphs_do_not_share_nodes():
    sampler = sampler_of(fan_out=[-1, -1], disjoint=True)
    seed = torch.tensor([4, 9, 4])
    out = sampled(sampler, seed)
    assert torch.equal(out.node[:3], seed)
    assert torch.equal(out.batch[:3], torch.arange(3))
    assert torch.equal(out.batch[out.row], out.batch[out.col])
    alone = NeighborSampler(edge_index=EDGES, num_nodes=300, fan_out=[-1, -1])
    for number, node in enumerate(seed):
        expected = sampled(alone, node.view(1))
        assert out.node[out.batch == number].sort().values.tolist() == expected.node.sort().values.tolist()
        edges = out.edge[out.batch[out.col] == number]
        assert edges.sort().values.tolist() == expected.edge.sort().values.tolist()


@pytest.mark.parametrize("disjoint", [False, True])
def test_without_seeds_or_edges_samples_are_empty(disjoint):
    out = sampled(sampler_of(disjoint=disjoint), torch.empty(0, dtype=torch.int64))
    assert (len(out.node), len(out.edge)) == (0, 0)
    assert out.num_sampled_nodes == [0, 0, 0]
    bare = NeighborSampler(
        edge_index=torch.empty(2, 0, dtype=torch.int64), num_nodes=5, fan_out=[2, 2], disjoint=disjoint
    )
    out = sampled(bare, torch.tensor([3, 1]))
    assert out.node.tolist() == [3, 1]
    assert out.num_sampled_nodes == [2, 0, 0]
    assert out.num_sampled_edges == [0, 0]


def test_a_failed_call_leaves_no_trace():
    sampler = sampler_of()
    with pytest.raises(ValueError, match="seeds are 299 to 300, but nodes are 0 to 299"):
        sampled(sampler, torch.tensor([299, 300]))
    with pytest.raises(ValueError, match="seeds are -1"):
        sampled(sampler, torch.tensor([-1]))
    assert sampled(sampler, torch.arange(9)).edge.tolist() == sampled(sampler_of(), torch.arange(9)).edge.tolist()


@pytest.mark.parametrize(
    ("fan_out", "message"),
    [
        ([], r"data\.fan_out: empty"),
        ([5, 0], r"data\.fan_out: hop 2 of \[5, 0\] samples nothing"),
        ([5, -2], r"data\.fan_out: -2"),
    ],
)
def test_a_fan_out_that_cannot_be_walked_is_refused(fan_out, message):
    with pytest.raises(ValueError, match=message):
        sampler_of(fan_out=fan_out)


@pytest.mark.parametrize(
    ("edge_index", "message"),
    [
        (torch.tensor([[0, 3], [1, 1]]), "sources are 0 to 3, but nodes are 0 to 2"),
        (torch.tensor([[0, 1], [1, -1]]), "targets are -1 to 1"),
        (torch.tensor([[0.0], [1.0]]), r"must be int64 \(2, E\)"),
        (torch.tensor([[0, 1, 2]]), r"must be int64 \(2, E\)"),
    ],
)
def test_edges_to_nodes_that_do_not_exist_are_refused(edge_index, message):
    with pytest.raises(ValueError, match=message):
        NeighborSampler(edge_index=edge_index, num_nodes=3, fan_out=[1])
