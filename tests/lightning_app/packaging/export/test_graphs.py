"""Models of nodes, links and graphs become packages."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from lightning_app.__main__ import main
from lightning_app.packaging import Package
from tests.conftest import only_run
from tests.graph_sets import draw_graphs, write_tables
from tests.lightning_app.packaging.export.test_forecasting import checkpoint_of

HEAD = """
seed_everything: 3
trainer: {max_epochs: 2, accelerator: cpu}
"""
NODES = """
model:
  class_path: models.graph.NodeClassifier
  init_args:
    encoder: {class_path: models.graph.GCN, init_args: {hidden_size: 8}}
    optimizer: {class_path: Adam, init_args: {lr: 0.02}}
data:
  class_path: datamodules.graph.NodeDataModule
  init_args: {graph: datamodules.graph.KarateClub, split: datamodules.graph.RandomNodeSplit}
"""
SAMPLED_NODES = """
model:
  class_path: models.graph.NodeClassifier
  init_args:
    encoder: {class_path: models.graph.GraphSAGE, init_args: {hidden_size: 8, num_layers: 2}}
    optimizer: {class_path: Adam, init_args: {lr: 0.02}}
data:
  class_path: datamodules.graph.NodeDataModule
  init_args:
    graph: datamodules.graph.DigitsGraph
    split: datamodules.graph.RandomNodeSplit
    fan_out: [5, 5]
    batch_size: 256
"""
LINKS = """
model:
  class_path: models.graph.{model}
  init_args:
    encoder: {{class_path: models.graph.GCN, init_args: {{output_size: 8, hidden_size: 8}}}}
    decoder: models.graph.CosineDecoder
    optimizer: {{class_path: Adam, init_args: {{lr: 0.02}}}}
data:
  class_path: datamodules.graph.LinkDataModule
  init_args:
    graph: datamodules.graph.KarateClub
    split: {{class_path: datamodules.graph.{split}, init_args: {{val: 0.1, test: 0.2{more}}}}}
    steps_per_epoch: 4
"""
GRAPHS = """
model:
  class_path: models.graph.GraphPredictor
  init_args:
    encoder: {{class_path: models.graph.GIN, init_args: {{hidden_size: 8, num_layers: 2}}}}
    optimizer: {{class_path: Adam, init_args: {{lr: 0.01}}}}
data:
  class_path: datamodules.graph.GraphDataModule
  init_args:
    graphs: {{class_path: datamodules.graph.GraphSetTable, init_args: {tables}}}
    split: datamodules.graph.StratifiedFolds
    batch_size: 16
