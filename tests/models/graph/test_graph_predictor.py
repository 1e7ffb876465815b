from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torch_geometric.nn import MaxAggregation, MeanAggregation, MultiAggregation, SoftmaxAggregation, SumAggregation

from datamodules.graph import GraphDataModule, RandomGraphSplit
from models.graph import GCN, GIN, GPS, GraphEncoder, GraphPredictor, GraphSAGE, NodeMLP
from tests.graph_sets import InMemory, draw_graphs

ENCODERS: dict[str, Callable[[], GraphEncoder]] = {
    "GIN": lambda: GIN(num_features=3, hidden_size=4, num_layers=2),
    "GIN, last layer": lambda: GIN(num_features=3, hidden_size=4, output_size=5, jumping_knowledge=False),
    "GPS": lambda: GPS(num_features=3, hidden_size=4, num_layers=2, num_heads=2),
    "GraphSAGE mean": lambda: GraphSAGE(num_features=3, hidden_size=4, output_size=5),
    "GraphSAGE max": lambda: GraphSAGE(num_features=3, hidden_size=4, output_size=5, aggregation="max"),
    "NodeMLP": lambda: NodeMLP(num_features=3, hidden_size=4),
    "NodeMLP without layers": lambda: NodeMLP(num_features=3, num_layers=0),
}
POOLINGS: dict[str, Callable[[], nn.Module]] = {
    "sum": SumAggregation,
    "mean": MeanAggregation,
    "max": MaxAggregation,
    "softmax": lambda: SoftmaxAggregation(learn=True),
    "mean and max": lambda: MultiAggregation(["mean", "max"]),
}
some_graphs = st.builds(
    draw_graphs,
    st.integers(0, 2**31),
    num_graphs=st.integers(1, 9),
    empty=st.sampled_from([(), (0,), (-1,)]),
)
FEW = settings(max_examples=10, deadline=None, derandomize=True)


def predictor(encoder: nn.Module, pooling: nn.Module | None = None, **options: object) -> GraphPredictor:
    """In eval mode, with batch norms that have seen something."""
    torch.manual_seed(0)
    model = GraphPredictor(**{"encoder": encoder, "num_features": 3, "num_classes": 2, "pooling": pooling, **options})
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.uniform_(module.running_mean, -1, 1)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return model.eval()


@torch.no_grad()
def logits(model: GraphPredictor, graphs, indices) -> Tensor:
    batch = graphs.batch(np.asarray(indices))
    return model(batch.x, batch.edge_index, batch.batch, batch.graph_id)


