import math

import pytest
import torch
import torch.nn.functional as F
from torch_geometric.sampler import EdgeSamplerInput, HeteroSamplerOutput, NegativeSampling, SamplerOutput
from torch_geometric.sampler.neighbor_sampler import edge_sample

from datamodules.graph.sampling.neighbor_sampler import NeighborSampler
from datamodules.graph.sampling.typed_sampler import TypedNeighborSampler
from tests.datamodules.graph.sampling.graphs_to_sample import random_graph

EDGES = random_graph(60, 500)
LINKS = EDGES[:, :20]
USER, ITEM = "user", "item"
BUYS, BOUGHT = (USER, "buys", ITEM), (ITEM, "bought_by", USER)


def plain(**options) -> NeighborSampler:
    return NeighborSampler(edge_index=EDGES, num_nodes=60, **{"fan_out": [-1], **options})


def typed(**options) -> TypedNeighborSampler:
    edges = {BUYS: EDGES, BOUGHT: EDGES.flip(0), (USER, "follows", USER): EDGES}
    return TypedNeighborSampler(edge_index=edges, num_nodes={USER: 60, ITEM: 60}, **{"fan_out": [-1], **options})


def links(input_type=None, time=None, label=None) -> EdgeSamplerInput:
    return EdgeSamplerInput(torch.arange(20), *LINKS, label, time, input_type)


@pytest.mark.parametrize("disjoint", [False, True])
@pytest.mark.parametrize("kind", [None, BUYS, (USER, "follows", USER)])
@pytest.mark.parametrize("negatives", [None, ("binary", 1), ("binary", 2), ("triplet", 1), ("triplet", 3)])
def test_links_stand_where_pyg_puts_them(disjoint, kind, negatives):
    # All weight on one node leaves nothing to chance.
    one, other = F.one_hot(torch.tensor([17, 4]), 60).double()
    negatives = negatives and NegativeSampling(*negatives, src_weight=one, dst_weight=other)
    sampler = (typed if kind else plain)(disjoint=disjoint)

    def seeds_alone(seed, _time):
        if kind is None:
            return SamplerOutput(node=seed, row=seed[:0], col=seed[:0], edge=None, batch=torch.arange(len(seed)))
        numbers = torch.arange(sum(map(len, seed.values()))).split([len(nodes) for nodes in seed.values()])
        batch = dict(zip(seed, numbers, strict=True))
        return HeteroSamplerOutput(node=seed, row={}, col={}, edge={}, batch=batch)

    num_nodes = {USER: 60, ITEM: 60} if kind else 60
    expected = edge_sample(links(kind), seeds_alone, num_nodes, disjoint, None, negatives)
    out = sampler.sample_from_edges(links(kind), negatives)
    for found, wanted in zip(out.metadata, expected.metadata, strict=True):
        torch.testing.assert_close(found, wanted)
    parts = [(out.node, expected.node)] + ([(out.batch, expected.batch)] if disjoint else [])
    for found, wanted in parts:
        for name in wanted if kind else [...]:
            assert torch.equal(found[name][: len(wanted[name])], wanted[name])


@pytest.mark.parametrize("amount", [0.3, 1, 2.5])
@pytest.mark.parametrize("disjoint", [False, True])
def test_binary_negatives_are_pairs_behind_the_positives(amount, disjoint):
    out = plain(disjoint=disjoint).sample_from_edges(links(), NegativeSampling("binary", amount))
    input_id, index, label, time = out.metadata
    size = math.ceil(20 * amount)
    assert torch.equal(out.node[index[:, :20]], LINKS)
    assert index.shape == (2, 20 + size)
    assert label.tolist() == [1.0] * 20 + [0.0] * size
    assert (input_id.tolist(), time) == (list(range(20)), None)
    if disjoint:  # both ends of a link bear its number
        assert torch.equal(out.batch[index], (torch.arange(20 + size) % 20).expand(2, -1))


def test_labels_of_positives_are_kept():
    out = plain().sample_from_edges(links(label=torch.arange(1, 21)), NegativeSampling("binary"))
    assert out.metadata[2].tolist() == [*range(1, 21), *[0] * 20]


