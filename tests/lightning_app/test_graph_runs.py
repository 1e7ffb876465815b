"""Fits on graphs through the command line: what is learned, resumed, and refused."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lightning_app.__main__ import main
from lightning_app.cli import run
from tests.conftest import only_run, run_folders
from tests.lightning_app.cli.test_exact_resume import KILL, kill_and_resume, same_checkpoint

GRAPH = """
seed_everything: 3
trainer:
  max_epochs: 2
  log_every_n_steps: 1
  accelerator: cpu
model:
  class_path: models.graph.NodeClassifier
  init_args:
    encoder: {class_path: models.graph.GraphSAGE, init_args: {hidden_size: 8, dropout: 0.3}}
    optimizer: {class_path: Adam, init_args: {lr: 0.01}}
data:
  class_path: datamodules.graph.NodeDataModule
  init_args:
    graph: datamodules.graph.DigitsGraph
    split: {class_path: datamodules.graph.RandomNodeSplit, init_args: {train: 0.1, val: 0.1}}
"""
SAMPLED = ("--data.fan_out", "[4, 3]", "--data.batch_size", "32")
WHOLE = ("--data.steps_per_epoch", "5")


@pytest.fixture
def graph_args(tmp_path: Path) -> Callable[..., list[str]]:
    config = tmp_path / "graph.yaml"
    config.write_text(GRAPH)

    def args(*options: str, verb: str = "fit") -> list[str]:
        return [verb, "-c", str(config), "--run.root", str(tmp_path / "runs"), *options]

    return args


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(WHOLE, marks=pytest.mark.slow),  # test_graph_tasks.py kills a fit on whole graphs
        pytest.param((*SAMPLED, "--data.num_workers", "1"), marks=pytest.mark.slow),
    ],
)
def test_a_killed_fit_on_a_graph_resumes_to_the_same_bits(
    options: tuple[str, ...], graph_args: Callable[..., list[str]], tmp_path: Path
) -> None:
    interrupts = [[7, "train", KILL], [4, "validation", KILL]]
    codes = kill_and_resume(graph_args, tmp_path, options, interrupts)
    assert codes == [0, *([-KILL, 0] * len(interrupts))]
    (whole,) = run_folders(tmp_path / "whole")
    for index in range(len(interrupts)):
        resumed = run_folders(tmp_path / f"cut{index}")[-1]
        for name in ("last", "best"):
            expected = whole / "checkpoints" / f"{name}.ckpt"
            assert same_checkpoint(expected, resumed / "checkpoints" / f"{name}.ckpt"), (interrupts[index], name)


@pytest.mark.slow
def test_compare_repeats_a_node_classifier_over_splits_of_its_own(graph_args: Callable[..., list[str]]) -> None:
    _, _, config, *_ = graph_args()
    options = ["--trainer.max_epochs", "1", "--data.split", "datamodules.graph.ShchurSplit"]
    assert main(["compare", config, "--splits", "2", "--", *options]) == 0
    (table,) = Path("runs/compare").glob("*/table.md")
    assert "Protocol shchur_20_30, mean ± standard deviation of 2 fits." in table.read_text()
    (row,) = json.loads(table.with_suffix(".json").read_text())
    for seed, folder in enumerate(row["folders"]):
        report = Path(folder, "report.md").read_text()
        assert f"30 to validate, all others test; seed {seed}" in report
        assert "features: " in report
    assert row["spread"]["test/accuracy"] > 0


@pytest.mark.usefixtures("rendered")
def test_digits_are_learned_and_predicted_node_by_node(graph_args: Callable[..., list[str]], tmp_path: Path) -> None:
    finished = run(graph_args(*SAMPLED, "--trainer.max_epochs", "12", "--model.encoder.hidden_size", "64"))
    assert finished.trainer.callback_metrics["val/accuracy"] > 0.9
    checkpoint = str(finished.folder.checkpoints / "best.ckpt")
    assert main(["test", "--ckpt_path", checkpoint]) == 0
    assert main(["predict", "--ckpt_path", checkpoint]) == 0
    folder = only_run(tmp_path / "runs")
    table = pl.read_parquet(folder / "predictions.parquet")
    assert table.height == 1797
    assert table["node_id"].n_unique() == 1797
    assert "name: random_10_10_80" in (folder / "report.md").read_text()
    assert (folder / "confusion.png").exists()
    rows = [line.split("|")[2:4] for line in (folder / "confusion.md").read_text().splitlines() if "%" in line]
    right = sum(int(count.replace(",", "")) * float(recall.strip(" %")) / 100 for count, recall in rows)
    tested = sum(int(count.replace(",", "")) for count, _ in rows)
    accuracy = json.loads((folder / "metrics.json").read_text())["test/accuracy"]
    assert right / tested == pytest.approx(accuracy, abs=1e-3)


def test_the_last_checkpoint_of_a_fit_is_saved_whatever_the_interval(
    graph_args: Callable[..., list[str]], tmp_path: Path
) -> None:
    seldom = ("--trainer.callbacks+=LastCheckpoint", "--trainer.callbacks.every_n_epochs=4")
    assert main(graph_args(*WHOLE, *seldom, "--trainer.max_epochs", "3")) == 0
    assert (only_run(tmp_path / "runs") / "checkpoints/last.ckpt").exists()


def test_the_best_checkpoint_may_have_the_highest_metric(graph_args: Callable[..., list[str]]) -> None:
    highest = (
        "--trainer.callbacks+=BestCheckpoint",
        "--trainer.callbacks.monitor=val/accuracy",
        "--trainer.callbacks.mode=max",
    )
    finished = run(graph_args(*SAMPLED, *highest, "--trainer.max_epochs", "4"))
    accuracies = pl.read_csv(finished.folder.history)["val/accuracy"].drop_nulls()
    best = next(callback for callback in finished.trainer.callbacks if type(callback).__name__ == "BestCheckpoint")
    assert float(best.best_model_score) == pytest.approx(accuracies.max(), abs=1e-6)


def test_a_resumed_fit_keeps_the_best_of_a_checkpoint_that_the_config_asks_for(
    graph_args: Callable[..., list[str]], tmp_path: Path
) -> None:
    highest = (
        "--trainer.callbacks+=BestCheckpoint",
        "--trainer.callbacks.monitor=val/accuracy",
        "--trainer.callbacks.mode=max",
    )
    first = run(graph_args(*SAMPLED, *highest, "--trainer.max_epochs", "6"))
    again = ("--ckpt_path", "last", "--trainer.max_epochs", "7", "--model.optimizer.lr", "5")
    resumed = run(graph_args(*SAMPLED, *highest, *again))
    assert float(resumed.trainer.callback_metrics["val/accuracy"]) < 0.5  # the last epoch ruined it
    best = (first.folder.checkpoints / "best.ckpt", resumed.folder.checkpoints / "best.ckpt")
    assert same_checkpoint(*best)


def test_tables_are_found_again_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pl.DataFrame({"id": range(40), "f": [0.0, 1.0] * 20, "label": [0, 1] * 20}).write_parquet("n.parquet")
    pl.DataFrame({"source": range(39), "target": range(1, 40)}).write_parquet("e.parquet")
    table = ("datamodules.graph.GraphTable", "nodes=n.parquet", "edges=e.parquet", "label=label")
    options = [f"--data.graph={table[0]}", *(f"--data.graph.{word}" for word in table[1:])]
    config = tmp_path / "g.yaml"
    config.write_text(GRAPH.replace("train: 0.1, val: 0.1", "train: 0.4, val: 0.3"))
    fitted = run(["fit", "-c", str(config), *options])
    checkpoint = str((fitted.folder.checkpoints / "best.ckpt").resolve())
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["test", "--ckpt_path", checkpoint]) == 0


TYPED = """
seed_everything: 0
trainer: {max_epochs: 15, accelerator: cpu}
model:
  class_path: models.graph.NodeClassifier
  init_args:
    encoder: {class_path: models.graph.HeteroSAGE, init_args: {hidden_size: 16, dropout: 0.1}}
    optimizer: {class_path: Adam, init_args: {lr: 0.02}}
