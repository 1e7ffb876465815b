"""Files for ONNX Runtime answer as the module does, for graphs of any size; what could not is refused."""

import copy
import re
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch_geometric.nn import GCNConv, SAGEConv
from torch_geometric.nn import models as pyg_models

from models.graph import (
    APPNP,
    GAT,
    GCN,
    GCNII,
    GIN,
    GPS,
    ClassicGNN,
    CosineDecoder,
    GraphPredictor,
    GraphSAGE,
    HeteroSAGE,
    LinkPredictor,
    NodeClassifier,
    NodeMLP,
)
from models.graph.export import onnx_export
from models.graph.export.onnx_export import export_onnx

SIZES = {"num_features": 6, "output_size": 3, "hidden_size": 4}
ENCODERS = {
    "GCN": lambda: GCN(**SIZES),
    "GAT": lambda: GAT(**SIZES, num_heads=2),
    "GraphSAGE, mean": lambda: GraphSAGE(**SIZES),
    "GraphSAGE, max": lambda: GraphSAGE(**SIZES, aggregation="max"),
    "GIN": lambda: GIN(**SIZES, num_layers=2),
    "GIN, maximum of layers": lambda: GIN(**SIZES, num_layers=2, jumping_knowledge="max"),
    "GPS": lambda: GPS(**SIZES, num_layers=2, num_heads=2),
    "APPNP": lambda: APPNP(**SIZES, num_steps=3),
    "GCNII": lambda: GCNII(**SIZES, num_layers=3),
    "ClassicGNN": lambda: ClassicGNN(**SIZES, num_layers=2, residual=True, jumping="max"),
    "ClassicGNN with norm": lambda: ClassicGNN(**SIZES, num_layers=2, norm=nn.BatchNorm1d, layer=SAGEConv),
    "NodeMLP": lambda: NodeMLP(**SIZES),
    "PyG's GCN": lambda: pyg_models.GCN(6, 4, 2, 3),
}
IN_EVERY_RUN = ("GCN", "GAT")
EDGE_TYPES = [("author", "writes", "paper"), ("paper", "written_by", "author"), ("paper", "cites", "paper")]


def classifier(encoder: nn.Module) -> NodeClassifier:
    return NodeClassifier(encoder=encoder, num_features=6, num_classes=3).eval()


def answer(path: Path, inputs: dict[str, Tensor]) -> Tensor:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [taken.name for taken in session.get_inputs()]
    return torch.from_numpy(session.run(None, {name: inputs[name].numpy() for name in names})[0])


@pytest.mark.parametrize(
    "name", [name if name in IN_EVERY_RUN else pytest.param(name, marks=pytest.mark.slow) for name in ENCODERS]
)
def test_a_file_answers_as_the_module_for_graphs_of_any_size(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    module = classifier(ENCODERS[name]())
    path = tmp_path / "model.onnx"
    assert export_onnx(module, path) < 1e-5
    assert capfd.readouterr() == ("", "")
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]
    graphs = {
        "no edges": (3, torch.empty(2, 0, dtype=torch.long)),
        "one edge": (2, torch.tensor([[0], [1]])),
        "one node": (1, torch.tensor([[0], [0]])),
        "self-loops and isolated nodes": (50, torch.arange(20).repeat(2, 1)),
        "large": (400, torch.randint(400, (2, 3000))),
        "all edges into one node": (300, torch.stack([torch.arange(300), torch.zeros(300, dtype=torch.long)])),
    }
    for label, (num_nodes, edge_index) in graphs.items():
        inputs = {"x": torch.randn(num_nodes, 6), "edge_index": edge_index}
        torch.testing.assert_close(answer(path, inputs), module(**inputs), rtol=1e-4, atol=1e-5, msg=label)


