"""Explanations find the edges that are known to matter; the cut that they search answers as the whole graph does."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data, HeteroData
from torch_geometric.datasets import ExplainerDataset
from torch_geometric.datasets.graph_generator import BAGraph
from torch_geometric.nn import SimpleConv
from torch_geometric.nn import models as pyg_models
from torch_geometric.seed import seed_everything
from torchmetrics.functional.classification import binary_auroc

from models.graph import APPNP, GAT, GCN, GCNII, GIN, ClassicGNN, GraphEncoder, GraphSAGE, NodeMLP, explain_node
from models.graph.explanation.computation_graph import ComputationGraph, hops_to
from models.graph.explanation.gnn_explainer import MaskedEncoder

SIZES = {"num_features": 5, "output_size": 3, "hidden_size": 8}
ENCODERS: dict[str, Callable[[], nn.Module]] = {
    "GCN": lambda: GCN(**SIZES, num_layers=2),
    "GAT": lambda: GAT(**SIZES, num_layers=2, num_heads=2),
    "GraphSAGE": lambda: GraphSAGE(**SIZES, num_layers=2),
    "GIN": lambda: GIN(**SIZES, num_layers=2),
    "GCNII": lambda: GCNII(**SIZES, num_layers=2),
    "ClassicGNN": lambda: ClassicGNN(**SIZES, num_layers=2, norm=nn.BatchNorm1d),
    "PyG's GCN": lambda: pyg_models.GCN(5, 8, 2, 3),
    "PyG's GAT": lambda: pyg_models.GAT(5, 8, 2, 3),
}
EVERY_ENCODER = pytest.mark.parametrize("name", ENCODERS)


def random_graph(num_nodes: int = 120, num_edges: int = 300) -> Data:
    """Directed, with self-loops."""
    generator = torch.Generator().manual_seed(0)
    edge_index = torch.randint(num_nodes, (2, num_edges), generator=generator)
    edge_index[1, :10] = edge_index[0, :10]
    return Data(x=torch.randn(num_nodes, 5, generator=generator), edge_index=edge_index.unique(dim=1))


def make(name: str) -> nn.Module:
    torch.manual_seed(0)
    return ENCODERS[name]().eval()


@EVERY_ENCODER
def test_the_logits_on_the_cut_are_those_on_the_whole_graph(name: str) -> None:
    encoder, graph = make(name), random_graph()
    whole = encoder(graph.x, graph.edge_index)
    for node in range(0, 120, 8):
        cut = ComputationGraph.around(graph, node, 2)
        assert len(cut.node_id) < 100
        on_cut = encoder(cut.graph.x, cut.graph.edge_index)[cut.target_index]
        torch.testing.assert_close(on_cut, whole[node], rtol=1e-5, atol=1e-5)


def test_without_the_further_hop_a_graph_convolution_would_see_wrong_degrees() -> None:
    encoder, graph = make("GCN"), random_graph()
    whole = encoder(graph.x, graph.edge_index)
    cuts = [ComputationGraph.around(graph, node, 1) for node in range(0, 120, 8)]  # two hops in all
    on_cuts = torch.stack([encoder(cut.graph.x, cut.graph.edge_index)[cut.target_index] for cut in cuts])
    assert (on_cuts - whole[::8]).abs().max() > 1e-3


@EVERY_ENCODER
def test_shares_of_one_change_nothing_and_shares_of_zero_cut_the_node_off(name: str) -> None:
    encoder, graph = make(name), random_graph()
    masked = MaskedEncoder(encoder, graph)
    ones, zeros = (torch.full((graph.num_edges,), value) for value in (100.0, -100.0))
    whole = encoder(graph.x, graph.edge_index)
    torch.testing.assert_close(masked(ones), whole, rtol=1e-5, atol=1e-5)
    if "GAT" not in name:  # its attention still knows of the neighbours
        moved = graph.x.clone()
        moved[1:] += 1
        elsewhere = MaskedEncoder(encoder, Data(x=moved, edge_index=graph.edge_index))
        torch.testing.assert_close(masked(zeros)[0], elsewhere(zeros)[0])
    torch.testing.assert_close(encoder(graph.x, graph.edge_index), whole)  # no mask is left behind


@EVERY_ENCODER
def test_every_encoder_can_be_explained_and_is_left_as_it_was(name: str) -> None:
    encoder, graph = make(name).train(), random_graph()
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    found = explain_node(encoder, graph, 7, num_epochs=5)
    assert found.num_hops == 2
    assert found.importance.max() > 0
    assert found.edges.shape == found.hops.shape == (2, len(found.importance))
    assert {*map(tuple, found.edges.T.tolist())} <= {*map(tuple, graph.edge_index.T.tolist())}
    assert encoder.training
    assert all(parameter.requires_grad for parameter in encoder.parameters())
    assert all(torch.equal(before[key], value) for key, value in encoder.state_dict().items())


def test_the_same_seed_gives_the_same_explanation() -> None:
    encoder, graph = make("GCN"), random_graph()
    first, second, other = (explain_node(encoder, graph, 7, num_epochs=5, seed=seed).importance for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_propagation_that_no_layer_tells_of_is_explained_on_the_whole_graph() -> None:
    graph = random_graph()
    encoder = APPNP(**SIZES, num_steps=4)
    found = explain_node(encoder, graph, 7, num_epochs=2)
    assert found.num_hops is None
    too_near = explain_node(encoder, graph, 7, num_epochs=2, num_hops=1)  # the check on the logits finds it
    assert too_near.num_hops is None
    told = explain_node(encoder, graph, 7, num_epochs=2, num_hops=4)
    assert told.num_hops == 4
    torch.testing.assert_close(told.logits, found.logits)


def test_sparse_features_are_explained_as_dense_ones() -> None:
    encoder, graph = make("GCN"), random_graph()
    sparse = Data(x=graph.x.to_sparse_csr(), edge_index=graph.edge_index)
    dense_found, sparse_found = (explain_node(encoder, given, 7, num_epochs=5) for given in (graph, sparse))
    torch.testing.assert_close(sparse_found.importance, dense_found.importance, rtol=1e-4, atol=1e-5)


def test_a_weighted_graph_is_explained_with_its_weights() -> None:
    encoder, graph = make("GCN"), random_graph()
    graph.edge_weight = torch.rand(graph.num_edges)
    found = explain_node(encoder, graph, 7, num_epochs=2)
    torch.testing.assert_close(found.logits, encoder(graph.x, graph.edge_index, graph.edge_weight)[7])
    assert found.num_hops == 2


def test_an_isolated_node_has_an_empty_explanation() -> None:
    graph = Data(x=torch.randn(3, 5), edge_index=torch.tensor([[0], [1]]))
    assert not len(explain_node(make("GCN"), graph, 2).importance)


@pytest.mark.parametrize("node", [-1, 120])
def test_a_node_that_is_not_there_is_refused(node: int) -> None:
    with pytest.raises(ValueError, match=rf"node: {node} given, the graph has nodes 0 to 119"):
        explain_node(make("GCN"), random_graph(), node)


def test_what_cannot_be_explained_is_refused() -> None:
    with pytest.raises(ValueError, match="NodeMLP passes no messages"):
        explain_node(NodeMLP(**SIZES), random_graph(), 7)
    with pytest.raises(ValueError, match="types of nodes"):
        explain_node(make("GCN"), HeteroData(), 7)


def test_hops_follow_the_edges_and_not_their_reverse() -> None:
    edge_index = torch.tensor([[1, 2, 3, 0, 5], [0, 1, 1, 4, 5]])
    assert hops_to(edge_index, 0, 6).tolist() == [0, 1, 2, 2, -1, -1]
    assert hops_to(edge_index, 0, 6, most=1).tolist() == [0, 1, -1, -1, -1, -1]


class SumOfWalks(nn.Module):
    """Adds the features of what is one hop away and of what is two hops away: which edges count is known."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = SimpleConv("sum"), SimpleConv("sum")

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        near = self.first(x, edge_index)
        return near + self.second(near, edge_index)