def test_a_key_decides_the_negatives():
    def drawn(key, mode):
        sampler.reseed(key)
        out = sampler.sample_from_edges(links(), NegativeSampling(mode, 2))
        return out.node[out.metadata[1 if mode == "binary" else 3]].tolist()

    sampler = plain()
    state = torch.get_rng_state()
    for mode in ("binary", "triplet"):
        assert drawn(1, mode) == drawn(1, mode)
        assert drawn(1, mode) != drawn(2, mode)
    assert torch.equal(torch.get_rng_state(), state)


def test_negatives_follow_their_weights():
    weight = torch.zeros(60)
    weight[3], weight[40] = 1, 3
    sampler = plain(fan_out=[1])
    out = sampler.sample_from_edges(links(), NegativeSampling("triplet", 500, dst_weight=weight))
    drawn = torch.bincount(out.node[out.metadata[3]].view(-1), minlength=60)
    assert drawn.nonzero().view(-1).tolist() == [3, 40]
    assert drawn[40] == pytest.approx(7500, abs=6 * math.sqrt(10_000 * 3 / 16))


def test_negatives_are_drawn_evenly():
    out = plain(fan_out=[1]).sample_from_edges(links(), NegativeSampling("triplet", 600))
    drawn = torch.bincount(out.node[out.metadata[3]].view(-1), minlength=60)
    assert ((drawn - 200.0) ** 2 / 200).sum() < 59 + 6 * math.sqrt(118)


@pytest.mark.parametrize("mode", ["binary", "triplet"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", [None, BUYS])
def test_negatives_exist_at_the_time_of_their_link(mode, weighted, kind):
    node_time = torch.arange(60)[torch.randperm(60, generator=torch.Generator().manual_seed(1))]
    time = torch.arange(20)
    sampler = typed(node_time={USER: node_time, ITEM: node_time}) if kind else plain(node_time=node_time)
    weight = torch.ones(60) if weighted else None
    negatives = NegativeSampling(mode, 3, src_weight=weight, dst_weight=weight)
    out = sampler.sample_from_edges(links(kind, time), negatives)
    source, target = (out.node[USER], out.node[ITEM]) if kind else (out.node, out.node)
    if mode == "binary":
        drawn, now = (out.metadata[1][:, 20:], time.repeat(3).expand(2, -1))
        drawn = torch.stack([source[drawn[0]], target[drawn[1]]])
        assert torch.equal(out.metadata[3], time.repeat(4))
    else:
        drawn, now = target[out.metadata[3]], time[:, None].expand(-1, 3)
        assert torch.equal(out.metadata[4], time)
    assert drawn.shape == now.shape
    assert (node_time[drawn] <= now).all()
    with pytest.raises(ValueError, match="no node to draw as a negative at time -1"):
        sampler.sample_from_edges(links(kind, time - 1), negatives)


def test_weights_that_do_not_fit_are_refused():
    for weight in (torch.ones(3), -torch.ones(60)):
        with pytest.raises(ValueError, match="neg_sampling: weights"):
            plain().sample_from_edges(links(), NegativeSampling("triplet", dst_weight=weight))
    with pytest.raises(ValueError, match="all have weight 0"):
        plain().sample_from_edges(links(), NegativeSampling("triplet", dst_weight=torch.zeros(60)))


@pytest.mark.parametrize("negatives", [None, NegativeSampling("binary", 2), NegativeSampling("triplet", 2)])
@pytest.mark.parametrize("disjoint", [False, True])
def test_no_links_give_an_empty_sample(negatives, disjoint):
    none = torch.empty(0, dtype=torch.int64)
    out = plain(disjoint=disjoint).sample_from_edges(EdgeSamplerInput(None, none, none), negatives)
    assert len(out.node) == len(out.edge) == 0
    assert out.metadata[1].numel() == 0


def test_links_to_nodes_that_do_not_exist_are_refused():
    ends = torch.tensor([60])
    with pytest.raises(ValueError, match="nodes are 0 to 59"):
        plain().sample_from_edges(EdgeSamplerInput(None, ends, ends))
