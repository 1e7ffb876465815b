"""Text embedder: fitted on pairs by the command line, exported, and asked through an index."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from features.sources import Notes
from lightning_app.__main__ import main
from lightning_app.packaging import Package
from lightning_app.retrieval import Index, TextEmbedding
from lightning_app.retrieval import embedding_parts as parts_module
from tests.conftest import only_run
from tests.tiny_encoder import tiny_encoder

TOPICS = ("film", "dress", "plot", "fabric", "script", "jokes", "Paris", "cast", "story", "acting")
UNTRAINED = ("--model.optimizer", "null", "--trainer.max_epochs", "1", "--trainer.limit_train_batches", "1")
FEATURES = """
views:
  pair:
    request:
      title: {type: str}
      review: {type: str}
    features:
      anchor: {kind: text, column: title}
      positive: {kind: text, column: review}
"""


def reviews(count: int) -> pl.DataFrame:
    topics = [f"{TOPICS[row % 10]} {TOPICS[row // 10 % 10]}" for row in range(count)]
    return pl.DataFrame(
        {
            "id": [f"r{row}" for row in range(count)],
            "title": [f"the {topic}" for row, topic in enumerate(topics)],
            "review": [f"a clever and warm {topic} and a director" for row, topic in enumerate(topics)],
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("embedder")
    tiny_encoder(folder / "tiny")
    (folder / "features.yaml").write_text(FEATURES)
    reviews(120).write_csv(folder / "reviews.csv")
    reviews(84).write_csv(folder / "train.csv")
    reviews(120)[84:].write_csv(folder / "test.csv")
    (folder / "fit.yaml").write_text(
        f"""
seed_everything: 0
model:
  class_path: models.text.TextEmbedder
  init_args:
    encoder: {{class_path: models.text.PretrainedEncoder, init_args: {{dropout: 0.0}}}}
    pooling: models.text.MeanPooling
    loss: {{class_path: models.InfoNCE, init_args: {{temperature: 0.1}}}}
    micro_batch_size: 8
    optimizer: {{class_path: AdamW, init_args: {{lr: 0.01}}}}
data:
  class_path: datamodules.text.TextPairDataModule
  init_args:
    definitions: {folder}/features.yaml
    rows: {{train: {folder}/train.csv, test: {folder}/test.csv}}
    split: {{class_path: datamodules.tabular.RandomSplit, init_args: {{train: 0.7, val: 0.3}}}}
    pretrained: {folder}/tiny
    anchor: pair.anchor
    positive: pair.positive
    max_length: 16
    batch_size: 20
