"""Several labels through the command line: MultiLabel from columns and lists, MultiTask with heads of all kinds."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.metrics import f1_score

from lightning_app.__main__ import main
from lightning_app.packaging import Package
from models.tasks import BinaryClassification, MultiTask, Regression
from tests.conftest import only_run

CONFIG = """
seed_everything: 1
trainer: {{max_epochs: 2, accelerator: cpu}}
model:
  class_path: models.tabular.TabularModule
  init_args:
    network: {{class_path: models.tabular.MLP, init_args: {{hidden_size: 16}}}}
    task: {task}
    optimizer: {{class_path: AdamW, init_args: {{lr: 0.02}}}}
data:
  class_path: datamodules.tabular.FeatureTableDataModule
  init_args:
    definitions: films.yaml
    rows: {rows}
    label: {label}
    split: datamodules.tabular.RandomSplit
    batch_size: 16
"""
FEATURES = """
views:
  film:
    request: {x: {type: float}, z: {type: float}}
    features: {x: {kind: given, column: x}, z: {kind: given, column: z}}
labels:
  tags: {kind: column, column: tags}
  funny: {kind: column, column: funny}
  sad: {kind: column, column: sad}
  length: {kind: column, column: length, unit: minutes}
  country: {kind: column, column: country}
"""
MULTI_LABEL = "{class_path: MultiLabel, init_args: {threshold: MaxF1, class_weights: balanced}}"
HEADS = """
      class_path: MultiTask
      init_args:
        weighting: {weighting}
        heads:
          funny: {{class_path: BinaryClassification, init_args: {{threshold: MaxF1}}}}
          length: models.tasks.Regression
          country: {{class_path: MulticlassClassification, init_args: {{num_classes: 3, class_weights: balanced}}}}
