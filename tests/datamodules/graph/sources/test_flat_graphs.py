import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Batch, Data

from datamodules.graph import FlatGraphs, GraphSetSource


def flat(graphs: list[Data]) -> FlatGraphs:
    nodes = [graph.num_nodes for graph in graphs]
    edges = [graph.num_edges for graph in graphs]
    return FlatGraphs(
        x=torch.cat([graph.x for graph in graphs]),
        edge_index=torch.cat([graph.edge_index for graph in graphs], dim=1),
        node_ptr=torch.tensor([0, *np.cumsum(nodes)]),
        edge_ptr=torch.tensor([0, *np.cumsum(edges)]),
        y=torch.cat([graph.y for graph in graphs]),
        edge_attr=torch.cat([graph.edge_attr for graph in graphs]),
    )


def random_graph(num_nodes: int, num_edges: int, seed: int) -> Data:
    generator = torch.Generator().manual_seed(seed)
    num_edges = num_edges if num_nodes else 0
    return Data(
        x=torch.randn(num_nodes, 2, generator=generator),
        edge_index=torch.randint(max(num_nodes, 1), (2, num_edges), generator=generator),
        edge_attr=torch.randn(num_edges, 3, generator=generator),
        y=torch.randint(4, (1,), generator=generator),
    )


@given(
    sizes=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 8)), min_size=1, max_size=8),
    data=st.data(),
)
def test_a_batch_is_what_pyg_collates(sizes: list[tuple[int, int]], data: st.DataObject) -> None:
    graphs = [random_graph(*size, seed) for seed, size in enumerate(sizes)]
    chosen = data.draw(st.lists(st.integers(0, len(graphs) - 1), min_size=1, max_size=10))
    ours = flat(graphs).batch(np.array(chosen))
    theirs = Batch.from_data_list([graphs[index] for index in chosen])
    for field in ("x", "edge_index", "edge_attr", "y", "batch"):
        assert torch.equal(ours[field], theirs[field]), field
    assert ours.num_graphs == theirs.num_graphs
    assert ours.graph_id.tolist() == chosen


class Given(GraphSetSource):
    """A source whose graphs are what the test says."""

    name = "given"

    def __init__(self, graphs: list[Data], *, undirected: bool = False) -> None:
        self.graphs = flat(graphs)
        self.undirected = undirected

    def load(self) -> FlatGraphs:
        return self.graphs

    def checksums(self) -> dict[str, str]:
        return {}


def graph(num_nodes: int, edges: list[tuple[int, int]]) -> Data:
    edge_index = torch.tensor(edges, dtype=torch.int64).reshape(-1, 2).T
    return Data(
        x=torch.ones(num_nodes, 2), edge_index=edge_index, edge_attr=torch.ones(len(edges), 1), y=torch.tensor([0])
    )


def test_an_edge_to_a_node_of_the_next_graph_is_refused() -> None:
    with pytest.raises(ValueError, match="an edge of graph 1 joins its nodes 0 and 2, but it has 2 nodes"):
        Given([graph(2, [(0, 1)]), graph(2, [(0, 2)]), graph(3, [])]).read()


def test_a_set_without_nodes_is_refused_and_a_graph_without_is_not() -> None:
    with pytest.raises(ValueError, match="given has 2 graphs, but none of them has a node"):
        Given([graph(0, []), graph(0, [])]).read()
    assert Given([graph(0, []), graph(1, [])]).fingerprint()["num_empty_graphs"] == 1


def test_a_feature_that_is_no_number_is_refused() -> None:
    bad = graph(2, [])
    bad.x[1, 0] = float("nan")
    with pytest.raises(ValueError, match="node 3 has nan in feature column 0"):
        Given([graph(2, []), bad]).read()


def test_repeated_edges_are_merged_and_reverse_ones_added_within_their_graph() -> None:
    graphs = [graph(3, [(2, 0), (0, 1), (2, 0)]), graph(0, []), graph(2, [(1, 0), (1, 1)])]
    source = Given(graphs, undirected=True)
    read = source.read()
    assert read.edge_ptr.tolist() == [0, 4, 4, 7]
    first, last = read.batch(np.array([0])), read.batch(np.array([2]))
    assert first.edge_index.tolist() == [[0, 0, 1, 2], [1, 2, 0, 0]]
    assert first.edge_attr[:, 0].tolist() == [1, 2, 1, 2]
    assert last.edge_index.tolist() == [[0, 1, 1], [1, 0, 1]]
    fingerprint = source.fingerprint()
    assert (fingerprint["num_edges"], fingerprint["num_edges_with_reverse"]) == (4, 7)
    assert (fingerprint["num_merged_edges"], fingerprint["num_self_loops"]) == (1, 1)
    assert fingerprint["num_isolated"] == 0