def test_an_edge_counts_only_where_a_path_of_edges_that_count_joins_it_to_the_node() -> None:
    # 4 -> 1 -> 0 speaks for class 1 and 2 -> 0 against it: the walk 3 -> 2 -> 0, for it too, is gone with that edge.
    edge_index = torch.tensor([[1, 4, 2, 3, 5], [0, 1, 0, 2, 2]])
    x = torch.tensor([[0, 0], [0, 3], [4, 0], [0, 1], [0, 3], [0, 0]], dtype=torch.float32)
    for seed in range(3):
        found = explain_node(SumOfWalks(), Data(x=x, edge_index=edge_index), 0, seed=seed)
        share = dict(zip(map(tuple, found.edges.T.tolist()), found.importance.tolist(), strict=True))
        assert min(share[1, 0], share[4, 1]) > 0.9
        assert max(share[2, 0], share[3, 2], share[5, 2]) < 0.1
        assert share[3, 2] <= share[2, 0]
        assert found.edges[:, found.strongest(1)].squeeze().tolist() == [1, 0]
        assert found.logits_alone.tolist() == [0, 0]
        assert found.predicted.tolist() == [1, 1, 1, 0, 0, 0]


def houses(num_base: int, num_motifs: int) -> Data:
    """A random graph with houses attached: a node's class is its place in a house, told by the house's edges."""
    seed_everything(0)
    graph: Data = ExplainerDataset(BAGraph(num_base, 5), "house", num_motifs=num_motifs)[0]
    graph.x = torch.ones(graph.num_nodes, 10)
    return graph