@pytest.mark.parametrize(
    "encoder",
    [
        GIN(num_features=6, hidden_size=4, num_layers=2),
        pytest.param(GPS(num_features=6, hidden_size=4, num_layers=2, num_heads=2), marks=pytest.mark.slow),
    ],
    ids=["GIN", "GPS"],
)
def test_a_graph_predictor_takes_any_number_of_graphs_with_empty_ones_at_the_end(
    encoder: nn.Module, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    module = GraphPredictor(encoder=encoder, num_features=6, num_classes=2).eval()
    module.feature_mean.fill_(0.5)
    module.feature_std.fill_(2.0)
    path = tmp_path / "model.onnx"
    assert export_onnx(module, path) < 1e-5
    for num_graphs in (1, 3, 20):
        inputs = {
            "x": torch.randn(30, 6),
            "edge_index": torch.randint(30, (2, 70)),
            "batch": torch.randint(max(1, num_graphs - 2), (30,)).sort().values,
            "graph_id": torch.arange(num_graphs),
        }
        assert answer(path, inputs).shape == (num_graphs, 2)
        torch.testing.assert_close(answer(path, inputs), module(**inputs), rtol=1e-4, atol=1e-5)


def typed_classifier() -> NodeClassifier:
    num_features = {"author": 4, "paper": 6}
    encoder = HeteroSAGE(
        num_features=num_features, edge_types=EDGE_TYPES, target_type="paper", output_size=3, hidden_size=4
    )
    return NodeClassifier(encoder=encoder, num_features=num_features, num_classes=3).eval()


def test_a_link_predictor_takes_any_number_of_pairs(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = GCN(num_features=3, output_size=4, num_layers=1)
    module = LinkPredictor(encoder=encoder, decoder=CosineDecoder(), num_features=3)
    path = tmp_path / "model.onnx"
    assert export_onnx(module.eval(), path) < 1e-5
    inputs = {
        "x": torch.randn(9, 3),
        "edge_index": torch.randint(9, (2, 30)),
        "edge_label_index": torch.randint(9, (2, 1)),
    }
    torch.testing.assert_close(answer(path, inputs), module(**inputs), rtol=1e-4, atol=1e-5)


def test_a_graph_with_types_has_an_input_per_type_each_of_its_own_size(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = typed_classifier()
    path = tmp_path / "model.onnx"
    assert export_onnx(module, path) < 1e-5
    sizes = {"author": 13, "paper": 29}
    x = {name: torch.randn(size, module.num_features[name]) for name, size in sizes.items()}
    edge_index = {
        "__".join((source, relation, target)): torch.stack(
            [torch.randint(sizes[source], (count,)), torch.randint(sizes[target], (count,))]
        )
        for (source, relation, target), count in zip(EDGE_TYPES, (40, 17, 1), strict=True)
    }
    flat = {f"x__{name}": value for name, value in x.items()}
    flat |= {f"edge_index__{name}": value for name, value in edge_index.items()}
    torch.testing.assert_close(answer(path, flat), module(x=x, edge_index=edge_index), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_weights_of_edges_are_an_input_where_they_are_given(tmp_path: Path) -> None:
    module = classifier(GCN(**SIZES))
    path = tmp_path / "model.onnx"
    example = module.example_inputs()
    export_onnx(module, path, inputs={**example, "edge_weight": torch.rand(example["edge_index"].shape[1])})
    inputs = {"x": torch.randn(30, 6), "edge_index": torch.randint(30, (2, 70)), "edge_weight": torch.rand(70)}
    torch.testing.assert_close(answer(path, inputs), module(**inputs), rtol=1e-4, atol=1e-5)


def test_a_layer_that_keeps_the_first_graph_is_refused_by_name(tmp_path: Path) -> None:
    module = classifier(nn.ModuleDict({"first": GCNConv(6, 3, cached=True)}))
    with pytest.raises(ValueError, match=r"model\.encoder\.first: GCNConv .*cached=True.*make it with cached=False"):
        export_onnx(module, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


class Random(nn.Module):
    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return x[:, :3] + torch.rand(3)


def test_a_module_that_is_random_in_evaluation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Random|different outputs for the same inputs"):
        export_onnx(classifier(Random()), tmp_path / "model.onnx")


def test_a_file_that_does_not_agree_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = torch.onnx.export

    def wrong(module: nn.Module, *args: Any, **options: Any) -> None:
        assert options["dynamo"] is True  # the old exporter is silently wrong for the maximum over neighbours
        other = copy.deepcopy(module)
        for parameter in other.parameters():
            nn.init.zeros_(parameter)
        right(other, *args, **options)

    monkeypatch.setattr(onnx_export.torch.onnx, "export", wrong)
    module = classifier(NodeMLP(**SIZES))
    with pytest.raises(RuntimeError, match="does not agree"):
        export_onnx(module, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_the_module_is_left_in_the_mode_that_it_was_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = classifier(NodeMLP(**SIZES)).train()
    monkeypatch.setattr(onnx_export.torch.onnx, "export", lambda *args, **options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export_onnx(module, tmp_path / "model.onnx")
    assert module.training


def test_a_missing_package_is_named_with_what_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_export, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=re.escape("pip install 'lightning-r2p[graph,export]'")):
        export_onnx(classifier(NodeMLP(**SIZES)), tmp_path / "model.onnx")


def test_the_graph_that_files_are_checked_on_has_isolated_nodes_self_loops_and_other_sizes() -> None:
    module = typed_classifier()
    example = onnx_export.flatten(module.example_inputs())
    axes = onnx_export.flatten(module.dynamic_axes(), is_leaf=lambda value: all(type(key) is int for key in value))
    other = onnx_export.random_inputs(example, axes)
    cites = other["edge_index__paper__cites__paper"]
    assert (cites[0] == cites[1]).any()
    assert cites.max() < len(other["x__paper"]) * 2 // 3
    assert len({tensor.shape[dim] for name, tensor in other.items() for dim in axes[name]}) == len(axes)
