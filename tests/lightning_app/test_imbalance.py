"""Imbalanced classes through the command line: class weights, decision thresholds chosen on validation, metrics."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.metrics import average_precision_score, brier_score_loss, f1_score, log_loss, precision_score, recall_score

from lightning_app.__main__ import main
from lightning_app.packaging import Package
from models.tasks import MaxBalancedAccuracy, MaxF1, PrecisionAtLeast, RecallAtLeast, ThresholdRule
from tests.conftest import only_run

CONFIG = """
seed_everything: 1
trainer: {{max_epochs: 3, accelerator: cpu}}
model:
  class_path: models.tabular.TabularModule
  init_args:
    network: models.tabular.LinearNetwork
    task: {{class_path: models.tasks.BinaryClassification, init_args: {{{task}}}}}
    optimizer: {{class_path: AdamW, init_args: {{lr: 0.05}}}}
data:
  class_path: datamodules.tabular.FeatureTableDataModule
  init_args:
    definitions: rare.yaml
    rows: rare.csv
    label: sick
    split: {{class_path: datamodules.tabular.RandomSplit, init_args: {{train: 0.5, val: 0.25}}}}
    batch_size: 32
"""
FEATURES = """
views:
  row:
    request: {x: {type: float}}
    features: {x: {kind: given, column: x}}
