"""Cross-validation of tables through the command line: folds, out-of-fold predictions, resumption, comparison."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import scipy.stats

from datamodules.tabular import FeatureTableDataModule, KFoldSplit, RandomSplit, TimeFolds
from lightning_app.__main__ import main
from lightning_app.evaluation.resampled_t_test import fold_mean
from lightning_app.runs.output_lock import OutputLock

CONFIG = """
seed_everything: 1
trainer: {{max_epochs: 1, accelerator: cpu}}
model:
  class_path: models.tabular.TabularModule
  init_args:
    network: models.tabular.LinearNetwork
    task: {{class_path: models.tasks.BinaryClassification, init_args: {{threshold: MaxF1}}}}
    optimizer: {{class_path: AdamW, init_args: {{lr: {lr}}}}}
data:
  class_path: datamodules.tabular.FeatureTableDataModule
  init_args:
    definitions: visits.yaml
    rows: visits.csv
    label: back
    split: {split}
    batch_size: 16
"""
FEATURES = """
views:
  row:
    request: {x: {type: float}}
    features: {x: {kind: given, column: x}}
labels: {back: {kind: column, column: back}}
"""
RANDOM = "datamodules.tabular.RandomSplit"


def write_visits(split: str = RANDOM) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    back = rng.random(120) < 0.25
    visits = pl.DataFrame(
        {"patient": np.arange(120) // 2, "x": rng.normal(back * 1.5).round(3), "back": np.where(back, "yes", "no")}
    ).with_columns(back=pl.when(pl.int_range(120) < 117).then("back"))
    visits.write_csv("visits.csv")
    pl.DataFrame({"patient": [3, 4, 5, 6]}).write_csv("listed.csv")
    Path("visits.yaml").write_text(FEATURES)
    for name, rate in (("fast", 0.1), ("slow", 0.0)):
        Path(f"{name}.yaml").write_text(CONFIG.format(split=split, lr=rate))
    return visits


def validated(*words: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["cross-validate", *words, "--json"]) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def test_every_row_tests_once_and_a_stopped_cross_validation_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    visits = write_visits()
    words = ["fast.yaml", "slow.yaml", "--folds", "2", "--output", "cv"]
    result = validated(*words, capsys=capsys)
    predictions = pl.read_parquet("cv/predictions.parquet")
    assert predictions.columns == ["config", "fold", "row", "truth", "label", "probability", "probabilities"]
    fast = predictions.filter(pl.col("config") == "fast").sort("row")
    assert fast["row"].to_list() == list(range(117))  # three rows have no label
    assert fast["truth"].to_list() == visits["back"].head(117).to_list()
    shares = fast.group_by("fold").agg((pl.col("truth") == "yes").sum())["truth"]
    assert shares.max() - shares.min() <= 1  # type: ignore[operator]
    assert "117 of 117 labelled rows tested once" in result["notes"][0]
    # the metrics of a fold are those of its predictions
    for one in result["folds"]["fast"]:
        part = fast.filter(pl.col("fold") == one["fold"])
        assert one["metrics"]["test/accuracy"] == pytest.approx((part["truth"] == part["label"]).mean())
        assert (one["train"] + one["val"], one["test"]) in ((58, 59), (59, 58))
    values = [[one["metrics"]["test/log_loss"] for one in result["folds"][name]] for name in ("fast", "slow")]
    share = np.mean([one["test"] / one["train"] for one in result["folds"]["fast"]])
    assert "p_value" not in result["summaries"][1]["metrics"]["test/log_loss"]  # of a loss of 0, which nobody asks
    change = result["summaries"][1]["difference"]["test/log_loss"]
    assert change["mean"] == pytest.approx(np.mean(np.subtract(values[1], values[0])))
    error = np.std(np.subtract(values[1], values[0]), ddof=1) * np.sqrt(1 / 2 + share)
    assert change["p_value"] == pytest.approx(2 * scipy.stats.t.sf(abs(change["mean"]) / error, 1))
    assert "| test/log_loss | slow |" in Path("cv/table.md").read_text()
    # a fold that is not finished is fitted again, the others are not
    runs = {one["run"] for folds in result["folds"].values() for one in folds}
    Path("cv/folds/slow-1.json").unlink()
    held = OutputLock(Path(".cv.lock"), output=Path("cv"))
    assert main(["cross-validate", *words]) == 2
    assert "cv is being written by another job" in " ".join(capsys.readouterr().err.split())
    held.release()
    again = validated(*words, capsys=capsys)
    runs_again = {one["run"] for folds in again["folds"].values() for one in folds}
    assert len(runs & runs_again) == 3
    assert again["summaries"] == result["summaries"]
    assert main([*("cross-validate", *words[:-1]), "cv", "--", "--data.batch_size=8"]) == 2
    assert "with other options after --" in capsys.readouterr().err
    visits.with_columns(x=-pl.col("x")).write_csv("visits.csv")
    assert main(["cross-validate", *words]) == 2
    assert "with other rows or feature definitions of fast, which have changed" in capsys.readouterr().err


def test_published_test_rows_are_never_folded_in(capsys: pytest.CaptureFixture[str]) -> None:
    write_visits("{class_path: ListedSplit, init_args: {column: patient, test: listed.csv}}")
    assert main(["cross-validate", "fast.yaml", "--folds", "2"]) == 2
    assert "has a published test split (patient in listed.csv test" in capsys.readouterr().err
    result = validated("fast.yaml", "--folds", "2", "--within-training", capsys=capsys)
    predictions = pl.read_parquet(result["predictions"])
    assert sorted(predictions["row"]) == [row for row in range(117) if not 6 <= row < 14]
    assert "109 of 117 labelled rows tested once, 8 never" in result["notes"][0]


def test_a_published_split_of_another_file_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    write_visits("{class_path: ListedSplit, init_args: {column: patient, test: listed.csv}}")
    written = Path("fast.yaml").read_text()
    split = next(line for line in written.splitlines() if "split:" in line)
    Path("split.yaml").write_text(f"data:\n  init_args:\n{split}\n")
    Path("fast.yaml").write_text(written.replace(f"{split}\n", ""))
    assert main(["cross-validate", "fast.yaml", "--folds", "2", "--within-training", "--", "-c", "split.yaml"]) == 2
    assert "fast.yaml has no data.split of its own" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fast.yaml", "--folds", "1"], "--folds: 1 given"),
        (["fast.yaml", "--within-training"], "has no published test rows"),
        (["fast.yaml", "--folds", "500"], "data.split.num_folds: 500 given, there are 117 rows"),
        (["fast.yaml", "other.yaml"], "the folds of other.yaml test other rows than those of fast.yaml"),
        (["forecasting/co2_naive"], "series by `walk-forward`"),
    ],
)
def test_what_cannot_be_folded_is_refused_before_training(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_visits()
    Path("other.yaml").write_text(CONFIG.format(split="{class_path: RandomSplit, init_args: {seed: 7}}", lr=0.1))
    assert main(["cross-validate", *words]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not Path("runs/fast").exists()


@pytest.mark.parametrize("stratify", [None, "y"])
@pytest.mark.parametrize("group", [None, "person"])
def test_folds_partition_rows_keep_groups_whole_and_mix_classes_alike(stratify: str | None, group: str | None) -> None:
    rng = np.random.default_rng(0)
    rows = pl.DataFrame({"person": rng.integers(0, 150, 600), "y": np.where(rng.random(600) < 0.2, "a", "b")})
    splits = [KFoldSplit(index=index, num_folds=4, stratify=stratify, group=group).split(rows) for index in range(4)]
    assert np.array_equal(np.sort(np.concatenate([split.test for split in splits])), np.arange(600))
    for split in splits:
        assert np.array_equal(np.sort(np.concatenate([split.train, split.val, split.test])), np.arange(600))
        assert 50 <= len(split.val) <= 90
        assert 145 <= len(split.test) <= 155
        parts = [rows[part] for part in (split.train, split.val, split.test)]
        if group is not None:
            persons = [set(part["person"]) for part in parts]
            assert len(set.union(*persons)) == sum(map(len, persons))
        if stratify is not None:
            assert abs((parts[2]["y"] == "a").sum() - (rows["y"] == "a").sum() / 4) <= 2
    shares = [(rows[part]["y"] == "a").mean() for part in vars(RandomSplit(stratify="y").split(rows)).values()]
    assert max(shares) - min(shares) < 0.02  # type: ignore[operator]


@pytest.mark.parametrize("file", ["rows.csv", "rows.parquet"])
def test_many_classes_that_are_numbers_are_mixed_one_by_one_and_a_number_by_tenths(file: str) -> None:
    Path("visits.yaml").write_text(FEATURES)
    rows = pl.DataFrame({"x": np.zeros(120), "back": np.arange(120) % 30})
    rows.write_csv(file) if file.endswith("csv") else rows.write_parquet(file)
    split = RandomSplit(train=0.5, val=0.25, stratify="back")
    numbers = [str(number) for number in range(30)]
    for classes, each in ((numbers, True), (None, False)):
        data = FeatureTableDataModule(definitions="visits.yaml", rows=file, label="back", classes=classes, split=split)
        of_train = np.bincount(data.targets[data.split_rows.train].astype(int), minlength=30)
        assert ((of_train == 2).all()) == each
        tenths = np.bincount(data.targets[data.split_rows.train].astype(int) // 3, minlength=10)
        assert (abs(tenths - 6) <= 1).all()


def test_forward_chaining_tests_what_comes_after_its_training_rows_and_a_gap() -> None:
    times = np.sort(np.random.default_rng(0).integers(0, 200, 300))
    rows = pl.DataFrame({"time": pl.Series(times).cast(pl.Datetime("us"))})
    tested = []
    for index in range(4):
        split = TimeFolds(index=index, num_folds=4, gap=3).split(rows)
        tested.append(split.test)
        assert times[split.train].max() < times[split.val].min() < times[split.val].max() <= times[split.test].min()
        assert split.val.min() - split.train.max() > 3
        assert split.test.min() - split.val.max() > 3
    joined = np.concatenate(tested)
    assert np.array_equal(joined, np.arange(joined[0], 300))


def test_a_mean_over_folds_has_the_corrected_interval() -> None:
    values = [0.8, 0.82, 0.79, 0.85, 0.8]
    mean = fold_mean(values, test_share=0.25)
    margin = scipy.stats.t.ppf(0.975, 4) * np.std(values, ddof=1) * np.sqrt(1 / 5 + 0.25)
    assert (mean.low, mean.high) == pytest.approx((np.mean(values) - margin, np.mean(values) + margin))