@pytest.mark.parametrize("name", ENCODERS)
@FEW
@given(graphs=some_graphs, seed=st.integers(0, 99))
def test_encoders_follow_a_renumbering_of_the_nodes(name, graphs, seed) -> None:
    encoder = ENCODERS[name]().eval()
    batch = graphs.batch(np.arange(len(graphs)))
    new_place = torch.randperm(len(batch.x), generator=torch.Generator().manual_seed(seed))
    moved = torch.empty_like(batch.x)
    moved[new_place] = batch.x
    with torch.no_grad():
        before, after = encoder(batch.x, batch.edge_index), encoder(moved, new_place[batch.edge_index])
    assert before.shape == (len(batch.x), encoder.output_size)
    torch.testing.assert_close(after[new_place], before, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
@FEW
@given(graphs=some_graphs, seed=st.integers(0, 99))
def test_a_prediction_does_not_depend_on_the_order_of_nodes_and_edges(pooling, graphs, seed) -> None:
    model = predictor(ENCODERS["GIN"](), POOLINGS[pooling]())
    batch = graphs.batch(np.arange(len(graphs)))
    rng = np.random.default_rng(seed)
    order = torch.from_numpy(np.lexsort([rng.random(len(batch.x)), batch.batch.numpy()]))
    new_place = torch.argsort(order)
    edges = torch.from_numpy(rng.permutation(batch.edge_index.shape[1]))
    with torch.no_grad():
        before = model(batch.x, batch.edge_index, batch.batch, batch.graph_id)
        after = model(batch.x[order], new_place[batch.edge_index[:, edges]], batch.batch[order], batch.graph_id)
    torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
@FEW
@given(graphs=some_graphs)
def test_graphs_in_one_batch_are_predicted_as_one_by_one(pooling, graphs) -> None:
    model = predictor(ENCODERS["GPS" if pooling == "sum" else "GIN"](), POOLINGS[pooling]())
    together = logits(model, graphs, range(len(graphs)))
    alone = torch.cat([logits(model, graphs, [index]) for index in range(len(graphs))])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_graph_without_nodes_has_a_readout_of_zeros(pooling) -> None:
    model = predictor(ENCODERS["GIN"](), POOLINGS[pooling]())
    graphs = draw_graphs(1, num_graphs=4, empty=(1, 3))
    nothing = model.head(torch.zeros(1, model.head[0].num_features))[0]
    found = logits(model, graphs, range(4))
    assert found.shape == (4, 2)
    torch.testing.assert_close(found[1], nothing)
    torch.testing.assert_close(found[3], nothing)
    torch.testing.assert_close(logits(model, graphs, [3, 1]), torch.stack([nothing, nothing]))


def test_an_mlp_of_nodes_does_not_see_the_edges_and_gin_does() -> None:
    graphs = draw_graphs(0)
    batch = graphs.batch(np.arange(len(graphs)))
    other = batch.edge_index[:, ::3]
    for name, blind in (("NodeMLP", True), ("GIN", False), ("GraphSAGE max", False)):
        encoder = ENCODERS[name]().eval()
        assert torch.equal(encoder(batch.x, batch.edge_index), encoder(batch.x, other)) == blind


@pytest.mark.parametrize("name", ["GIN", "GraphSAGE mean"])
def test_edge_weights_are_refused_where_they_would_be_ignored(name) -> None:
    model = predictor(ENCODERS[name]())
    inputs = model.example_inputs()
    with pytest.raises(ValueError, match="takes no edge weights"):
        model(**inputs, edge_weight=torch.ones(5))


def test_edge_weights_reach_an_encoder_that_takes_them() -> None:
    model = predictor(GCN(num_features=3, output_size=4))
    inputs = model.example_inputs()
    assert not torch.allclose(model(**inputs), model(**inputs, edge_weight=torch.tensor([1.0, 1.0, 9.0, 1.0, 1.0])))


def test_gin_gives_the_features_and_all_layers_side_by_side() -> None:
    encoder = ENCODERS["GIN"]().eval()
    x = torch.randn(5, 3)
    found = encoder(x, torch.tensor([[0, 1], [1, 0]]))
    assert encoder.output_size == 3 + 2 * 4
    assert torch.equal(found[:, :3], x)


@pytest.mark.parametrize("loss", [nn.L1Loss(), nn.MSELoss()])
def test_regression_learns_and_answers_in_raw_units(loss) -> None:
    graphs = draw_graphs(0, num_graphs=200, regression=True)
    data = GraphDataModule(graphs=InMemory(graphs), split=RandomGraphSplit(), batch_size=16)
    torch.manual_seed(0)
    model = GraphPredictor(
        encoder=GIN(num_features=3, hidden_size=16, num_layers=2),
        num_features=3,
        num_targets=1,
        loss=loss,
        dropout=0.0,
        optimizer=lambda parameters: torch.optim.Adam(parameters, lr=0.01),
    )
    trainer = Trainer(
        max_epochs=12, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(model, data)
    train = graphs.y[data.indices.train]
    torch.testing.assert_close(model.target_mean, train.mean(0))
    torch.testing.assert_close(model.target_std, train.std(0, correction=0))
    metrics = trainer.test(model, data, verbose=False)[0]
    values, targets = logits(model.eval(), graphs, data.indices.test), graphs.y[data.indices.test]
    assert metrics["test/mae"] == pytest.approx(float((values - targets).abs().mean()), rel=1e-4)
    assert metrics["test/rmse"] == pytest.approx(float((values - targets).square().mean().sqrt()), rel=1e-4)
    assert metrics["test/rmse"] < 0.4 * float(train.std())


def test_values_are_scaled_back_by_what_the_checkpoint_holds() -> None:
    model = predictor(NodeMLP(num_features=3), num_classes=0, num_targets=2)
    inputs = model.example_inputs()
    scaled = model(**inputs)
    scale = {"target_mean": torch.tensor([1000.0, -7.0]), "target_std": torch.tensor([50.0, 2.0])}
    model.load_state_dict({**model.state_dict(), **scale})
    torch.testing.assert_close(model(**inputs), scaled * scale["target_std"] + scale["target_mean"])


def test_attributes_are_standardised_by_training_graphs_and_truth_values_are_not() -> None:
    graphs = draw_graphs(0, num_graphs=60)
    x = graphs.x.clone()
    x[:, 0], x[:, 1], x[:, 2] = 500 * x[:, 0] + 3e4, (x[:, 1] > 0).float(), 7.0
    data = GraphDataModule(graphs=InMemory(replace(graphs, x=x)), split=RandomGraphSplit())
    mean, std = data.feature_statistics()
    seen = torch.cat([data.graphs.batch(data.indices.train).x])
    torch.testing.assert_close(torch.stack([mean, std]), torch.stack([
        torch.stack([seen[:, 0].mean(), torch.tensor(0.0), torch.tensor(7.0)]),
        torch.stack([seen[:, 0].std(correction=0), torch.tensor(1.0), torch.tensor(1.0)]),
    ]), rtol=1e-4, atol=1e-4)  # fmt: skip
    model = predictor(ENCODERS["GPS"]())
    plain = logits(model, replace(graphs, x=(x - mean) / std), range(20))
    old = model.state_dict()
    model.feature_mean.copy_(mean)
    model.feature_std.copy_(std)
    torch.testing.assert_close(logits(model, replace(graphs, x=x), range(20)), plain, atol=1e-4, rtol=1e-4)
    batch = data.graphs.batch(np.arange(20))
    with torch.no_grad():
        torch.testing.assert_close(model.step(batch).predictions, plain, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(model.predict_step(batch, 0)["probabilities"], plain.softmax(-1))
    model.load_state_dict({name: value for name, value in old.items() if not name.startswith("feature_")})
    assert model.feature_mean.tolist() == [0, 0, 0]
    assert model.feature_std.tolist() == [1, 1, 1]


def test_a_constant_target_is_not_divided_by_zero() -> None:
    graphs = draw_graphs(0, num_graphs=30, regression=True)
    graphs.y.fill_(3.0)
    mean, std = GraphDataModule(graphs=InMemory(graphs), split=RandomGraphSplit()).target_statistics()
    assert (mean.item(), std.item()) == (3.0, 1.0)


@pytest.mark.parametrize("pooling", ["sum", "mean", "max"])
def test_an_exported_model_takes_other_numbers_of_nodes_edges_and_graphs(pooling) -> None:
    model = predictor(ENCODERS["GIN"](), POOLINGS[pooling]())
    nodes, edges, graphs = (torch.export.Dim(name, min=2, max=10_000) for name in ("nodes", "edges", "graphs"))
    shapes = {"x": {0: nodes}, "edge_index": {1: edges}, "batch": {0: nodes}, "graph_id": {0: graphs}}
    program = torch.export.export(model, (), model.example_inputs(), dynamic_shapes={**shapes}, strict=False).module()
    other = draw_graphs(3, num_graphs=7, empty=(2, 6))
    batch = other.batch(np.arange(7))
    inputs = {"x": batch.x, "edge_index": batch.edge_index, "batch": batch.batch, "graph_id": batch.graph_id}
    torch.testing.assert_close(program(**inputs), model(**inputs), atol=1e-6, rtol=1e-5)


def test_a_pyg_model_can_be_the_encoder_and_one_without_a_size_needs_a_head() -> None:
    from torch_geometric.nn import GraphSAGE as PyGSAGE

    model = predictor(PyGSAGE(3, 8, num_layers=2, out_channels=6))
    assert model(**model.example_inputs()).shape == (2, 2)
    with pytest.raises(ValueError, match="model.head: Identity has no output_size"):
        predictor(nn.Identity())
    assert predictor(nn.Identity(), head=nn.Linear(3, 2)) is not None


@pytest.mark.parametrize("num_classes", [1, -1])
def test_one_class_is_refused(num_classes) -> None:
    with pytest.raises(ValueError, match=f"model.num_classes: {num_classes} given"):
        predictor(NodeMLP(num_features=3), num_classes=num_classes)
