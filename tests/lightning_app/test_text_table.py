"""Text models through the command line: every verb, odd texts, token budgets, resumed fits."""

import inspect
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from datamodules.tabular import FeatureTableDataModule, RandomSplit
from datamodules.text import TextTableDataModule
from lightning_app.__main__ import main
from lightning_app.packaging import Package
from tests.conftest import only_run, run_folders
from tests.lightning_app.cli.test_exact_resume import KILL, kill_and_resume, same_checkpoint
from tests.tiny_encoder import SENTENCES, tiny_encoder

CONFIG = """
seed_everything: 1
trainer: {max_epochs: 2, accelerator: cpu}
model:
  class_path: models.text.TextClassifier
  init_args:
    encoder: models.text.PretrainedEncoder
    task: models.tasks.BinaryClassification
    optimizer: {class_path: AdamW, init_args: {lr: 0.001}}
data:
  class_path: datamodules.text.TextTableDataModule
  init_args:
    definitions: reviews.yaml
    rows: {train: train.jsonl, test: test.jsonl}
    split: {class_path: datamodules.tabular.RandomSplit, init_args: {train: 0.8, val: 0.2}}
    label: sentiment
    features: [review.body]
    pretrained: tiny
    max_length: 24
    max_tokens: 160
    batch_size: 8
"""
FEATURES = """
views:
  review:
    request: {title: {type: str}, text: {type: str}, stars: {type: float}}
    features:
      body: {kind: text, columns: [title, text]}
      all_as_text: {kind: text, columns: [title, text], named: [stars]}
      given_stars: {kind: given, column: stars}
labels:
  sentiment: {kind: column, column: sentiment}
"""


def reviews(rows: int, seed: int) -> pl.DataFrame:
    """Texts of 1 to 30 words; some without a title, one without any text."""
    rng = np.random.default_rng(seed)
    words = " ".join(SENTENCES).split()
    good = rng.random(rows) < 0.5
    texts = [" ".join([*rng.choice(words, rng.integers(1, 30)), "superb" if one else "dull"]) for one in good.tolist()]
    titles = [None if row % 3 else "funny and warm" for row in range(rows)]
    titles[1], texts[1] = None, ""
    return pl.DataFrame(
        {"title": titles, "text": texts, "stars": rng.integers(1, 6, rows), "sentiment": np.where(good, "good", "bad")}
    )


@pytest.fixture
def args(tmp_path: Path) -> Callable[..., list[str]]:
    tiny_encoder(tmp_path / "tiny")
    reviews(60, 0).write_ndjson("train.jsonl")
    reviews(30, 1).write_ndjson("test.jsonl")
    Path("reviews.yaml").write_text(FEATURES)
    Path("config.yaml").write_text(CONFIG)

    def arguments(*options: str) -> list[str]:
        return ["fit", "-c", str(tmp_path / "config.yaml"), "--run.root", str(tmp_path / "runs"), *options]

    return arguments