def fit(encoder: GraphEncoder, graph: Data, num_steps: int) -> float:
    """Trains on all nodes; returns the accuracy."""
    optimizer = torch.optim.Adam(encoder.parameters(), lr=0.01)
    prepared = encoder.prepare(graph.edge_index, None, graph.num_nodes)
    for _ in range(num_steps):
        loss = F.cross_entropy(encoder(graph.x, prepared), graph.y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return float((encoder(graph.x, prepared).argmax(-1) == graph.y).float().mean())


def scores(encoder: nn.Module, graph: Data, nodes: Tensor) -> tuple[float, float]:
    """AUROC of the importance against the edges of houses: over the searched edges of all nodes, and mean per cut."""
    is_true = dict(zip(map(tuple, graph.edge_index.T.tolist()), graph.edge_mask.tolist(), strict=True))
    importance, truth, per_cut = [], [], []
    for node in nodes.tolist():
        found = explain_node(encoder, graph, node)
        importance.append(found.importance)
        truth.append(torch.tensor([int(is_true[edge]) for edge in map(tuple, found.edges.T.tolist())]))
        # Within the cut: edges that no message takes have importance 0.
        weight = dict(zip(map(tuple, found.edges.T.tolist()), found.importance.tolist(), strict=True))
        cut = ComputationGraph.around(graph, node, 2)  # three hops in all
        edges = [*map(tuple, cut.node_id[cut.graph.edge_index].T.tolist())]
        labels = torch.tensor([int(is_true[edge]) for edge in edges])
        if 0 < labels.sum() < len(labels):
            per_cut.append(float(binary_auroc(torch.tensor([weight.get(edge, 0.0) for edge in edges]), labels)))
    return float(binary_auroc(torch.cat(importance), torch.cat(truth))), sum(per_cut) / len(per_cut)


def check_houses(encoder: GraphEncoder, num_nodes: int) -> None:
    graph = houses(300, 80)
    assert fit(encoder, graph, 1500) > 0.9
    places = graph.node_mask.nonzero().squeeze(-1)
    over_all, per_cut = scores(encoder, graph, places[:: len(places) // num_nodes])
    print(f"AUROC over all {over_all:.3f}, mean per cut {per_cut:.3f}")
    assert over_all > 0.85
    assert per_cut > 0.85


@pytest.mark.slow
def test_the_edges_of_a_house_explain_a_place_in_it() -> None:
    torch.manual_seed(0)
    check_houses(GCN(num_features=10, output_size=4, hidden_size=20, num_layers=3, dropout=0.0), 20)


@pytest.mark.slow
def test_the_edges_of_a_house_explain_a_place_in_it_to_layers_of_pyg() -> None:
    torch.manual_seed(0)
    check_houses(GIN(num_features=10, output_size=4, hidden_size=20, num_layers=3), 40)
