import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.sampler import NodeSamplerInput

from datamodules.graph.sampling.neighbor_sampler import NeighborSampler
from datamodules.graph.sampling.typed_sampler import TypedNeighborSampler
from tests.datamodules.graph.sampling.graphs_to_sample import graphs, sampled, seeds_of

TIMES = st.integers(-3, 3)


def draw_times(data, count):
    return torch.tensor(data.draw(st.lists(TIMES, min_size=count, max_size=count)), dtype=torch.int64)


@settings(max_examples=150, deadline=None)
@given(st.data(), graphs(), st.booleans(), st.booleans())
def test_a_seed_sees_all_of_its_past_and_none_of_its_future(data, graph, of_nodes, floating):
    edge_index, num_nodes = graph
    seed = data.draw(seeds_of(num_nodes))
    seed = seed.repeat(2)  # one node at two times
    seed_time = draw_times(data, len(seed))
    time = draw_times(data, num_nodes if of_nodes else edge_index.shape[1])
    if floating:
        seed_time, time = seed_time / 4, time / 4
    times = {"node_time" if of_nodes else "edge_time": time}
    out = sampled(
        NeighborSampler(edge_index=edge_index, num_nodes=num_nodes, fan_out=[-1, -1], **times), seed, seed_time
    )
    assert torch.equal(torch.stack([out.node[out.row], out.node[out.col]]), edge_index[:, out.edge])
    edge_time = time[edge_index[0]] if of_nodes else time
    for number, (node, now) in enumerate(zip(seed, seed_time, strict=True)):
        past = (edge_time <= now).nonzero().view(-1)
        known = NeighborSampler(edge_index=edge_index[:, past], num_nodes=num_nodes, fan_out=[-1, -1])
        expected = sampled(known, node.view(1))
        assert out.node[out.batch == number].sort().values.tolist() == expected.node.sort().values.tolist()
        edges = out.edge[out.batch[out.col] == number]
        assert edges.sort().values.tolist() == past[expected.edge].sort().values.tolist()


@settings(max_examples=50, deadline=None)
@given(st.data(), graphs(), st.integers(1, 3))
def test_a_limited_draw_fills_its_fan_out_from_the_past(data, graph, limit):
    edge_index, num_nodes = graph
    seed = data.draw(seeds_of(num_nodes))
    seed_time, edge_time = draw_times(data, len(seed)), draw_times(data, edge_index.shape[1])
    sampler = NeighborSampler(edge_index=edge_index, num_nodes=num_nodes, fan_out=[limit], edge_time=edge_time)
    out = sampled(sampler, seed, seed_time)
    assert (edge_time[out.edge] <= seed_time[out.batch[out.col]]).all()
    past = (edge_index[1] == seed[:, None]) & (edge_time <= seed_time[:, None])
    assert torch.equal(torch.bincount(out.col, minlength=len(seed)), past.sum(dim=1).clamp(max=limit))
    assert len(out.edge.unique()) == len(out.edge)


def test_types_without_times_are_always_seen():
    writes, cites = ("author", "writes", "paper"), ("paper", "cites", "paper")
    sampler = TypedNeighborSampler(
        edge_index={writes: torch.tensor([[0, 1], [0, 1]]), cites: torch.tensor([[1, 2], [0, 0]])},
        num_nodes={"author": 2, "paper": 3},
        fan_out=[-1, -1],
        node_time={"paper": torch.tensor([5, 4, 6])},
    )
    seeds = NodeSamplerInput(None, torch.tensor([0, 0]), torch.tensor([5, 6]), "paper")
    out = sampler.sample_from_nodes(seeds)
    assert out.node["paper"].tolist() == [0, 0, 1, 1, 2]
    assert out.batch["paper"].tolist() == [0, 1, 0, 1, 1]
    assert out.node["author"].tolist() == [0, 0, 1, 1]
    assert out.batch["author"].tolist() == [0, 1, 0, 1]


EDGES = torch.tensor([[0, 1], [1, 2]])


def test_times_that_do_not_fit_are_refused():
    def build(**times):
        return NeighborSampler(edge_index=EDGES, num_nodes=3, fan_out=[1], **times)

    timed, untimed = build(edge_time=torch.tensor([0, 1])), build()
    seed = torch.tensor([2])
    with pytest.raises(ValueError, match="seeds have no time, but the graph does"):
        sampled(timed, seed)
    with pytest.raises(ValueError, match="seeds have times, but the graph has none"):
        sampled(untimed, seed, torch.tensor([1]))
    with pytest.raises(ValueError, match="float32, those of the graph torch.int64"):
        sampled(timed, seed, torch.tensor([1.0]))
    with pytest.raises(ValueError, match=r"times of seeds: \(2,\) times for 1"):
        sampled(timed, seed, torch.tensor([1, 2]))
    with pytest.raises(ValueError, match=r"times of edge_index: \(3,\) times for 2"):
        build(edge_time=torch.tensor([0, 1, 2]))
    with pytest.raises(ValueError, match=r"times of nodes: \(2,\) times for 3"):
        build(node_time=torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="1 are NaN"):
        build(edge_time=torch.tensor([0.0, float("nan")]))
    with pytest.raises(ValueError, match="not both"):
        build(edge_time=torch.tensor([0, 1]), node_time=torch.tensor([0, 1, 2]))