data:
  class_path: datamodules.graph.NodeDataModule
  init_args:
    graph:
      class_path: datamodules.graph.HeteroGraphTable
      init_args:
        nodes: {author: {path: authors.parquet}, paper: {path: papers.parquet, label: label}}
        edges: [{path: wrote.parquet, source_type: author, relation: wrote, target_type: paper}]
        target_type: paper
    split: datamodules.graph.RandomNodeSplit
    fan_out: [5, 5]
    batch_size: 32
"""


def test_a_graph_with_types_is_learned_from_tables(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    camp, wrote = rng.integers(0, 2, 40), rng.integers(0, 40, 240)
    pl.DataFrame({"id": [f"a{i}" for i in range(40)], "f": camp + 0.1 * rng.random(40)}).write_parquet(
        "authors.parquet"
    )
    labels = ["wet" if camp[author] else "dry" for author in wrote]  # the paper itself tells nothing
    labels[:3] = ["", "", ""]
    pl.DataFrame({"id": range(240), "g": rng.random(240), "label": labels}).write_parquet("papers.parquet")
    pl.DataFrame({"source": [f"a{i}" for i in wrote], "target": range(240)}).write_parquet("wrote.parquet")
    Path("typed.yaml").write_text(TYPED)
    finished = run(["fit", "-c", "typed.yaml"])
    assert finished.trainer.callback_metrics["val/accuracy"] > 0.95
    assert "data: 3 without a label, which are in no split" in capsys.readouterr().out
    checkpoint = str(finished.folder.checkpoints / "best.ckpt")
    assert main(["explain", "--ckpt_path", checkpoint, "--node", "7"]) == 2
    assert "the graph has types of nodes; explanations are for graphs of one type" in capsys.readouterr().err
    assert main(["predict", "--ckpt_path", checkpoint]) == 0
    assert pl.read_parquet(finished.folder.path / "predictions.parquet")["label"].to_list().count("wet") > 50


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--data.batch_size", "0"), "data.batch_size: 0 given"),
        (("--data.fan_out", "[0]"), "fan_out"),
        (("--model.encoder.output_size", "32"), "model.encoder.output_size: 32 given, but the data has 10"),
        (("--data.split.train", "0.9", "--data.split.val", "0.2"), "data.split"),
    ],
)
def test_a_bad_option_exits_with_2_and_one_line(
    options: tuple[str, ...], message: str, graph_args: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(graph_args(*options)) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert message in errors[0]


def test_a_fit_of_fewer_epochs_than_lie_between_validations_is_validated_after_its_last(
    graph_args: Callable[..., list[str]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    main(graph_args("--trainer.check_val_every_n_epoch", "5"))
    assert "trainer.check_val_every_n_epoch: 5 is beyond the last of 2 epochs" in capsys.readouterr().out
    run_folder = only_run(tmp_path / "runs")
    assert (run_folder / "checkpoints" / "best.ckpt").is_file()
    assert "val/loss" in json.loads((run_folder / "metrics.json").read_text())