"""


def exported(config: str) -> tuple[Path, Package]:
    """Fits a config and exports it; the run and the package."""
    Path("small.yaml").write_text(HEAD + config)
    assert main(["fit", "-c", "small.yaml"]) == 0
    run = only_run(Path("runs"))
    assert main(["export", str(run), "--output", "package"]) == 0
    return run, Package.load("package")


def test_nodes_are_classified_by_their_number(capsys: pytest.CaptureFixture[str]) -> None:
    run, package = exported(NODES)
    assert main(["predict", "--ckpt_path", str(run / "checkpoints/best.ckpt")]) == 0
    expected = pl.read_parquet(run / "predictions.parquet")
    answer = package.predict(expected.select("node_id"))
    assert answer.columns == expected.columns
    assert answer.select("node_id", "label").equals(expected.select("node_id", "label"))
    for name in ("probability", "probabilities"):
        np.testing.assert_allclose(answer[name].to_numpy(), expected[name].to_numpy(), atol=1e-5)
    assert set(package.manifest.slices) == {"class", "degree"}
    assert main(["test", "--ckpt_path", str(run / "checkpoints/best.ckpt")]) == 0
    assert (
        f"| test/accuracy | {package.manifest.metrics['values']['test/accuracy']:.4f} |"
        in (run / "report.md").read_text()
    )
    evaluation = pl.read_parquet("package/evaluation.parquet")
    assert 1 - evaluation["error"].mean() == pytest.approx(package.manifest.metrics["values"]["test/accuracy"])  # type: ignore[operator]
    with pytest.raises(ValueError, match="34"):
        package.predict({"node_id": [34]})


@pytest.mark.slow
def test_nodes_that_were_sampled_in_training_are_answered_from_their_whole_neighbourhoods() -> None:
    _, package = exported(SAMPLED_NODES)
    assert package.manifest.parity["max_relative_error"] < 1e-4
    assert package.manifest.parity["rows"] >= 256


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "split", "more", "metric"),
    [
        ("LinkPredictor", "RandomLinkSplit", "", "test/auc"),
        ("LinkRanker", "HardNegatives", ", per_positive: 6", "test/mrr"),
    ],
)
def test_links_are_scored_by_the_numbers_of_their_ends(model: str, split: str, more: str, metric: str) -> None:
    run, package = exported(LINKS.format(model=model, split=split, more=more))
    assert main(["predict", "--ckpt_path", str(run / "checkpoints/best.ckpt")]) == 0
    expected = pl.read_parquet(run / "predictions.parquet")
    answer = package.predict(expected.select("source", "target"))
    np.testing.assert_allclose(answer["probability"].to_numpy(), expected["probability"].to_numpy(), atol=1e-5)
    assert metric in package.manifest.metrics["values"]
    assert package.manifest.metrics["better"][metric] == "higher"


def test_links_scored_by_the_edges_around_them_are_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    config = LINKS.format(model="LinkPredictor", split="RandomLinkSplit", more="")
    Path("small.yaml").write_text(HEAD + config.replace("CosineDecoder", "StructuralDecoder"))
    assert main(["fit", "-c", "small.yaml"]) == 0
    run = only_run(Path("runs"))
    for verb in ("test", "predict"):
        assert main([verb, "--ckpt_path", str(run / "checkpoints/best.ckpt")]) == 0
    assert main(["export", str(run), "--output", "package"]) == 2
    assert "model.decoder: StructuralDecoder reads the edges around each pair" in capsys.readouterr().err
    assert not Path("package").exists()


def test_features_that_a_package_would_have_to_compute_are_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    walks = "    features: {class_path: datamodules.graph.RandomWalkFeatures, init_args: {steps: 4}}\n"
    config = GRAPHS.format(tables=write_tables(tmp_path, draw_graphs(0, num_graphs=100)))
    Path("small.yaml").write_text(HEAD + config + walks)
    assert main(["fit", "-c", "small.yaml"]) == 0
    run = only_run(Path("runs"))
    assert main(["test", "--ckpt_path", str(run / "checkpoints/best.ckpt")]) == 0
    assert "3 of a node and returns of random walks within 4 steps" in (run / "report.md").read_text()
    assert main(["export", str(run), "--output", "package"]) == 2
    assert "does not compute returns of random walks within 4 steps" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(("regression", "encoder"), [(False, "GIN"), (True, "GPS")])
def test_graphs_of_any_size_are_predicted(tmp_path: Path, regression: bool, encoder: str) -> None:
    tables = write_tables(tmp_path, draw_graphs(0, num_graphs=100, empty=(5,), regression=regression))
    run, package = exported(GRAPHS.format(tables=tables).replace("GIN", encoder))
    model, data = checkpoint_of(run)
    batch = data.graphs.batch(np.arange(100))
    with torch.no_grad():
        expected = model(batch.x, batch.edge_index, batch.batch, batch.graph_id)
        expected = expected if regression else expected.softmax(dim=-1)
    graphs = data.graphs
    request = {
        "x": [graphs.x[a:b].numpy() for a, b in zip(graphs.node_ptr, graphs.node_ptr[1:], strict=False)],
        "edge_index": [
            graphs.edge_index[:, a:b].numpy().T for a, b in zip(graphs.edge_ptr, graphs.edge_ptr[1:], strict=False)
        ],
    }
    answer = package.predict(request)["value" if regression else "probabilities"]
    np.testing.assert_allclose(answer, expected.numpy(), rtol=1e-4, atol=1e-5)
    reference = pl.read_parquet("package/reference.parquet")
    again = package.predict(reference)
    assert again.columns == [name for name in reference.columns if name not in ("x", "edge_index", "target")]
