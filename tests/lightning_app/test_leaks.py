"""Warnings on the data before training: features that are the label in disguise, rows in several splits."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from datamodules.tabular import FeatureTableDataModule, RandomSplit
from lightning_app.__main__ import main
from tests.conftest import only_run

FEATURES = """
views:
  row:
    request: {noise: {type: float}, leak: {type: float}, reason: {type: str}}
    features:
      noise: {kind: given, column: noise}
      after: {kind: given, column: leak}
      why: {kind: vocabulary, column: reason}
labels:
  churn: {kind: column, column: churn}
  grade: {kind: column, column: grade}
  price: {kind: column, column: price}
"""
CONFIG = """
trainer: {max_epochs: 1, accelerator: cpu}
model:
  class_path: models.tabular.TabularModule
  init_args:
    network: models.tabular.LinearNetwork
    task: models.tasks.BinaryClassification
    optimizer: {class_path: AdamW, init_args: {lr: 0.01}}
data:
  class_path: datamodules.tabular.FeatureTableDataModule
  init_args: {definitions: leaks.yaml, rows: leaks.csv, label: churn, split: RandomSplit, batch_size: 64}
"""


@pytest.fixture
def leaks() -> pl.DataFrame:
    rng = np.random.default_rng(0)
    churn, grade, price = rng.random(600) < 0.3, rng.integers(0, 4, 600), rng.gamma(2.0, 100.0, 600)
    table = pl.DataFrame(
        {
            "noise": rng.normal(size=600), "leak": np.where(churn, 37.3, 37.2) + price / 1e9,
            "reason": np.array(["a", "b", "c", "d"])[grade], "churn": np.where(churn, "yes", "no"),
            "grade": np.array(["1st", "2nd", "3rd", "4th"])[grade], "price": price.round(2),
        }
    )  # fmt: skip
    table.write_csv("leaks.csv")
    Path("leaks.yaml").write_text(FEATURES)
    return table


def notes_of(label: str) -> str:
    data = FeatureTableDataModule(definitions="leaks.yaml", rows="leaks.csv", label=label, split=RandomSplit())
    return "\n".join(data.notes())


@pytest.mark.parametrize(
    ("label", "feature", "kind"),
    [("churn", "after", "AUROC 1.0000"), ("grade", "why", "share of errors saved 1.0000")],
)
def test_a_feature_that_is_the_label_in_disguise_is_warned_of_with_its_score(
    label: str, feature: str, kind: str, leaks: pl.DataFrame
) -> None:
    notes = notes_of(label)
    assert f"feature '{feature}' alone predicts '{label}' on held-out rows ({kind})" in notes
    assert notes.count("alone predicts") == 1


def test_a_number_that_is_the_label_in_other_units_is_warned_of(leaks: pl.DataFrame) -> None:
    assert "alone predicts" not in notes_of("price")
    leaks.with_columns(noise=pl.col("price") * 1.19 + 5).write_csv("leaks.csv")
    assert "feature 'noise' alone predicts 'price' on held-out rows (R2 1.0000)" in notes_of("price")


def test_of_many_labels_the_first_are_searched_and_that_is_said(leaks: pl.DataFrame) -> None:
    rng = np.random.default_rng(0)
    lists = ["|".join(f"l{label}" for label in range(25) if rng.random() < 0.3) for _ in range(600)]
    leaks.with_columns(churn=pl.Series(lists)).write_csv("leaks.csv")
    data = FeatureTableDataModule(
        definitions="leaks.yaml", rows="leaks.csv", label="churn", label_separator="|", split=RandomSplit()
    )
    assert "were looked for in the first 20 only" in "\n".join(data.notes())


def test_of_many_columns_the_first_are_searched_and_that_is_said(leaks: pl.DataFrame) -> None:
    names = [f"x{number}" for number in range(501)]
    leaks.with_columns(pl.col("noise").alias(name) for name in names).write_csv("leaks.csv")
    types = ", ".join(f"{name}: {{type: float}}" for name in names)
    features = ", ".join(f"{name}: {{kind: given, column: {name}}}" for name in names)
    views = f"views: {{row: {{request: {{{types}}}, features: {{{features}}}}}}}\n"
    Path("leaks.yaml").write_text(views + "labels: {churn: {kind: column, column: churn}}")
    assert "looked for among the first 500 of 501 numbers and categories only" in notes_of("churn")


def test_classes_that_a_split_lacks_are_said(leaks: pl.DataFrame) -> None:
    first = pl.int_range(600) == int(np.random.default_rng(0).permutation(600)[0])  # a training row
    leaks.with_columns(grade=pl.when(first).then(pl.lit("5th")).otherwise("grade")).write_csv("leaks.csv")
    notes = notes_of("grade")
    for said in ("'5th' has a single training row", "'5th' has no validation row", "'5th' has no test row"):
        assert said in notes


def test_rows_that_are_in_several_splits_are_counted_printed_and_reported(
    leaks: pl.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    pl.concat([leaks, leaks.head(100)]).write_csv("leaks.csv")
    Path("config.yaml").write_text(CONFIG)
    assert main(["fit", "-c", "config.yaml", "--run.root", "runs"]) == 0
    run = only_run(Path("runs"))
    printed = capsys.readouterr().out
    assert "label: feature 'after' alone predicts 'churn'" in printed
    assert main(["test", "--ckpt_path", str(run / "checkpoints/best.ckpt")]) == 0
    order = np.random.default_rng(0).permutation(700)
    train, test = set((order[:490] % 600).tolist()), order[595:] % 600
    count = sum(row in train for row in test.tolist())
    said = f"{count} of 105 test rows have the features of a training row, {count} of them its label too"
    assert count
    assert said in printed
    assert said in (run / "report.md").read_text()
