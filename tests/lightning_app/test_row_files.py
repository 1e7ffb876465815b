"""Rows in a file per split, in several formats: the published split is kept, differences of files are named."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from datamodules.tabular import FeatureTableDataModule, RandomSplit
from datamodules.tabular.row_files import RowFiles
from datamodules.tabular.text_table import TextFormat
from lightning_app.__main__ import main
from lightning_app.packaging import Package
from tests.conftest import only_run

CONFIG = """
seed_everything: 1
trainer: {max_epochs: 1, accelerator: cpu}
model:
  class_path: models.tabular.TabularModule
  init_args:
    network: {class_path: models.tabular.MLP, init_args: {hidden_size: 8}}
    task: models.tasks.BinaryClassification
    optimizer: {class_path: AdamW, init_args: {lr: 0.01}}
data:
  class_path: datamodules.tabular.FeatureTableDataModule
  init_args:
    definitions: people.yaml
    rows: {train: people.data, test: people.test}
    label: rich
    label_suffix: .
    split: {class_path: datamodules.tabular.RandomSplit, init_args: {train: 0.8, val: 0.2}}
    csv: {columns: [age, work, level, rich], comment: "|", trim: true, null_values: ["?"]}
    batch_size: 16
"""
FEATURES = """
views:
  person:
    request: {age: {type: int}, work: {type: str}, level: {type: float}}
    features:
      years: {kind: given, column: age}
      working: {kind: vocabulary, column: work}
      levels: {kind: given, column: level}
labels:
  rich: {kind: column, column: rich}
