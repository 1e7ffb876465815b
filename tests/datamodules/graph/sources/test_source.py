import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import coalesce

from datamodules.graph import DigitsGraph, GraphSource, KarateClub, PublicSplit, RandomNodeSplit


class Given(GraphSource):
    """A source whose graph is what the test says."""

    name = "given"

    def __init__(self, *, undirected: bool = False, **fields: Tensor) -> None:
        self.fields = fields
        self.undirected = undirected

    def load(self) -> Data:
        return Data(**self.fields)

    def checksums(self) -> dict[str, str]:
        return {}


def given_graph(edges: list[tuple[int, int]], *, num_nodes: int = 4, undirected: bool = False, **fields) -> Given:
    fields.setdefault("x", torch.ones(num_nodes, 3))
    fields.setdefault("y", torch.arange(num_nodes) % 2)
    edge_index = torch.tensor(edges, dtype=torch.int64).reshape(-1, 2).T.contiguous()
    return Given(edge_index=edge_index, undirected=undirected, **fields)


@pytest.mark.parametrize("edge", [(1, 4), (4, 1), (-1, 0)])
def test_an_edge_to_a_node_that_does_not_exist_is_refused(edge: tuple[int, int]) -> None:
    message = rf"given: edge 1 joins nodes {edge[0]} and {edge[1]}, but there are 4 nodes"
    with pytest.raises(ValueError, match=message):
        given_graph([(0, 1), edge]).read()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("sparse", [False, True])
def test_a_feature_that_is_no_number_is_refused_by_node_and_column(value: float, sparse: bool) -> None:
    x = torch.eye(4)
    x[2, 1] = value
    x = torch.sparse_csr_tensor(*_csr(x), size=(4, 4), check_invariants=True) if sparse else x
    with pytest.raises(ValueError, match=rf"node 2 has {value} in feature column 1"):
        given_graph([(0, 1)], x=x).read()


def _csr(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    csr = x.to_sparse_csr()
    return csr.crow_indices(), csr.col_indices(), csr.values()


def test_a_graph_without_nodes_is_refused() -> None:
    with pytest.raises(ValueError, match="given has no nodes"):
        given_graph([], num_nodes=0).read()


def test_a_weight_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="edge 1 has weight nan"):
        given_graph([(0, 1), (1, 2)], edge_weight=torch.tensor([1.0, float("nan")])).read()


def test_a_label_below_minus_one_is_refused() -> None:
    with pytest.raises(ValueError, match="node 3 has label -2.*-1 means no label"):
        given_graph([], y=torch.tensor([0, 1, -1, -2])).read()


def test_what_is_odd_but_allowed_is_counted() -> None:
    graph = given_graph([(0, 1), (1, 1), (0, 1), (2, 2)], y=torch.tensor([0, 1, -1, 0]))
    fingerprint = graph.fingerprint()
    assert fingerprint["num_nodes"] == 4
    assert fingerprint["num_edges"] == 3
    assert fingerprint["num_merged_edges"] == 1
    assert fingerprint["num_self_loops"] == 2
    assert fingerprint["num_isolated"] == 2  # a self loop joins a node to nothing else
    assert fingerprint["num_unlabelled"] == 1


def test_weights_of_repeated_edges_are_added_up() -> None:
    data = given_graph([(1, 0), (0, 1), (1, 0)], edge_weight=torch.tensor([1.0, 2.0, 4.0])).read()
    assert data.edge_index.tolist() == [[0, 1], [1, 0]]
    assert data.edge_weight.tolist() == [2.0, 5.0]


def test_edges_at_different_times_are_not_repeated_edges() -> None:
    data = given_graph([(0, 1), (0, 1), (0, 1)], edge_time=torch.tensor([5, 3, 5])).read()
    assert data.edge_time.tolist() == [3, 5]


def test_a_graph_without_repeated_edges_keeps_their_order() -> None:
    edges = [(3, 0), (1, 2), (0, 3)]
    assert given_graph(edges).read().edge_index.T.tolist() == [list(edge) for edge in edges]


def test_reverse_edges_carry_the_weight_and_both_directions_agree() -> None:
    graph = given_graph([(0, 1), (1, 0), (1, 2), (3, 3)], undirected=True, edge_weight=torch.tensor([1.0, 5, 3, 2]))
    data = graph.read()
    weights = {
        tuple(edge): weight for edge, weight in zip(data.edge_index.T.tolist(), data.edge_weight.tolist(), strict=True)
    }
    assert weights == {(0, 1): 5, (1, 0): 5, (1, 2): 3, (2, 1): 3, (3, 3): 2}
    assert graph.fingerprint()["num_edges"] == 4
    assert graph.fingerprint()["num_edges_with_reverse"] == 5


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=40))
def test_merged_edges_are_those_of_pyg(edges: list[tuple[int, int]]) -> None:
    weight = torch.arange(len(edges), dtype=torch.float32)
    data = given_graph(edges, num_nodes=6, edge_weight=weight).read()
    ours = coalesce(data.edge_index, data.edge_weight)  # in one order, merges nothing more
    assert ours[0].shape == data.edge_index.shape
    theirs = coalesce(torch.tensor(edges).T, weight, num_nodes=6)
    assert torch.equal(ours[0], theirs[0])
    assert torch.equal(ours[1], theirs[1])


def test_what_a_reader_does_to_its_graph_does_not_reach_the_next_reader() -> None:
    source = KarateClub()
    first = source.read()
    first.x = torch.zeros(1)
    assert source.read().x.shape == (34, 34)


def test_the_karate_club_needs_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIGHTNING_APP_DATA", "/nowhere")
    source = KarateClub()
    assert source.fingerprint()["num_edges"] == 156
    indices = RandomNodeSplit(train=0.5, val=0.25).split(source.read())
    assert len(indices.train) + len(indices.val) + len(indices.test) == 34
    with pytest.raises(ValueError, match="the graph came without val_mask, test_mask; take RandomNodeSplit"):
        PublicSplit().split(source.read())


def test_the_graph_of_digits_joins_images_of_one_class_and_is_undirected() -> None:
    source = DigitsGraph(num_neighbors=5)
    data = source.read()
    assert data.x.shape == (1797, 64)
    assert (float(data.x.min()), float(data.x.max())) == (0, 1)
    assert data.is_undirected()
    assert not data.has_self_loops()
    source_nodes, target_nodes = data.edge_index
    assert (data.y[source_nodes] == data.y[target_nodes]).float().mean() > 0.95
    assert np.bincount(source_nodes).min() >= 5
    assert source.fingerprint() == DigitsGraph(num_neighbors=5).fingerprint()
    assert source.fingerprint()["sha256"] != DigitsGraph(num_neighbors=4).fingerprint()["sha256"]


@pytest.mark.parametrize("num_neighbors", [0, 1797])
def test_too_many_or_no_neighbours_are_refused(num_neighbors: int) -> None:
    with pytest.raises(ValueError, match="data.graph.num_neighbors: .* allowed are 1 to 1796"):
        DigitsGraph(num_neighbors=num_neighbors)