labels: {sick: {kind: column, column: sick}}
"""


def write_rare(task: str) -> None:
    """One row in eight is sick, and mixed with many healthy ones: no probability exceeds one half."""
    rng = np.random.default_rng(0)
    sick = rng.random(600) < 0.125
    pl.DataFrame({"x": rng.normal(sick * 1.2, 1.0).round(4), "sick": np.where(sick, "yes", "no")}).write_csv("rare.csv")
    Path("rare.yaml").write_text(FEATURES)
    Path("config.yaml").write_text(CONFIG.format(task=task))


def fitted(task: str, *options: str) -> Path:
    write_rare(task)
    assert main(["fit", "-c", "config.yaml", "--run.root", "runs", *options]) == 0
    run = only_run(Path("runs"))
    assert main(["test", "--ckpt_path", str(run / "checkpoints/best.ckpt")]) == 0
    return run


def test_a_threshold_chosen_on_validation_decides_metrics_predictions_and_the_package(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = fitted("threshold: MaxF1")
    best = str(run / "checkpoints/best.ckpt")
    threshold = torch.load(best)["state_dict"]["task.threshold"].item()
    assert 0.05 < threshold < 0.45
    assert main(["predict", "--ckpt_path", best]) == 0
    assert main(["export", str(run), "--output", "package"]) == 0
    package, rows = Package.load("package"), pl.read_csv("rare.csv")
    (decision,) = package.manifest.decisions
    assert decision.thresholds == (threshold,)
    predicted, answered = pl.read_parquet(run / "predictions.parquet"), package.predict(rows.select("x"))
    above = predicted["probabilities"].arr.get(1) > threshold
    assert 0 < above.sum() < len(rows)
    for table in (predicted, answered):
        assert ((table["label"] == "yes") == above).all()
    one = package.predict({"x": [float(rows["x"].max())]})  # type: ignore[arg-type]
    assert (one["label"][0], one["probability"][0]) == ("yes", one["probabilities"][0][1])
    # test metrics are those of scikit-learn on what the package answers
    order = np.random.default_rng(0).permutation(len(rows))
    test = np.sort(order[450:])
    truth, said = (rows["sick"] == "yes").to_numpy()[test], (answered["label"] == "yes").to_numpy()[test]
    probability = answered["probabilities"].arr.get(1).to_numpy()[test]
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["test/f1"] == pytest.approx(f1_score(truth, said), rel=1e-5)
    assert metrics["test/precision"] == pytest.approx(precision_score(truth, said), rel=1e-5)
    assert metrics["test/recall"] == pytest.approx(recall_score(truth, said), rel=1e-5)
    assert metrics["test/macro_f1"] == pytest.approx(f1_score(truth, said, average="macro"), rel=1e-5)
    assert metrics["test/accuracy"] == pytest.approx((truth == said).mean(), rel=1e-5)
    assert metrics["test/average_precision"] == pytest.approx(average_precision_score(truth, probability), rel=1e-4)
    assert metrics["test/brier"] == pytest.approx(brier_score_loss(truth, probability), rel=1e-4)
    assert metrics["test/log_loss"] == pytest.approx(log_loss(truth, probability), rel=1e-4)
    assert package.manifest.metrics["values"]["test/f1"] == pytest.approx(metrics["test/f1"], rel=1e-5)
    # the drift reference judges the answered classes: monitoring agrees with the package
    from lightning_app.drift.answers.answer_form import answer_form
    from lightning_app.drift.answers.points import read_points

    form = answer_form(package.manifest.outputs, package.manifest.labels)
    assert form is not None
    journalled = answered.select(pl.all().name.prefix("prediction."))
    assert ((read_points(journalled, form).classes == 1) == above.to_numpy()).all()
    said_by = f"yes where its probability is above {threshold:.4g}, else no (the highest F1, chosen on validation)"
    assert said_by in Path("package/MODEL_CARD.md").read_text()
    capsys.readouterr()
    assert main(["package", "show", "package"]) == 0
    assert "yes where its probability is above" in " ".join(capsys.readouterr().out.split())


def test_balanced_classes_weigh_alike_and_the_loss_does_not_depend_on_batches() -> None:
    run = fitted("class_weights: balanced, loss: {class_path: FocalLoss, init_args: {task: binary}}")
    state = torch.load(run / "checkpoints/best.ckpt")["state_dict"]
    rows = pl.read_csv("rare.csv")
    train = rows[np.sort(np.random.default_rng(0).permutation(len(rows))[:300])]
    sick = int((train["sick"] == "yes").sum())
    np.testing.assert_allclose(state["task.class_weights"], [150 / (300 - sick), 150 / sick], rtol=1e-6)
    before = json.loads((run / "metrics.json").read_text())
    assert main(["test", "--ckpt_path", str(run / "checkpoints/best.ckpt"), "--data.eval_batch_size", "7"]) == 0
    assert json.loads((run / "metrics.json").read_text()) == pytest.approx(before, rel=1e-5)
    assert before["test/recall"] > 0.5  # without weights, no row is likelier sick than healthy


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("class_weights: [1, 2, 3]", "`balanced` or 2 numbers above 0 are needed, one per class"),
        ("class_weights: balanced, loss: {class_path: FocalLoss, init_args: {task: binary, class_weights: [0.2]}}",
         "given beside class_weights of the loss FocalLoss"),
        ("class_weights: balanced, loss: torch.nn.Identity", "which only returns a mean"),
        ("threshold: {class_path: PrecisionAtLeast, init_args: {precision: 90}}", "threshold.precision: 90.0 given"),
    ],
)  # fmt: skip
def test_weights_and_rules_that_do_not_fit_are_refused(
    task: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_rare(task)
    assert main(["fit", "-c", "config.yaml", "--run.root", "runs"]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("rule", "threshold"),
    [
        (MaxF1(), 0.35), (MaxBalancedAccuracy(), 0.35), (PrecisionAtLeast(precision=0.9), 0.7),
        (PrecisionAtLeast(precision=0.6), 0.35), (RecallAtLeast(recall=0.5), 0.7), (RecallAtLeast(recall=0.6), 0.35),
    ],
)  # fmt: skip
def test_rules_choose_between_neighbouring_probabilities(rule: ThresholdRule, threshold: float) -> None:
    scores = torch.tensor([0.1, 0.9, 0.2, 0.4, 0.6, 0.4, 0.3, 0.8])
    positive = torch.tensor([0, 1, 0, 1, 0, 1, 0, 1]).bool()
    assert rule.choose(scores, positive).item() == pytest.approx(threshold)
    assert rule.choose(scores, torch.zeros(8).bool()).item() == 0.5
