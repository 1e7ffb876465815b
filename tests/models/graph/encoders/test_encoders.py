"""What every encoder promises, whatever it computes."""

import copy
import gc
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.nn import BatchNorm, GCNConv, SAGEConv

from models.graph import APPNP, GAT, GCN, GCNII, GIN, GPS, ClassicGNN, GraphEncoder, GraphSAGE, NodeMLP
from models.graph.encoders.whole_graph import PreparedGraphs, encode

ENCODERS: dict[str, Callable[[], GraphEncoder]] = {
    "gcn": lambda: GCN(num_features=6, output_size=3, hidden_size=8, num_layers=3),
    "gat": lambda: GAT(num_features=6, output_size=3, hidden_size=4, num_heads=2),
    "gat_one_layer": lambda: GAT(num_features=6, output_size=3, num_layers=1, num_output_heads=2),
    "sage": lambda: GraphSAGE(num_features=6, output_size=3, hidden_size=8),
    "sage_max": lambda: GraphSAGE(num_features=6, output_size=3, hidden_size=8, aggregation="max"),
    "gin": lambda: GIN(num_features=6, output_size=3, hidden_size=8, num_layers=2),
    "gin_max": lambda: GIN(num_features=6, output_size=3, hidden_size=8, num_layers=2, jumping_knowledge="max"),
    "gps": lambda: GPS(num_features=6, output_size=3, hidden_size=8, num_layers=2, num_heads=2),
    "appnp": lambda: APPNP(num_features=6, output_size=3, hidden_size=8),
    "gcnii": lambda: GCNII(num_features=6, output_size=3, hidden_size=8, num_layers=4),
    "classic": lambda: ClassicGNN(num_features=6, output_size=3, hidden_size=8, residual=True, norm=torch.nn.LayerNorm),
    "classic_sage": lambda: ClassicGNN(
        num_features=6, output_size=3, hidden_size=8, layer=SAGEConv, norm=BatchNorm, jumping="max"
    ),
    "mlp": lambda: NodeMLP(num_features=6, output_size=3, hidden_size=8),
}
CONVOLUTIONAL = ("gcn", "appnp", "gcnii", "classic")


def make(name: str) -> GraphEncoder:
    torch.manual_seed(0)
    return ENCODERS[name]().eval()