"""


def people(rows: int, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 80, rows)
    work = rng.choice(["Private", "State", "?"], rows)
    rich = np.where(age + rng.normal(0, 5, rows) > 45, ">50K", "<=50K")
    return pl.DataFrame({"age": age, "work": work, "level": rng.normal(size=rows).round(2), "rich": rich})


def write_as_published(folder: Path) -> None:
    """As the census files: no header, blanks after commas, a comment, dots after the labels of the test file."""
    for name, table, end, head in (
        ("people.data", people(80, 0), "\n", ""),
        ("people.test", people(40, 1), ".\n", "|1x3 Cross validator\n"),
    ):
        lines = "".join(", ".join(map(str, row)) + end for row in table.rows())
        (folder / name).write_text(f"{head}{lines}\n")
    (folder / "people.yaml").write_text(FEATURES)


def data_of(rows: RowFiles, **arguments: object) -> FeatureTableDataModule:
    Path("people.yaml").write_text(FEATURES)
    return FeatureTableDataModule(definitions="people.yaml", rows=rows, label="rich", **arguments)  # type: ignore[arg-type]


def test_a_published_test_file_tests_and_is_read_by_the_package(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_as_published(tmp_path)
    Path("config.yaml").write_text(CONFIG)
    assert main(["fit", "-c", "config.yaml", "--run.root", "runs"]) == 0
    assert "labels: 40 rows end with '.': removed" in capsys.readouterr().out
    checkpoint = str(only_run(Path("runs")) / "checkpoints" / "best.ckpt")
    assert main(["test", "--ckpt_path", checkpoint]) == 0
    report = (only_run(Path("runs")) / "report.md").read_text()
    assert f"rows:\n      train: {tmp_path / 'people.data'}\n" in (only_run(Path("runs")) / "config.yaml").read_text()
    assert "people.data, people.test, 120 rows" in report
    assert "as published: people.test tests; rows of people.data at random, seed 0: 0.8 train, 0.2" in report
    assert "64 train, 16 validation, 40 test" in report
    assert main(["export", checkpoint, "--output", "package"]) == 0
    assert main(["score", "package", "people.test", "--output", "scored.parquet"]) == 0
    assert main(["predict", "--ckpt_path", checkpoint]) == 0
    predicted = pl.read_parquet(next(Path("runs").rglob("predictions.parquet")))
    assert len(predicted) == 120
    scored = pl.read_parquet("scored.parquet")
    assert set(scored["label"]) <= {"<=50K", ">50K"}
    np.testing.assert_allclose(
        scored["probabilities"].to_numpy(), predicted["probabilities"][80:].to_numpy(), rtol=1e-5, atol=1e-6
    )
    answer = Package.load("package").predict({"age": 41, "work": "Private", "level": 0.5})
    assert answer["label"][0] in {"<=50K", ">50K"}


def write(table: pl.DataFrame, name: str) -> None:
    if name.endswith(".tsv"):
        table.write_csv(name, separator="\t")
    elif name.endswith(".parquet"):
        table.write_parquet(name)
    elif name.endswith(".csv"):
        table.write_csv(name)
    else:
        table.write_ndjson(name)


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet", "jsonl", "ndjson", "json"])
def test_formats_are_those_of_the_endings(ending: str) -> None:
    for name, rows in (("train", 30), ("val", 20), ("test", 10)):
        write(people(rows, rows), f"{name}.{ending}")
    files = {name: f"{name}.{ending}" for name in ("train", "val", "test")}
    data = data_of(RowFiles(**files))
    data.setup("fit")
    data.setup("test")
    parts = data.split_rows
    assert [len(parts.train), len(parts.val), len(parts.test)] == [30, 20, 10]
    whole = pl.concat([people(rows, rows) for rows in (30, 20, 10)])
    assert data.rows["age"].cast(pl.Int64).to_list() == whole["age"].to_list()
    assert data.protocol()["split"].startswith(f"as published: train.{ending} trains, val.{ending} validates, test.")
    Path("c.yaml").write_text(yaml.safe_dump(files))
    other = data_of(RowFiles(train=f"val.{ending}", val=f"train.{ending}", test=f"test.{ending}"))
    assert other.fingerprint()["sha256"] != data.fingerprint()["sha256"]


@pytest.mark.parametrize("ending", ["tsv", "jsonl"])
def test_features_are_built_of_these_formats_too(ending: str) -> None:
    Path("people.yaml").write_text(FEATURES)
    rows = people(10, 0).with_columns(time=pl.lit("2026-01-01"))
    write(rows, f"rows.{ending}")
    assert main(["features", "fit", "people.yaml", "--rows", f"rows.{ending}", "--output", "fitted.json"]) == 0
    words = ["features", "build", "people.yaml", "--rows", f"rows.{ending}", "--fitted", "fitted.json"]
    assert main([*words, "--output", "table.parquet"]) == 0
    assert pl.read_parquet("table.parquet")["years"].to_list() == rows["age"].to_list()


def test_a_file_is_exchanged_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_as_published(tmp_path)
    Path("config.yaml").write_text(CONFIG)
    assert main(["fit", "-c", "config.yaml", "--run.root", "runs", "--data.rows.train", "nobody.data"]) != 0
    assert "data.rows.train: 'nobody.data' does not exist" in " ".join(capsys.readouterr().err.split())


def test_what_differs_between_files_is_named() -> None:
    write(people(30, 0), "train.csv")
    write(people(30, 1).rename({"level": "levels"}), "test.csv")
    split = RandomSplit(train=0.8, val=0.2)
    with pytest.raises(ValueError, match=r"data.rows.test: test.csv has no column 'level', which train.csv has; did y"):
        data_of(RowFiles(train="train.csv", test="test.csv"), split=split).raw  # noqa: B018
    write(people(30, 0).with_columns(age=pl.lit([1])), "test.parquet")
    with pytest.raises(ValueError, match=r"column 'age' is String in train.csv and List\(Int64\) in test.parquet"):
        data_of(RowFiles(train="train.csv", test="test.parquet"), split=split).raw  # noqa: B018
    Path("test.jsonl").write_text('[{"age": 1}]')
    with pytest.raises(ValueError, match=r"test.jsonl is no file of JSON lines, one object per line"):
        data_of(RowFiles(train="train.csv", test="test.jsonl"), split=split).raw  # noqa: B018


def test_splits_and_files_that_do_not_go_together_are_refused() -> None:
    write(people(30, 0), "train.csv")
    two, three = RowFiles(train="train.csv", test="train.csv"), RowFiles(train="a", val="b", test="c")
    with pytest.raises(ValueError, match=r"data.split: none given, and data.rows names no val"):
        data_of(two)
    with pytest.raises(ValueError, match=r"data.split: RandomSplit given, but data.rows names all three files"):
        data_of(three, split=RandomSplit())
    with pytest.raises(ValueError, match=r"5 rows of train.csv would test, but data.rows.test has the test rows"):
        data_of(two, split=RandomSplit()).split_rows  # noqa: B018
    unused = data_of(two, split=RandomSplit(train=0.5, val=0.5), label_suffix="!")
    unused.setup("fit")
    assert "labels: 60 rows do not end with data.label_suffix '!'" in unused.notes()


def test_odd_classes_and_constant_columns_are_said() -> None:
    train = people(30, 0).with_columns(level=pl.lit(1.0), work=pl.lit("Private"))
    train = train.with_columns(
        pl.when(pl.int_range(pl.len()) == 3).then(pl.lit("once")).otherwise("rich").alias("rich")
    )
    write(train, "train.csv")
    write(people(20, 2).with_columns(rich=pl.lit("never")), "test.csv")
    data = data_of(RowFiles(train="train.csv", val="train.csv", test="test.csv"))
    data.setup("fit")
    notes = data.notes()
    assert "features: 'levels', 'working' have one value in all training rows, and tell the model nothing" in notes
    assert "label: class 'never' has no training row, 20 in test" in notes
    assert "label: 'once' has a single training row" in notes


def test_quotes_of_a_tab_separated_file_are_text_where_the_config_says_so() -> None:
    Path("train.tsv").write_text('age\twork\tlevel\trich\n20\t"a\t1\tno\n30\tb"\t2\tyes\n')
    files = RowFiles(train="train.tsv", val="train.tsv", test="train.tsv")
    assert data_of(files, csv=TextFormat(quote="")).raw["work"].to_list() == ['"a', 'b"'] * 3
