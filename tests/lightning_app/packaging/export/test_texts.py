"""Text and fusion models as packages: exported, scored, watched, optimised."""

import warnings
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lightning_app.__main__ import main
from lightning_app.drift.report.drift_report import drift_report
from lightning_app.drift.result import DriftSettings
from lightning_app.packaging import Package
from tests.conftest import only_run
from tests.tiny_encoder import SENTENCES, tiny_encoder

CONFIG = """
seed_everything: 1
trainer: {max_epochs: 2, accelerator: cpu}
model:
  class_path: models.tabular.TabularModule
  init_args:
    network:
      class_path: models.fusion.Fusion
      init_args:
        modalities:
          review: {class_path: models.fusion.TextModality, init_args: {encoder: models.text.PretrainedEncoder}}
          columns: {class_path: models.fusion.TableModality, init_args: {output_size: 8, hidden_size: 8}}
        combination: models.fusion.Concatenation
    task: models.tasks.BinaryClassification
    optimizer: {class_path: AdamW, init_args: {lr: 0.003}}
data:
  class_path: datamodules.text.TextTableDataModule
  init_args:
    definitions: reviews.yaml
    rows: reviews.csv
    split: {class_path: datamodules.tabular.RandomSplit, init_args: {train: 0.6, val: 0.1}}
    label: sentiment
    pretrained: tiny
    max_length: 16
    batch_size: 32
card:
  intended_use: Tests.
  out_of_scope: Anything else.
  limitations: It knows six sentences.
  ethical_considerations: None.
  license: apache-2.0
"""
FEATURES = """
views:
  review:
    request: {title: {type: str}, text: {type: str}, stars: {type: float}, shop: {type: str}}
    features:
      body: {kind: text, columns: [title, text]}
      given_stars: {kind: given, column: stars}
      shop_class: {kind: vocabulary, column: shop}
labels:
  sentiment: {kind: column, column: sentiment}
"""


def reviews(rows: int = 200) -> pl.DataFrame:
    """Texts of 1 to 30 words with a few odd ones; the label is in the last word, a number and a category."""
    rng = np.random.default_rng(0)
    words = " ".join(SENTENCES).split()
    good = rng.random(rows) < 0.5
    texts = [" ".join([*rng.choice(words, rng.integers(1, 30)), "superb" if one else "dull"]) for one in good.tolist()]
    texts[0], texts[1], texts[2] = "", 'it\'s "superb",\nreally', "\U0001f600 \u4f60\u597d"
    return pl.DataFrame(
        {
            "title": [None if row % 3 else "funny and warm" for row in range(rows)],
            "text": texts,
            "stars": np.where(good, rng.integers(3, 6, rows), rng.integers(1, 4, rows)),
            "shop": rng.choice(["a", "b", "c"], rows),
            "sentiment": np.where(good, "good", "bad"),
        }
    ).with_columns(stars=pl.when(pl.int_range(rows) % 11 != 5).then("stars"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data, runs, and the package of a fusion model."""
    folder = tmp_path_factory.mktemp("reviews")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("WANDB_MODE", "disabled")
        tiny_encoder(folder / "tiny")
        reviews().write_csv("reviews.csv")
        Path("reviews.yaml").write_text(FEATURES)
        Path("config.yaml").write_text(CONFIG)
        assert main(["fit", "-c", "config.yaml"]) == 0
        assert main(["export", str(only_run(folder / "runs")), "--output", "package"]) == 0
    return folder


@pytest.fixture
def package(folder: Path) -> Package:
    return Package.load(folder / "package")


def test_the_package_answers_as_the_run_predicts(
    folder: Path, package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    run = only_run(folder / "runs")
    assert main(["predict", "--ckpt_path", str(run / "checkpoints/best.ckpt"), "--run.root", "predicted"]) == 0
    predicted = pl.read_parquet(next(folder.rglob("predictions.parquet"))).sort("row")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answer = package.predict(reviews().drop("sentiment"))
    np.testing.assert_allclose(np.stack(answer["probabilities"]), np.stack(predicted["probabilities"]), atol=1e-5)
    assert answer["label"].to_list() == predicted["label"].to_list()
    raw_rows = package.manifest.parity["raw_rows"]
    assert raw_rows["rows"] == len(pl.read_parquet(package.path / "evaluation.parquet"))
    assert raw_rows["max_relative_error"] < 1e-5


def test_texts_of_any_length_and_any_number_of_rows_are_answered(package: Package) -> None:
    texts = ["", "film", "film " * 500, "z" * 5000]
    rows = pl.DataFrame(
        {"title": None, "text": texts, "stars": 3.0, "shop": "a"}, schema_overrides={"title": pl.String}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        together = np.stack(package.predict(pl.concat([rows] * 250))["probabilities"])
        alone = np.stack([np.stack(package.predict(rows[row])["probabilities"])[0] for row in range(4)])
    np.testing.assert_allclose(together.reshape(250, 4, 2), np.broadcast_to(alone, (250, 4, 2)), atol=1e-5)


def test_card_drift_reference_and_reference_sample_know_the_texts(package: Package) -> None:
    card = (package.path / "MODEL_CARD.md").read_text()
    assert "pipeline_tag: text-classification" in card
    assert "| text | text | feature |" in card
    assert "rows have more than 16 tokens: cut to the first 16" in card
    assert "shuffled among 60 test rows" in card
    reference, sample = package.drift_reference(), package.drift_sample()
    assert reference is not None
    assert {"text.length", "text.words", "stars"} <= {column.plan.name for column in reference.columns}
    assert set(reference.importance or {}) == {"title", "text", "stars", "shop"}
    assert sample is not None
    assert "text" in sample.columns
    lengths = pl.read_parquet(package.path / "reference.parquet")["token_ids"].list.len()
    assert lengths.n_unique() > 1, "padding is not kept"
    assert lengths.max() == 16
    assert package.manifest.parity["rows_of_each_size"] == 60


def test_show_verify_and_diff_read_the_package(
    folder: Path, package: Package, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(package.path)
    assert main(["package", "show", path]) == 0
    assert "token_ids" in capsys.readouterr().out
    assert main(["package", "verify", path]) == 0
    assert main(["package", "diff", path, path]) == 0


@pytest.mark.parametrize("kind", ["int8", "fp16"])
def test_a_variant_is_made_and_answers_texts(
    folder: Path, package: Package, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    options = ["--optimize", kind, "--optimize-from", "package", "--max-worse", "1", "--allow-slower"]
    assert main(["export", "--output", kind, *options]) == 0
    variant = Package.load(folder / kind)
    assert (variant.path / "model.onnx").stat().st_size < (package.path / "model.onnx").stat().st_size
    row = {"title": "funny", "text": "the film is superb", "stars": 5.0, "shop": "b"}
    np.testing.assert_allclose(variant.predict(row)["probabilities"], package.predict(row)["probabilities"], atol=0.05)


def test_longer_texts_are_drift(package: Package) -> None:
    reference, sample = package.drift_reference(), package.drift_sample()
    assert reference is not None
    assert sample is not None
    longer = sample.with_columns(pl.col("text") + " and so on" * 20)
    for table, drifted in ((sample, False), (longer, True)):
        result = drift_report(reference, pl.concat([table] * 3), settings=DriftSettings())
        columns = {column.column: column.drifted for column in result.columns}
        assert columns["text.words"] == drifted
        assert not columns["stars"]