def random_graph(seed: int, num_nodes: int, num_edges: int) -> tuple[Tensor, Tensor]:
    """Features of which half are zero; any edges: repeated, loops, nodes without any."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(num_nodes, 6, generator=generator).relu()
    return x, torch.randint(num_nodes, (2, num_edges), generator=generator)


@pytest.mark.parametrize("name", ENCODERS)
@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10_000), num_nodes=st.integers(1, 20), num_edges=st.integers(0, 60))
def test_permuted_nodes_give_permuted_outputs(name: str, seed: int, num_nodes: int, num_edges: int) -> None:
    encoder = make(name)
    x, edge_index = random_graph(seed, num_nodes, num_edges)
    order = torch.randperm(num_nodes, generator=torch.Generator().manual_seed(seed))
    place = torch.empty_like(order)
    place[order] = torch.arange(num_nodes)
    with torch.no_grad():
        expected = encoder(x, edge_index)[order]
        found = encoder(x[order], place[edge_index])
    assert expected.shape == (num_nodes, encoder.output_size)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ENCODERS)
@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 10_000), num_nodes=st.integers(1, 20), num_edges=st.integers(0, 60))
def test_sparse_features_and_prepared_edges_change_nothing(
    name: str, seed: int, num_nodes: int, num_edges: int
) -> None:
    encoder = make(name)
    x, edge_index = random_graph(seed, num_nodes, num_edges)
    with torch.no_grad():
        expected = encoder(x, edge_index)
        whole = Data(x=x.to_sparse_csr(), edge_index=edge_index, whole_graph=True)
        sampled = Data(x=x.to_sparse_csr(), edge_index=edge_index)
        known = PreparedGraphs()
        for batch in (whole, whole, sampled):
            torch.testing.assert_close(encode(encoder, batch, known), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ENCODERS)
def test_gradients_agree_between_sparse_and_dense(name: str) -> None:
    x, edge_index = random_graph(1, 12, 40)
    gradients = []
    for batch in (
        Data(x=x, edge_index=edge_index),
        Data(x=x.to_sparse_csr(), edge_index=edge_index, whole_graph=True),
    ):
        encoder = make(name)
        encode(encoder, batch, PreparedGraphs()).square().sum().backward()
        gradients.append({key: parameter.grad for key, parameter in encoder.named_parameters()})
    for key, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][key], gradient, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("name", [name for name in ENCODERS if name != "gps"])
def test_a_node_far_away_changes_nothing_but_a_neighbour_does(name: str) -> None:
    encoder = make(name)
    x, _ = random_graph(2, 4, 0)
    edge_index = torch.tensor([[0, 1], [1, 0]])  # 2 and 3 stand alone
    changed = x.clone()
    changed[2] += 1
    with torch.no_grad():
        before, after = encoder(x, edge_index), encoder(changed, edge_index)
        torch.testing.assert_close(before[[0, 1, 3]], after[[0, 1, 3]])
        assert not torch.equal(before[2], after[2])
        changed = x.clone()
        changed[1] += 1
        sees = not torch.allclose(encoder(changed, edge_index)[0], before[0])
    assert sees == (name != "mlp")


@pytest.mark.parametrize("name", [name for name in ENCODERS if name != "mlp"])
def test_edge_weights_count_or_are_refused(name: str) -> None:
    encoder = make(name)
    x, edge_index = random_graph(3, 10, 30)
    weight = torch.rand(30)
    if name in CONVOLUTIONAL:
        with torch.no_grad():
            weighted = encoder(x, edge_index, weight)
            assert not torch.allclose(weighted, encoder(x, edge_index))
            batch = Data(x=x, edge_index=edge_index, edge_weight=weight, whole_graph=True)
            torch.testing.assert_close(encode(encoder, batch, PreparedGraphs()), weighted, atol=1e-5, rtol=1e-4)
    else:
        with pytest.raises(ValueError, match="takes no edge weights"):
            encoder(x, edge_index, weight)
        with pytest.raises(ValueError, match="takes no edge weights"):
            encoder.prepare(edge_index, weight, 10)


def test_graph_convolution_equals_that_of_pyg() -> None:
    x, edge_index = random_graph(4, 15, 50)
    encoder = GCN(num_features=6, output_size=3, num_layers=1).eval()
    layer = GCNConv(6, 3)
    layer.lin.weight.data = encoder.layers[0].linear.weight.data
    with torch.no_grad():
        torch.testing.assert_close(encoder(x, edge_index), layer(x, edge_index), atol=1e-6, rtol=1e-5)


def test_what_one_encoder_prepared_is_not_given_to_another() -> None:
    x, edge_index = random_graph(5, 10, 30)
    batch, known = Data(x=x, edge_index=edge_index, whole_graph=True), PreparedGraphs()
    with torch.no_grad():
        for name in ("gcn", "gat", "gcn"):
            encoder = make(name)
            torch.testing.assert_close(encode(encoder, batch, known), encoder(x, edge_index), atol=1e-5, rtol=1e-4)


def test_what_was_prepared_goes_with_its_graph_and_is_not_copied() -> None:
    known, encoder = PreparedGraphs(), make("gcn")
    x, edge_index = random_graph(5, 10, 30)
    batch = Data(x=x, edge_index=edge_index, whole_graph=True)
    first = known.of(encoder, batch)
    assert known.of(encoder, batch) is first
    assert not copy.deepcopy(known)._prepared
    del batch
    gc.collect()
    assert not known._prepared


@pytest.mark.parametrize("name", [name for name in ENCODERS if name != "gat_one_layer"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_precisions_of_weights_and_of_autocast(name: str, dtype: torch.dtype) -> None:
    x, edge_index = random_graph(6, 12, 40)
    expected = make(name)(x, edge_index)
    for batch in (
        Data(x=x, edge_index=edge_index),
        Data(x=x.to_sparse_csr(), edge_index=edge_index, whole_graph=True),
    ):
        found = encode(make(name).to(dtype), batch, PreparedGraphs())
        assert found.dtype == dtype
        torch.testing.assert_close(found.float(), expected, atol=0.1, rtol=0.1)
        if dtype == torch.bfloat16:
            encoder = make(name)
            with torch.autocast("cpu", dtype):
                mixed = encode(encoder, batch, PreparedGraphs())
            mixed.float().sum().backward()
            torch.testing.assert_close(mixed.float(), expected, atol=0.1, rtol=0.1)


@pytest.mark.parametrize("encoder", [GCN, GAT, GraphSAGE, GIN, GPS, GCNII, ClassicGNN])
def test_a_stack_without_a_layer_is_refused(encoder: type[GraphEncoder]) -> None:
    with pytest.raises(ValueError, match="num_layers: 0 given"):
        encoder(num_features=6, output_size=3, num_layers=0)


def test_attention_reaches_every_node_of_a_graph_and_none_of_another() -> None:
    encoder = make("gps")
    x, _ = random_graph(2, 4, 0)
    edge_index, batch, graphs = torch.tensor([[0, 2], [1, 3]]), torch.tensor([0, 0, 0, 1]), torch.arange(3)
    changed = x.clone()
    changed[2] += 1
    with torch.no_grad():
        before, after = (encoder(each, edge_index[:, :1], batch=batch, graphs=graphs) for each in (x, changed))
        assert not torch.allclose(before[0], after[0])
        torch.testing.assert_close(before[3], after[3])
        alone = encoder(x[:3], edge_index[:, :1])
        torch.testing.assert_close(before[:3], alone)
    with pytest.raises(ValueError, match="num_heads: 3 given, it must divide hidden_size, 8"):
        GPS(num_features=6, hidden_size=8, num_heads=3)


def test_layers_are_chosen_by_their_maximum() -> None:
    torch.manual_seed(0)
    encoder = GIN(num_features=6, hidden_size=8, num_layers=3, jumping_knowledge="max").eval()
    last = copy.deepcopy(encoder)
    last.jumping_knowledge = False
    x, edge_index = random_graph(2, 9, 20)
    with torch.no_grad():
        assert encoder.output_size == encoder(x, edge_index).shape[1] == 8
        assert (encoder(x, edge_index) >= last(x, edge_index)).all()
        assert (encoder(x, edge_index) > last(x, edge_index)).any()


def test_attention_of_a_node_that_attends_to_none_is_finite() -> None:
    torch.manual_seed(0)
    encoder = GPS(num_features=3, hidden_size=8, num_layers=1, num_heads=2).eval()
    inputs = encoder.layers[0].attention.inputs
    with torch.no_grad():
        inputs.weight.zero_()
        inputs.bias.fill_(-30.0)
    output = encoder(torch.randn(4, 3), torch.tensor([[0, 1], [1, 0]]))
    assert output.isfinite().all()
    output.sum().backward()
    assert inputs.weight.grad.isfinite().all()
