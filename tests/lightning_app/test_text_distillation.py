"""Distillation of a text classifier by the command line: teacher, student, its checkpoint and its package."""

from pathlib import Path

import polars as pl
import pytest
import torch

from lightning_app.__main__ import main
from lightning_app.packaging import Package
from tests.conftest import only_run
from tests.lightning_app.test_text_table import CONFIG, FEATURES, reviews
from tests.tiny_encoder import tiny_encoder

STUDENT = """    encoder: {class_path: models.text.ReducedEncoder, init_args: {num_layers: 1, hidden_size: 16}}
    teacher: TEACHER
    hidden_weight: 0.1
"""


@pytest.mark.slow
def test_a_student_learns_from_a_run_and_needs_no_teacher_afterwards(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_encoder(tmp_path / "tiny")
    reviews(60, 0).write_ndjson("train.jsonl")
    reviews(30, 1).write_ndjson("test.jsonl")
    Path("reviews.yaml").write_text(FEATURES)
    Path("teacher.yaml").write_text(CONFIG)
    assert main(["fit", "-c", "teacher.yaml", "--run.root", "teacher"]) == 0
    teacher = only_run(tmp_path / "teacher")
    config = CONFIG.replace("models.text.TextClassifier", "models.text.DistilledTextClassifier")
    config = config.replace("    encoder: models.text.PretrainedEncoder\n", STUDENT.replace("TEACHER", str(teacher)))
    Path("student.yaml").write_text(config)
    fit = ["fit", "-c", "student.yaml", "--run.root", "student"]
    assert main(fit) == 0
    student = only_run(tmp_path / "student")
    checkpoint = student / "checkpoints" / "best.ckpt"
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    assert "projection.weight" in state
    assert state["network.encoder.network.embeddings.word_embeddings.weight"].shape[1] == 16
    teacher.rename(tmp_path / "gone")
    assert main(["test", "--ckpt_path", str(checkpoint)]) == 0
    assert main(["export", str(student), "--output", "package"]) == 0
    rows = pl.DataFrame({"title": ["funny"], "text": ["a superb film"]})
    assert 0 < Package.load("package").predict(rows)["probability"][0] < 1
    capsys.readouterr()
    assert main(fit) == 2
    assert "neither a checkpoint nor a run folder" in capsys.readouterr().err
    (tmp_path / "gone").rename(teacher)
    for classes, message in (
        ('["good", "bad"]', "has the classes bad, good, the data good, bad; give data.classes in the order"),
        ('["bad", "good", "odd"]', "predicts 2 classes, but the label has 3 classes"),
    ):
        assert main([*fit, "--data.classes", classes]) == 2
        assert message in " ".join(capsys.readouterr().err.split())
    for file in ("train.jsonl", "test.jsonl"):
        pl.read_ndjson(file).with_columns(sentiment=pl.lit("very ") + pl.col("sentiment")).write_ndjson(file)
    assert main(fit) == 2
    assert "the data very bad, very good; both must be the same" in " ".join(capsys.readouterr().err.split())
    assert main([*fit, "--model.temperature", "0"]) == 2
    assert "a number above 0 is needed" in capsys.readouterr().err
