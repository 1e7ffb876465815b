from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from lightning_app.__main__ import main
from tests.conftest import only_run

CONFIG = """
seed_everything: 3
trainer: {max_epochs: 20, accelerator: cpu, enable_progress_bar: false}
model:
  class_path: models.graph.NodeClassifier
  init_args:
    encoder: {class_path: models.graph.GCN, init_args: {hidden_size: 8, num_layers: 2}}
    optimizer: {class_path: Adam, init_args: {lr: 0.02}}
data:
  class_path: datamodules.graph.NodeDataModule
  init_args:
    graph: datamodules.graph.KarateClub
    split: datamodules.graph.RandomNodeSplit
"""


@pytest.fixture
def checkpoint() -> Path:
    Path("club.yaml").write_text(CONFIG)
    assert main(["fit", "-c", "club.yaml"]) == 0
    return only_run(Path("runs")) / "checkpoints" / "best.ckpt"


@pytest.mark.usefixtures("rendered")
def test_a_node_is_explained_by_a_table_and_a_picture_in_the_run_folder(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, files = checkpoint.parent.parent, {*checkpoint.parent.parent.iterdir()}
    capsys.readouterr()
    assert main(["explain", "--ckpt_path", str(checkpoint), "--node", "16", "--epochs", "30"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    table = pl.read_parquet(run / "explanation_16.parquet")
    assert table.columns == ["source", "target", "importance"]
    assert table["importance"].is_sorted(descending=True)
    # Member 16 knows 5 and 6 alone; of what is two hops away, messages come by their neighbours.
    assert {*table["target"]} == {16, 5, 6}
    assert (run / "explanation_16.png").stat().st_size > 10_000
    assert {*run.iterdir()} - files == {run / "explanation_16.parquet", run / "explanation_16.png"}
    assert "node 16: " in printed.out
    assert "probability 0." in printed.out
    assert "\nwithout any message: " in printed.out
    first = table.row(0)
    assert f"{first[0]} -> {first[1]}  {first[2]:.3f}" in printed.out
    assert printed.out.count(" -> ") == min(10, len(table))

    assert main(["explain", "--ckpt_path", "best", "-c", "club.yaml", "--node", "16", "--epochs", "30"]) == 0
    assert pl.read_parquet(run / "explanation_16.parquet").equals(table)

    assert main(["explain", "--ckpt_path", str(checkpoint), "--node", "34"]) == 2
    assert "node: '34' given, the graph has 34 nodes: 0, 1 to 33" in capsys.readouterr().err


@pytest.mark.slow
def test_a_checkpoint_of_another_model_is_refused(
    fit_args: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(fit_args()) == 0
    checkpoint = only_run(tmp_path / "runs") / "checkpoints" / "best.ckpt"
    assert main(["explain", "--ckpt_path", str(checkpoint), "--node", "1"]) == 2
    assert "explain is for models that classify nodes, this one is a Forecaster" in capsys.readouterr().err


def test_a_checkpoint_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--ckpt_path", "none.ckpt", "--node", "1"]) == 2
    assert "ckpt_path: 'none.ckpt' does not exist" in capsys.readouterr().err


def test_nodes_are_named_as_the_users_file_names_them(capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"p{index}" for index in range(20)]
    classes = ["red" if index % 2 else "blue" for index in range(20)]
    pl.DataFrame({"id": names, "size": [index % 2 for index in range(20)], "color": classes}).write_csv("nodes.csv")
    pl.DataFrame({"source": names[:-2], "target": names[2:]}).write_csv("edges.csv")
    table = "{class_path: datamodules.graph.GraphTable, init_args: {nodes: nodes.csv, edges: edges.csv, label: color}}"
    Path("paths.yaml").write_text(CONFIG.replace("datamodules.graph.KarateClub", table))
    assert main(["fit", "-c", "paths.yaml"]) == 0
    run = only_run(Path("runs"))
    explain = ["explain", "--ckpt_path", str(run / "checkpoints/best.ckpt"), "--epochs", "5", "--node"]
    assert main([*explain, "p8"]) == 0
    assert {*pl.read_parquet(run / "explanation_p8.parquet")["source"]} == {"p4", "p6", "p8", "p10", "p12"}
    assert "node p8: " in capsys.readouterr().out
    assert main([*explain, "8"]) == 2
    assert "node: '8' given, the graph has 20 nodes: p0, p1 to p19" in capsys.readouterr().err
