import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.sampler import EdgeSamplerInput, HeteroSamplerOutput, NodeSamplerInput

from datamodules.graph.sampling.neighbor_sampler import NeighborSampler
from datamodules.graph.sampling.typed_sampler import TypedNeighborSampler
from tests.datamodules.graph.sampling.graphs_to_sample import graphs, random_graph, sampled, seeds_of

USER, ITEM = "user", "item"
FOLLOWS, BUYS, BOUGHT = (USER, "follows", USER), (USER, "buys", ITEM), (ITEM, "bought_by", USER)
EDGES = {kind: random_graph(40, 400 + number) for number, kind in enumerate((FOLLOWS, BUYS, BOUGHT))}


def sampler_of(fan_out, **options) -> TypedNeighborSampler:
    return TypedNeighborSampler(edge_index=EDGES, num_nodes={USER: 40, ITEM: 40}, fan_out=fan_out, **options)


def around(sampler: TypedNeighborSampler, kind: str, node: torch.Tensor) -> HeteroSamplerOutput:
    out = sampler.sample_from_nodes(NodeSamplerInput(None, node, None, kind))
    assert isinstance(out, HeteroSamplerOutput)
    return out


@settings(max_examples=100, deadline=None)
@given(st.data(), graphs(), st.integers(1, 3))
def test_types_partition_the_untyped_neighbourhood(data, graph, num_hops):
    edge_index, num_nodes = graph
    users = data.draw(st.integers(0, num_nodes))  # nodes below are users, the others items
    seed = data.draw(seeds_of(num_nodes))
    seed = seed[seed < users]
    first = {USER: 0, ITEM: users}
    is_item = edge_index >= users  # (2, E)
    of_type = {
        (source, "to", target): (is_item[0] == (source == ITEM)) & (is_item[1] == (target == ITEM))
        for source in first
        for target in first
    }
    typed = TypedNeighborSampler(
        edge_index={
            kind: edge_index[:, mask] - torch.tensor([[first[kind[0]]], [first[kind[2]]]])
            for kind, mask in of_type.items()
        },
        num_nodes={USER: users, ITEM: num_nodes - users},
        fan_out=[-1] * num_hops,
    )
    out = around(typed, USER, seed)
    plain = sampled(NeighborSampler(edge_index=edge_index, num_nodes=num_nodes, fan_out=[-1] * num_hops), seed)
    nodes = torch.cat([out.node[kind] + start for kind, start in first.items()])
    edges = torch.cat([mask.nonzero().view(-1)[out.edge[kind]] for kind, mask in of_type.items()])
    assert nodes.sort().values.tolist() == plain.node.sort().values.tolist()
    assert edges.sort().values.tolist() == plain.edge.sort().values.tolist()
    assert [sum(hop) for hop in zip(*out.num_sampled_nodes.values(), strict=True)] == plain.num_sampled_nodes
    assert [sum(hop) for hop in zip(*out.num_sampled_edges.values(), strict=True)] == plain.num_sampled_edges


@pytest.mark.parametrize("disjoint", [False, True])
def test_each_type_keeps_its_own_fan_out(disjoint):
    sampler = sampler_of({FOLLOWS: [2, 1], BUYS: [3, -1], BOUGHT: [0, 2]}, disjoint=disjoint)
    out = around(sampler, USER, torch.tensor([7, 3]))
    assert out.num_sampled_edges[FOLLOWS] == [4, out.num_sampled_nodes[USER][1]]
    assert out.num_sampled_edges[BUYS] == [0, 0]  # no item in reach: the first hop leaves these out
    assert out.num_sampled_edges[BOUGHT][0] == 0
    assert out.num_sampled_edges[BOUGHT][1] == 2 * out.num_sampled_nodes[USER][1]
    for kind, edges in EDGES.items():
        ends = torch.stack([out.node[kind[0]][out.row[kind]], out.node[kind[2]][out.col[kind]]])
        assert torch.equal(ends, edges[:, out.edge[kind]])


@pytest.mark.parametrize(
    ("fan_out", "message"),
    [
        ({FOLLOWS: [1]}, "edge types are"),
        ({FOLLOWS: [1], BUYS: [1, 2], BOUGHT: [1]}, "different numbers of hops"),
        ({FOLLOWS: [0], BUYS: [0], BOUGHT: [0]}, "hop 1 of .* samples nothing"),
        ({FOLLOWS: [3], BUYS: [-2], BOUGHT: [1]}, "-2"),
        ({FOLLOWS: [], BUYS: [], BOUGHT: []}, "empty"),
    ],
)
def test_a_fan_out_that_does_not_fit_the_types_is_refused(fan_out, message):
    with pytest.raises(ValueError, match=rf"data\.fan_out: .*{message}"):
        sampler_of(fan_out)


def test_seeds_of_an_unknown_type_are_refused():
    with pytest.raises(ValueError, match=r"seeds are of type shop, but node types are \['user', 'item'\]"):
        around(sampler_of([1]), "shop", torch.tensor([0]))
    links = EdgeSamplerInput(None, torch.tensor([0]), torch.tensor([0]))
    with pytest.raises(ValueError, match="links have no type"):
        sampler_of([1]).sample_from_edges(links)


def test_times_of_different_types_are_refused():
    times = {FOLLOWS: torch.arange(400), BUYS: torch.arange(401) / 2}
    with pytest.raises(ValueError, match="use one type"):
        sampler_of([1], edge_time=times)