"""


def write_films(*, task: str, label: str, rows: str = "films.csv") -> pl.DataFrame:
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(2, 160)).round(3)
    funny, sad = x + rng.normal(0, 0.5, 160) > 0.7, z + rng.normal(0, 0.5, 160) > 0
    tags = [[name for name, holds in (("funny", a), ("sad", b)) if holds] for a, b in zip(funny, sad, strict=True)]
    films = pl.DataFrame(
        {
            "x": x, "z": z, "funny": funny.astype(int), "sad": np.where(sad, "yes", "no"), "tags": tags,
            "length": (90 + 20 * x + rng.normal(0, 2, 160)).round(1), "country": rng.choice(["fr", "it", "us"], 160),
        }
    ).with_columns(
        funny=pl.when(pl.int_range(160) % 8 > 0).then("funny"),  # every eighth film has no label of some kind
        length=pl.when(pl.int_range(160) % 8 != 1).then("length"),
    )  # fmt: skip
    if rows.endswith(".parquet"):
        films.write_parquet(rows)
    else:
        films.with_columns(pl.col("tags").list.join("|")).write_csv(rows)
    Path("films.yaml").write_text(FEATURES)
    Path("config.yaml").write_text(CONFIG.format(task=task, label=label, rows=rows))
    return films


def fitted(*options: str) -> tuple[Path, dict[str, float]]:
    assert main(["fit", "-c", "config.yaml", "--run.root", "runs", *options]) == 0
    run = only_run(Path("runs"))
    best = str(run / "checkpoints/best.ckpt")
    assert main(["test", "--ckpt_path", best]) == 0
    metrics: dict[str, float] = json.loads((run / "metrics.json").read_text())
    assert main(["test", "--ckpt_path", best, "--data.eval_batch_size", "7"]) == 0
    again = json.loads((run / "metrics.json").read_text())
    assert again == pytest.approx(metrics, rel=1e-4)  # masked labels do not make a metric depend on the batches
    assert main(["predict", "--ckpt_path", best]) == 0
    assert main(["export", str(run), "--output", "package"]) == 0
    return run, metrics


def test_lists_of_labels_are_answered_by_name() -> None:
    films = write_films(task=MULTI_LABEL, label="tags", rows="films.parquet")
    run, metrics = fitted()
    package = Package.load("package")
    assert main(["package", "verify", "package"]) == 0
    (decision,) = package.manifest.decisions
    assert (decision.several, decision.labels) == (True, ("funny", "sad"))
    assert decision.thresholds is not None
    assert decision.thresholds[0] != decision.thresholds[1]
    answer = package.predict(films.select("x", "z"))
    assert answer.columns == ["labels", "probabilities"]
    held = answer["probabilities"].to_numpy() > np.array(decision.thresholds, dtype=np.float32)
    names = [[name for name, holds in zip(("funny", "sad"), row, strict=True) if holds] for row in held]
    assert answer["labels"].to_list() == names
    predicted = pl.read_parquet(run / "predictions.parquet")
    assert predicted["labels"].to_list() == names
    few = package.predict({"x": films["x"].head(5).to_list(), "z": films["z"].head(5).to_list()})
    assert [list(row) for row in few["labels"]] == names[:5]
    test = np.sort(np.random.default_rng(0).permutation(160)[136:])
    truth = np.array([["funny" in tags, "sad" in tags] for tags in films["tags"].to_list()])[test]
    assert metrics["test/macro_f1"] == pytest.approx(f1_score(truth, held[test], average="macro"), rel=1e-5)
    assert metrics["test/exact_match"] == pytest.approx((truth == held[test]).all(axis=1).mean())
    films.write_parquet("more.parquet")
    assert main(["score", "package", "more.parquet", "--output", "scored.parquet"]) == 0
    assert pl.read_parquet("scored.parquet")["labels"].to_list() == names


def test_label_columns_and_texts_with_a_separator_give_the_same_targets() -> None:
    from datamodules.tabular import FeatureTableDataModule, RandomSplit

    films = write_films(task=MULTI_LABEL, label="tags")
    split = RandomSplit()
    listed = FeatureTableDataModule(
        definitions="films.yaml", rows="films.csv", label="tags", label_separator="|", split=split
    )
    columns = FeatureTableDataModule(definitions="films.yaml", rows="films.csv", label=["funny", "sad"], split=split)
    assert listed.heads == columns.heads == {"funny": 2, "sad": 2}
    known = films["funny"].is_not_null().to_numpy()
    # an empty cell of a CSV file is a missing one
    has_tags = films["tags"].list.len().to_numpy() > 0
    both = known & has_tags
    np.testing.assert_array_equal(listed.targets[both], columns.targets[both])
    assert np.isnan(columns.targets[:, 0]).sum() == 20
    assert any("20 rows have no label 'funny', and train the others alone" in note for note in columns.notes())


def test_heads_of_all_kinds_are_trained_measured_and_answered_together() -> None:
    films = write_films(task=HEADS.format(weighting="uncertainty"), label="[funny, length, country]")
    run, metrics = fitted()
    assert {"test/funny/f1", "test/length/mae", "test/country/accuracy", "test/country/auroc"} <= set(metrics)
    package = Package.load("package")
    assert [spec.name for spec in package.manifest.outputs] == [
        "funny.probabilities", "length.prediction", "country.probabilities",
    ]  # fmt: skip
    assert package.manifest.outputs[1].unit == "minutes"
    answer = package.predict(films.select("x", "z"))
    predicted = pl.read_parquet(run / "predictions.parquet")
    for name in ("funny.label", "country.label"):
        assert answer[name].to_list() == predicted[name].to_list()
    np.testing.assert_allclose(answer["length.prediction"], predicted["length.prediction"], rtol=1e-4)
    test = np.sort(np.random.default_rng(0).permutation(160)[136:])
    known = films[test].filter(pl.col("length").is_not_null())
    asked = package.predict(known.select("x", "z"))["length.prediction"]
    assert metrics["test/length/mae"] == pytest.approx((asked - known["length"]).abs().mean(), rel=1e-4)
    assert torch.load(run / "checkpoints/best.ckpt")["state_dict"]["task.log_variances"].abs().min() > 0


@pytest.mark.parametrize(
    ("task", "label", "message"),
    [
        ("models.tasks.BinaryClassification", "[funny, sad]", "predicts one label, but data.label has funny, sad"),
        (MULTI_LABEL, "[funny, country]", "but country of data.label has other than two classes"),
        (MULTI_LABEL, "sad", "model.task.num_labels: 1 given"),
        (HEADS.format(weighting="fixed"), "[length, funny, country]", "name the same labels in one order"),
        (HEADS.format(weighting="fixed"), "[funny, sad, length]", "name the same labels in one order"),
    ],
)
def test_tasks_that_do_not_fit_the_labels_are_refused(
    task: str, label: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_films(task=task, label=label)
    assert main(["fit", "-c", "config.yaml", "--run.root", "runs"]) != 0
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_row_without_a_label_trains_the_other_heads_alone() -> None:
    task = MultiTask(heads={"a": BinaryClassification(), "b": Regression()}, weights={"a": 1.0, "b": 3.0})
    outputs = torch.randn(4, 2, requires_grad=True)
    nan = torch.nan
    targets = torch.tensor([[1.0, 2.0], [nan, 1.0], [0.0, nan], [nan, 0.5]])
    task.loss(outputs, targets).backward()  # type: ignore[no-untyped-call]
    assert outputs.grad is not None
    assert (outputs.grad != 0).tolist() == [[True, True], [False, True], [True, False], [False, True]]
    of_b = 3 * ((outputs[:, 1] - targets[:, 1]) ** 2).nan_to_num().sum() / 4
    of_a = torch.nn.functional.binary_cross_entropy_with_logits(outputs[[0, 2], 0], targets[[0, 2], 0]) / 2
    assert task.loss(outputs, targets).item() == pytest.approx((of_a + of_b).item())
