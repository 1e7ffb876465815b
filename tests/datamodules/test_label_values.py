"""Labels of a table as people write them: a number with a comma, truth values of YAML, a class without test rows."""

from pathlib import Path

import polars as pl
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from datamodules.tabular import FeatureTableDataModule, RandomSplit
from models.tasks import MulticlassClassification

FEATURES = """
views:
  row:
    request: {x: {type: float}}
    features: {x: {kind: given, column: x}}
labels: {y: {kind: column, column: y}}
"""


def data_of(rows: dict[str, list[str]], classes: list[str | bool] | None = None) -> FeatureTableDataModule:
    Path("rows.yaml").write_text(FEATURES)
    pl.DataFrame(rows).write_csv("rows.csv")
    return FeatureTableDataModule(
        definitions="rows.yaml", rows="rows.csv", label="y", classes=classes, split=RandomSplit(train=0.6, val=0.2)
    )


def test_a_number_with_a_comma_that_makes_classes_of_all_is_said() -> None:
    data = data_of({"x": ["1"] * 20, "y": ["1.5", "2.5"] * 9 + ["2,5", "1.5"]})
    notes = [note for note in data.notes() if "are numbers" in note]
    assert notes == ["label: 19 of 20 values of 'y' are numbers, but not '2,5', so that all of them are classes"]


def test_yes_and_no_that_yaml_reads_as_truth_values_are_refused_with_the_reason() -> None:
    data = data_of({"x": ["1"] * 20, "y": ["no", "yes"] * 10}, [False, True])
    with pytest.raises(ValueError, match="'no' is not among .*, 20 rows have such labels; YAML reads yes and no"):
        data.targets  # noqa: B018


def test_a_cell_that_is_no_number_is_named_by_its_row_in_the_file() -> None:
    data = data_of({"x": ["1", "2", "3", "4", "a"] * 4, "y": ["no", "yes"] * 10})
    with pytest.raises(ValueError, match="column 'x' holds 'a' in row 5 and 3 more rows like it"):
        data.pipeline  # noqa: B018


def test_classes_of_several_labels_with_a_single_row_are_said_by_label() -> None:
    data_of({"x": ["1"] * 20, "y": ["no", "yes"] * 10})
    Path("rows.yaml").write_text(FEATURES.replace("labels: {", "labels: {z: {kind: column, column: z}, "))
    kinds = pl.Series("z", ["a", "b", None, "b"] * 5).scatter(3, "lonely")
    pl.read_csv("rows.csv").with_columns(kinds).write_csv("rows.csv")
    split = RandomSplit(train=0.6, val=0.2, seed=0)
    data = FeatureTableDataModule(definitions="rows.yaml", rows="rows.csv", label=["y", "z"], split=split)
    where = [name for name in ("train", "val", "test") if 3 in getattr(data.split_rows, name)]
    expected = "has a single training row" if where == ["train"] else "has no training row"
    assert any(note.startswith("label 'z': ") and "'lonely'" in note and expected in note for note in data.notes())


def test_ranking_metrics_are_means_over_the_classes_that_have_rows() -> None:
    torch.manual_seed(0)
    probabilities, targets = torch.rand(60, 4).softmax(dim=1), torch.arange(60) % 3
    metrics = MulticlassClassification(num_classes=4).metrics()
    metrics.update(probabilities, targets)
    values = metrics.compute()
    for name, score in (("auroc", roc_auc_score), ("average_precision", average_precision_score)):
        expected = sum(score(targets == index, probabilities[:, index]) for index in range(3)) / 3
        assert values[name] == pytest.approx(expected, abs=1e-6)