@pytest.mark.slow
def test_a_text_model_predicts_in_the_order_of_the_rows_and_answers_as_a_package(
    args: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(args("--data.cache", "tokens")) == 0
    out = capsys.readouterr().out
    assert "tokens: of 90 texts cached, 0.0 MB: tokens/" in out
    assert "data: body: 2 rows have no text: read as an empty one" in out
    assert "rows have more than 24 tokens: cut to the first 24" in out
    run = only_run(Path("runs"))
    checkpoint = str(run / "checkpoints" / "best.ckpt")
    assert main(["validate", "--ckpt_path", checkpoint]) == 0
    assert main(["test", "--ckpt_path", checkpoint]) == 0
    assert "tokens: of 90 texts read from tokens/" in capsys.readouterr().out
    report = (run / "report.md").read_text()
    assert "- text: body, at most 24 tokens (" in report
    assert "as published: test.jsonl tests" in report
    assert main(["predict", "--ckpt_path", checkpoint]) == 0
    predicted = pl.read_parquet(next(Path("runs").rglob("predictions.parquet")))
    assert predicted["row"].to_list() == list(range(90))  # batches were sorted by length
    assert main(["export", checkpoint, "--output", "package"]) == 0
    rows = pl.concat([reviews(60, 0), reviews(30, 1)]).drop("sentiment")
    answered = Package.load("package").predict(rows)
    np.testing.assert_allclose(
        answered["probabilities"].to_numpy(), predicted["probabilities"].to_numpy(), rtol=1e-4, atol=1e-5
    )
    rows.write_csv("rows.tsv", separator="\t")
    rows.write_ndjson("rows.jsonl")
    for file in ("rows.jsonl", "rows.tsv"):
        assert main(["score", "package", file, "--output", f"{file}.parquet"]) == 0
        scored = pl.read_parquet(f"{file}.parquet")
        assert scored["label"].to_list() == answered["label"].to_list()


@pytest.mark.slow
def test_a_killed_fit_goes_on_in_the_middle_of_an_epoch_to_the_same_bits(
    args: Callable[..., list[str]], tmp_path: Path
) -> None:
    options = ("--trainer.accumulate_grad_batches", "2", "--data.cache", str(tmp_path / "tokens"))
    codes = kill_and_resume(args, tmp_path, options, [[5, "train", KILL]])
    assert codes == [0, -KILL, 0]
    (whole,) = run_folders(tmp_path / "whole")
    resumed = run_folders(tmp_path / "cut0")[-1]
    assert same_checkpoint(whole / "checkpoints" / "last.ckpt", resumed / "checkpoints" / "last.ckpt")


def test_steps_are_counted_for_schedulers_and_overfitting_repeats_the_first_batches(
    args: Callable[..., list[str]],
) -> None:
    scheduler = ("--model.scheduler", "torch.optim.lr_scheduler.OneCycleLR", "--model.scheduler.max_lr", "0.01")
    assert main(args(*scheduler, "--trainer.accumulate_grad_batches", "3")) == 0
    saved = torch.load(only_run(Path("runs")) / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["lr_schedulers"][0]["total_steps"] == saved["global_step"]
    assert main(args("--trainer.overfit_batches", "2", "--run.root", "overfit")) == 0
    saved = torch.load(only_run(Path("overfit")) / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["global_step"] == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data.max_tokens", "20"], "data.max_tokens: 20 given, a text may have 24 (data.max_length); give more"),
        (["--data.max_length", "2"], "data.max_length: 2 given, at least 3 needed"),
        (["--data.features", "[review.given_stars]"], "none of 'review.given_stars' is a text; define one"),
        (["--data.features", "[review.bodi]"], "did you mean 'review.body'?"),
        (["--data.features", "[review.body, review.all_as_text]"], "are texts, a network takes one; join"),
        (["--data.label", "sentimant"], "did you mean 'sentiment'?"),
        (["--data.rows.train", "other.jsonl"], "other.jsonl has no column 'text', which test.jsonl has"),
        (["--data.pretrained", "nowhere"], "pretrained: nowhere given, no such folder"),
        (["--data.classes", "[good, fine]"], "the label 'bad' is not among"),
        (
            ["--trainer.callbacks+=BatchSizeFinder"],
            "data.max_tokens: 160 given, which decides the size of batches; leave out BatchSizeFinder",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    args: Callable[..., list[str]], options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    reviews(30, 1).rename({"text": "texts"}).write_ndjson("other.jsonl")
    assert main(args(*options)) != 0
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_table_that_does_not_tokenise_refuses_a_text(args: Callable[..., list[str]]) -> None:
    args()
    with pytest.raises(
        ValueError, match=r"'review.body' is a text, which FeatureTableDataModule does not tokenise; take"
    ):
        FeatureTableDataModule(definitions="reviews.yaml", label="sentiment", rows="train.jsonl", split=RandomSplit())


def test_every_argument_of_tables_is_one_of_texts_too() -> None:
    of_tables, of_texts = (inspect.signature(kind).parameters for kind in (FeatureTableDataModule, TextTableDataModule))
    assert of_tables.keys() <= of_texts.keys()


def test_odd_tables_are_said(args: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    same = reviews(60, 0).with_columns(title=pl.lit("dull"), text=pl.lit("dull"))
    once = pl.when(pl.int_range(pl.len()) == 2).then(pl.lit("bad")).otherwise(pl.lit("good"))
    same.with_columns(sentiment=once).write_ndjson("train.jsonl")
    fast = ("--trainer.max_epochs", "1", "--data.split.train", "0.99", "--data.split.val", "0.01")
    assert main(args(*fast, "--trainer.limit_val_batches", "0")) == 0
    out = capsys.readouterr().out
    assert "data: body: all training rows have the same text, which tells the model nothing" in out
    assert "data: label: 'bad' has a single training row" in out
