"""Graph classification and regression through the command line, on generated tables."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from lightning_app.__main__ import main
from tests.conftest import only_run, run_folders
from tests.forked import run_jobs
from tests.graph_sets import draw_graphs, write_tables
from tests.lightning_app.cli.test_exact_resume import same_checkpoint

CONFIG = """
seed_everything: 1
trainer: {{max_epochs: {epochs}, accelerator: cpu, log_every_n_steps: 1}}
model:
  class_path: models.graph.GraphPredictor
  init_args:
    encoder: {{class_path: models.graph.{encoder}, init_args: {{hidden_size: 8, num_layers: 2, dropout: 0.1}}}}
    pooling: {pooling}
    dropout: 0.1
    optimizer: {{class_path: Adam, init_args: {{lr: 0.01}}}}
data:
  class_path: datamodules.graph.GraphDataModule
  init_args:
    graphs: {{class_path: datamodules.graph.GraphSetTable, init_args: {tables}}}
    split: {{class_path: datamodules.graph.{split}}}
    batch_size: 16
    eval_batch_size: {eval_batch_size}
"""


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., str]:
    """Writes tables and a config over them."""

    def write(name: str = "gin", *, regression: bool = False, num_graphs: int = 100, **fields: object) -> str:
        graphs = draw_graphs(0, num_graphs=num_graphs, empty=(5,), regression=regression)
        (tmp_path / str(num_graphs)).mkdir(exist_ok=True)
        values = {
            "tables": json.dumps(write_tables(tmp_path / str(num_graphs), graphs)),
            "encoder": "GIN",
            "pooling": "null",
            "split": "StratifiedFolds",
            "epochs": 2,
            "eval_batch_size": 32,
            **fields,
        }
        path = tmp_path / f"{name}.yaml"
        path.write_text(CONFIG.format(**values))
        return str(path)

    return write


def best(root: str = "runs") -> str:
    return str(run_folders(Path(root))[-1] / "checkpoints/best.ckpt")


def test_graphs_of_a_table_are_classified(config: Callable[..., str]) -> None:
    assert main(["fit", "-c", config(pooling="torch_geometric.nn.MeanAggregation", epochs=8)]) == 0
    assert main(["test", "--ckpt_path", best()]) == 0
    assert main(["predict", "--ckpt_path", best()]) == 0
    folder = only_run(Path("runs"))
    report = (folder / "report.md").read_text()
    assert "- name: stratified_10_folds" in report
    assert json.loads((folder / "metrics.json").read_text())["test/accuracy"] > 0.6
    table = pl.read_parquet(folder / "predictions.parquet")
    assert table["graph_id"].to_list() == list(range(100))
    assert set(table["label"]) == {"0", "1"}
    assert table["probability"].is_between(0.5, 1).all()


def test_values_of_a_table_are_predicted_in_raw_units(config: Callable[..., str]) -> None:
    path = config(regression=True, epochs=10)
    assert main(["fit", "-c", path, "--model.loss", "torch.nn.L1Loss", "--model.dropout", "0"]) == 0
    assert main(["test", "--ckpt_path", best()]) == 0
    assert main(["predict", "--ckpt_path", best()]) == 0
    folder = only_run(Path("runs"))
    table = pl.read_parquet(folder / "predictions.parquet")
    actual = pl.read_parquet("100/graphs.parquet")["label"]
    assert (table["value"].arr.get(0) - actual).abs().mean() < 0.6 * (actual - actual.mean()).abs().mean()
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["test/rmse"] >= metrics["test/mae"] > metrics["test/loss"]  # the loss is on the scale of training


@pytest.mark.slow
def test_metrics_do_not_depend_on_the_batches_of_evaluation(config: Callable[..., str]) -> None:
    path = config()
    assert main(["fit", "-c", path]) == 0
    found = []
    for size in ("1", "7", "100"):
        assert main(["test", "--ckpt_path", best(), "--data.eval_batch_size", size]) == 0
        found.append(json.loads((only_run(Path("runs")) / "metrics.json").read_text()))
    for other in found[1:]:
        assert other == pytest.approx(found[0], rel=1e-5)


@pytest.mark.slow
def test_a_killed_fit_on_graphs_resumes_to_the_same_bits(config: Callable[..., str], tmp_path: Path) -> None:
    args = [
        "fit", "-c", config(regression=True),
        "--trainer.callbacks+=LastCheckpoint", "--trainer.callbacks.every_n_steps=2",
        "--trainer.callbacks+=tests.interrupt.Interrupt", "--run.root",
    ]  # fmt: skip
    kill = int(signal.SIGKILL)
    jobs = [
        {"args": [*args, str(tmp_path / "whole")]},
        {"args": [*args, str(tmp_path / "cut")], "interrupt": [7, "train", kill]},
        {"args": [*args, str(tmp_path / "cut"), "--ckpt_path", "last"]},
    ]
    assert run_jobs(jobs) == [0, -kill, 0]
    whole, resumed = run_folders(tmp_path / "whole")[0], run_folders(tmp_path / "cut")[-1]
    for name in ("last", "best"):
        assert same_checkpoint(whole / f"checkpoints/{name}.ckpt", resumed / f"checkpoints/{name}.ckpt")


def test_compare_takes_the_mean_over_splits_and_names_the_protocol(config: Callable[..., str]) -> None:
    assert main(["compare", config(), "--splits", "2", "--", "--trainer.max_epochs", "1"]) == 0
    (table,) = Path("runs/compare").glob("*/table.md")
    assert "Protocol stratified_10_folds, mean ± standard deviation of 2 fits." in table.read_text()
    (row,) = json.loads(table.with_suffix(".json").read_text())
    assert (row["protocol"], row["epoch"]) == ("stratified_10_folds", None)
    reports = [Path(folder, "report.md").read_text() for folder in row["folders"]]
    assert "fold 0 of 10" in reports[0]
    assert "fold 1 of 10" in reports[1]
    tests = [json.loads(Path(folder, "metrics.json").read_text())["test/accuracy"] for folder in row["folders"]]
    assert row["metrics"]["test/accuracy"] == pytest.approx(sum(tests) / 2)
    assert row["spread"]["test/accuracy"] == pytest.approx(abs(tests[0] - tests[1]) / 2**0.5)


@pytest.mark.slow
def test_compare_repeats_a_random_split_with_seeds_from_its_own_on(config: Callable[..., str]) -> None:
    split = "RandomGraphSplit, init_args: {seed: 7}"
    assert main(["compare", config(split=split), "--splits", "2", "--", "--trainer.max_epochs", "1"]) == 0
    (table,) = Path("runs/compare").glob("*/table.md")
    assert "Protocol stratified_random_80_10_10, mean ± standard deviation of 2 fits." in table.read_text()
    (row,) = json.loads(table.with_suffix(".json").read_text())
    for folder, seed in zip(row["folders"], (7, 8), strict=True):
        assert f"drawn with seed {seed}" in Path(folder, "report.md").read_text()


def test_the_folds_of_xu_give_one_epoch_and_an_upper_bound(config: Callable[..., str]) -> None:
    assert main(["compare", config(split="XuFolds"), "--splits", "2", "--", "--trainer.max_epochs", "3"]) == 0
    (table,) = Path("runs/compare").glob("*/table.md")
    assert "Protocol xu_10_folds: an upper bound." in table.read_text()
    assert "| epoch |" in table.read_text()
    (row,) = json.loads(table.with_suffix(".json").read_text())
    at_epoch = []
    for folder in row["folders"]:
        history = pl.read_csv(Path(folder, "metrics.csv")).drop_nulls("val/accuracy")
        at_epoch.append(history.filter(pl.col("epoch") == row["epoch"])["val/accuracy"].item())
        assert not Path(folder, "report.md").exists()
    assert row["metrics"] == {"test/accuracy": pytest.approx(sum(at_epoch) / 2)}


def test_one_fold_of_xu_is_not_tested_on_the_graphs_that_chose_its_epoch(
    config: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", "-c", config(split="XuFolds"), "--trainer.max_epochs", "1"]) == 0
    assert main(["test", "--ckpt_path", best()]) == 2
    assert "xu_10_folds validates on the graphs it tests on" in capsys.readouterr().err
    assert not any("test/" in name for name in json.loads((only_run(Path("runs")) / "metrics.json").read_text()))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "caption"),
    [
        ([], "split 3 only."),
        (["--seeds", "1", "2"], "split 3 only, mean ± standard deviation of 2 fits."),
    ],
)
def test_a_table_says_which_split_it_is_of(config: Callable[..., str], options: list[str], caption: str) -> None:
    fold = ["--data.split.init_args.index", "3", "--trainer.max_epochs", "1"]
    assert main(["compare", config(), *options, "--", *fold]) == 0
    (table,) = Path("runs/compare").glob("*/table.md")
    assert table.read_text().endswith(f"Protocol stratified_10_folds, {caption}\n")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"num_graphs": 90}, "stratified_10_folds of graphs, 90 graphs, split 0"),
        ({"split": "StratifiedFolds, init_args: {index: 4}"}, "stratified_10_folds of graphs, 100 graphs, split 4"),
    ],
)
def test_one_protocol_of_two_data_sets_or_splits_is_refused(
    config: Callable[..., str], other: dict[str, object], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", config("one"), config("other", **other)]) == 2
    error = capsys.readouterr().err
    assert "stratified_10_folds of graphs, 100 graphs, split 0" in error
    assert message in error
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("splits", "options", "message"),
    [
        (["StratifiedFolds", "XuFolds"], ["--splits", "2"], "data sets or splits are not comparable"),
        (["XuFolds"], [], "splits: xu_10_folds is a mean curve over folds; give --splits"),
        (["StratifiedFolds"], ["--splits", "11"], "data.split.index: 10 given"),
        (["StratifiedFolds"], ["--splits", "-1"], "splits: -1 given"),
        (["StratifiedFolds"], ["--splits", "2", "--seeds", "1"], "not allowed with argument"),
    ],
)
def test_what_cannot_stand_in_one_table_is_refused_before_training(
    config: Callable[..., str], splits: list[str], options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configs = [config(split, split=split) for split in splits]
    assert main(["compare", *configs, *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    if len(splits) == 2:
        assert all(name in error for name in ("stratified_10_folds", "xu_10_folds", *configs))
    assert not Path("runs").exists()