"""
    )
    return folder


def fit(folder: Path, name: str, *options: str) -> Path:
    args = ["--run.root", str(folder / name), "--trainer.accelerator", "cpu", *options]
    assert main(["fit", "-c", str(folder / "fit.yaml"), *args]) == 0
    return only_run(folder / name)


@pytest.fixture(scope="module")
def run(folder: Path) -> Path:
    return fit(folder, "trained", "--trainer.max_epochs", "3")


@pytest.fixture(scope="module")
def package(folder: Path, run: Path) -> Path:
    assert main(["export", str(run), "--output", str(folder / "package")]) == 0
    return folder / "package"


def test_training_finds_more_pairs_than_the_pretrained_encoder(folder: Path, run: Path) -> None:
    trained = json.loads((run / "metrics.json").read_text())
    untrained = json.loads((fit(folder, "untrained", *UNTRAINED) / "metrics.json").read_text())
    assert trained["val/mrr"] > untrained["val/mrr"]


def test_a_package_answers_texts_as_the_checkpoint_and_says_what_it_cut(folder: Path, run: Path, package: Path) -> None:
    loaded = Package.load(package)
    texts = reviews(5)["title"].to_list()
    answer = loaded.predict(pl.DataFrame({"text": texts}))
    embeddings = answer["embedding"].to_numpy()
    assert embeddings.shape == (5, 32)
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(loaded.predict({"text": texts})["embedding"], embeddings, atol=1e-6)
    tested = json.loads((run / "metrics.json").read_text())
    assert main(["test", "--ckpt_path", str(run / "checkpoints" / "best.ckpt")]) == 0
    tested = json.loads((run / "metrics.json").read_text())
    assert loaded.manifest.metrics["values"]["test/mrr"] == pytest.approx(tested["test/mrr"], abs=1e-4)
    with pytest.warns(UserWarning, match="more than 16 tokens"):
        loaded.predict(pl.DataFrame({"text": ["dress " * 30]}))


def test_score_embeds_a_column_of_texts(package: Path, tmp_path: Path) -> None:
    texts = reviews(30).select("id", text="review")
    texts.write_csv(tmp_path / "texts.csv")
    assert main(["score", str(package), str(tmp_path / "texts.csv"), "--output", str(tmp_path / "scored.parquet")]) == 0
    scored = pl.read_parquet(tmp_path / "scored.parquet")
    assert scored["id"].to_list() == texts["id"].to_list()
    expected = Package.load(package).predict(texts.select("text"))["embedding"].to_numpy()
    np.testing.assert_allclose(np.stack(scored["embedding"].to_list()), expected, atol=1e-6)


def test_an_index_is_built_and_asked_by_the_command_line(
    folder: Path, package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = reviews(60).with_columns(review=pl.when(pl.col("id") == "r7").then(pl.lit(" ")).otherwise("review"))
    table.write_csv(tmp_path / "reviews.csv")
    build = [str(package), str(tmp_path / "reviews.csv"), "--column", "review", "--id", "id"]
    assert main(["index", "build", *build, "--output", str(tmp_path / "index")]) == 0
    assert "left out: 1 rows" in capsys.readouterr().out
    question = reviews(60)["title"][23]
    assert main(["index", "ask", str(tmp_path / "index"), question, "--top", "3", "--json"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    loaded = Package.load(package)
    kept = table.filter(pl.col("id") != "r7")
    vectors = loaded.predict(pl.DataFrame({"text": kept["review"]}))["embedding"].to_numpy()
    similarity = vectors @ loaded.predict({"text": [question]})["embedding"][0]
    best = np.argsort(-similarity, kind="stable")[:3]
    np.testing.assert_allclose([one["score"] for one in answer["neighbors"]], similarity[best], atol=1e-5)
    assert answer["neighbors"][0]["id"] == kept["id"][int(best[0])]
    long = reviews(130).with_columns(review=pl.lit("a film " * 60))  # of several batches
    long.write_csv(tmp_path / "long.csv")
    capsys.readouterr()
    assert main(["index", "build", build[0], str(tmp_path / "long.csv"), *build[2:], "--output", "long"]) == 0
    printed = capsys.readouterr().out
    assert "130 rows have more than" in printed
    assert printed.count("rows have more than") == 1
    more = reviews(70)[60:]
    more.write_csv(tmp_path / "more.csv")
    assert main(["index", "add", str(tmp_path / "index"), str(tmp_path / "more.csv")]) == 0
    assert Index.load(tmp_path / "index").search([more["review"][4]], top=1)[0][0].score == pytest.approx(1, abs=1e-5)


def test_an_index_is_asked_by_the_package_that_built_it_alone(
    folder: Path, package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build = [str(package), str(folder / "reviews.csv"), "--column", "review", "--id", "id"]
    assert main(["index", "build", *build, "--output", str(tmp_path / "index")]) == 0
    other = tmp_path / "other"
    shutil.copytree(package, other)
    manifest = (other / "manifest.json").read_text()
    (other / "manifest.json").write_text(manifest.replace('"complete"', '"complete" '))
    capsys.readouterr()
    assert main(["index", "ask", str(tmp_path / "index"), "a dress", "--package", str(other)]) == 2
    assert "the index was built by" in capsys.readouterr().err
    assert main(["index", "ask", str(tmp_path / "index"), " "]) == 2
    assert "a text of at least one character" in capsys.readouterr().err


def test_a_killed_build_goes_on_where_it_stopped(
    folder: Path, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(parts_module, "PART_ROWS", 50)
    monkeypatch.chdir(tmp_path)
    build = [
        "index", "build", str(package), str(folder / "reviews.csv"), "--column", "review", "--id", "id",
        "--output", "index", "--json",
    ]  # fmt: skip
    embed, calls = TextEmbedding.embed, []

    def killed(self: TextEmbedding, texts: list[str], notes: Notes) -> object:
        calls.append(len(texts))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return embed(self, texts, notes)

    monkeypatch.setattr(TextEmbedding, "embed", killed)
    assert main(build) == 130
    assert not (tmp_path / "index").exists()
    capsys.readouterr()
    assert main(build) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["rows"], result["resumed"]) == (120, 100)
    assert calls == [50, 50, 20, 20]
    assert [one.name for one in tmp_path.iterdir()] == ["index"]


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--data.positive", "pair.nothing", "feature 'pair.nothing' is not defined"),
        ("--data.max_length", "100", "takes at most 64 tokens"),
        ("--data.max_length", "2", "at least 3 needed"),
        ("--model.micro_batch_size", "0", "at least 1 is needed"),
    ],
)
def test_bad_options_are_refused(
    folder: Path, tmp_path: Path, option: str, value: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", "-c", str(folder / "fit.yaml"), "--run.root", str(tmp_path), option, value]) == 2
    assert message in capsys.readouterr().err


def test_embeddings_need_no_torch() -> None:
    code = "import sys; import lightning_app.retrieval.commands.ask; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
