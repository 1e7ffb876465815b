"""Entities through the command line: fit, test, predict, export, score; texts of every kind to the package."""

import json
import shutil
import time
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from lightning_app.__main__ import main
from lightning_app.monitoring.report.structs import Window
from lightning_app.monitoring.windows.rows import read_rows
from lightning_app.packaging import BadRowsError, Package, PackageError, RequestError
from lightning_app.serving.inference.loaded_model import LoadedModel
from lightning_app.serving.journal.stores import open_reader
from lightning_app.serving.pages.sample_request import sample_request
from tests.conftest import only_run
from tests.lightning_app.serving.server import running_worker
from tests.text_entities import annotated_rows, write_rows
from tests.tiny_encoder import tiny_encoder

CONFIG = """
seed_everything: 1
trainer: {{max_epochs: 4, accelerator: cpu, enable_progress_bar: false}}
model:
  class_path: models.text.TokenClassifier
  init_args:
    encoder: {{class_path: models.text.PretrainedEncoder}}
    dropout: 0.0
    outside_penalty: validation
    optimizer: {{class_path: AdamW, init_args: {{lr: 0.01}}}}
    scheduler: WarmupCosine
data:
  class_path: datamodules.text.EntityDataModule
  init_args:
    train: {folder}/train.jsonl
    val: {folder}/val.jsonl
    test: {folder}/test.jsonl
    pretrained: {folder}/encoder
    column: body
    max_length: 24
    max_tokens: 240
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a fitted run, `runs`, and its package, `package`."""
    folder = tmp_path_factory.mktemp("entities")
    tiny_encoder(folder / "encoder")
    for seed, (name, count) in enumerate({"train": 120, "val": 30, "test": 40}.items()):
        rows = [{"body": row["text"], "entities": row["entities"]} for row in annotated_rows(count, seed=seed)]
        write_rows(folder / f"{name}.jsonl", rows)
    (folder / "config.yaml").write_text(CONFIG.format(folder=folder))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["fit", "-c", "config.yaml", "--run.root", "runs"]) == 0
        checkpoint = str(only_run(folder / "runs") / "checkpoints" / "best.ckpt")
        assert main(["export", checkpoint, "--output", "package"]) == 0
        yield folder


@pytest.fixture(scope="module")
def package(folder: Path) -> Package:
    return Package.load(folder / "package")


def entities(package: Package, text: str) -> list[dict[str, Any]]:
    (found,) = package.predict({"body": [text]})["entities"]
    return list(found)


def test_the_package_answers_as_predict_test_and_score_do(
    folder: Path, package: Package, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = str(only_run(folder / "runs") / "checkpoints" / "best.ckpt")
    assert main(["test", "--ckpt_path", checkpoint, "--run.root", str(tmp_path)]) == 0
    assert main(["predict", "--ckpt_path", checkpoint, "--run.root", str(tmp_path)]) == 0
    predicted = pl.read_parquet(next(folder.rglob("predictions.parquet")))
    texts = predicted.select("body")
    answered = package.predict(texts)["entities"]
    places = [[(one["start"], one["end"], one["label"]) for one in row] for row in answered.to_list()]
    assert places == [
        [(one["start"], one["end"], one["label"]) for one in row] for row in predicted["entities"].to_list()
    ]
    assert package.manifest.metrics["values"]["test/f1"] > 0.9  # names are told by how they are written
    assert package.manifest.metrics["better"]["test/f1"] == "higher"
    texts.write_csv(tmp_path / "texts.csv")
    scored = tmp_path / "scored.parquet"
    assert main(["score", str(folder / "package"), str(tmp_path / "texts.csv"), "--output", str(scored)]) == 0
    assert pl.read_parquet(scored)["entities"].to_list() == answered.to_list()


def test_offsets_are_those_of_the_text_as_given(package: Package) -> None:
    text = "😀 Zoë!\r\n\tEmma   flew\u00a0to  NEW YORK…\n東京 [SEP] Bob's"
    for one in entities(package, text):
        assert text[one["start"] : one["end"]] == one["text"] == one["text"].strip()
        assert 0 < one["score"] <= 1
    assert "Emma" in [one["text"] for one in entities(package, text)]
    assert entities(package, "") == entities(package, " \n ") == entities(package, "\u200b") == []
    with pytest.raises(ValueError, match=r"text: '\\ud83d' at character 5 is half of a surrogate pair"):
        entities(package, "Emma \ud83d")


def test_decomposed_accents_stay_inside_their_word(package: Package) -> None:
    composed, decomposed = "Emma met Zo\u00e9 in Paris .", "Emma met Zoe\u0301 in Paris ."
    for text in (composed, decomposed):
        found = entities(package, text)
        assert all(text[one["start"] : one["end"]] == one["text"] for one in found)
        assert [one["text"] for one in found if one["label"] == "place"] == ["Paris"]
    names = [
        [(one["label"], unicodedata.normalize("NFC", one["text"])) for one in entities(package, text)]
        for text in (composed, decomposed)
    ]
    assert names[0] == names[1]


def test_long_texts_lose_nothing(package: Package) -> None:
    sentence = "Emma flew to Paris . "
    short = entities(package, sentence)
    assert [one["text"] for one in short] == ["Emma", "Paris"]
    found = entities(package, sentence * 40)
    assert [one["start"] for one in found] == [one["start"] + 21 * repeat for repeat in range(40) for one in short]


def test_a_table_a_row_at_a_time_and_records_answer_the_same(package: Package) -> None:
    texts = [row["text"] for row in annotated_rows(30, seed=7)] + ["", "Emma in Rome . " * 20]
    table = package.predict(pl.DataFrame({"body": texts, "id": range(32)}))["entities"].to_list()
    records = package.predict({"body": texts})["entities"]
    for text, row, record in zip(texts, table, records, strict=True):
        alone = entities(package, text)
        places = [(one["start"], one["end"], one["text"], one["label"]) for one in alone]
        for other in (row, record):
            assert [(one["start"], one["end"], one["text"], one["label"]) for one in other] == places
            np.testing.assert_allclose([one["score"] for one in other], [one["score"] for one in alone], atol=1e-4)


def test_rows_without_a_text_are_refused_by_their_number(package: Package, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadRowsError) as error:
        package.predict(pl.DataFrame({"body": ["Emma", None, "Bob"]}))
    assert error.value.rows == {1: "body: missing"}
    with pytest.raises(RequestError, match=r"body: a column of Int64 given, texts needed"):
        package.predict(pl.DataFrame({"body": [1, 2]}))
    with pytest.raises(RequestError, match=r"body: no such column \(text\), the table has text"):
        list(package.predictor.predict_raw(pl.DataFrame({"text": ["Emma"]})))


def test_the_package_says_what_it_takes_and_answers(package: Package) -> None:
    spec = package.manifest.raw_input
    assert spec is not None
    assert [(column.name, column.type) for column in spec.columns] == [("body", "text")]
    assert package.manifest.outputs[0].columns == ("O", "B-person", "I-person", "B-place", "I-place")
    assert package.manifest.parity["raw_rows"]["rows"] > 40
    card = (package.path / "MODEL_CARD.md").read_text()
    assert "pipeline_tag: token-classification" in card
    assert "offsets count characters (Unicode code points)" in card
    reference = package.drift_reference()
    assert reference is not None
    watched = {column.plan.name for column in reference.columns}
    assert {"prediction.entities.length", "prediction.entities.label=person"} <= watched


def test_damaged_labels_of_a_package_are_refused(folder: Path, tmp_path: Path) -> None:
    from lightning_app.packaging.runtime.contents import PackageContents

    contents = PackageContents.read(folder / "package")
    changed = {
        **contents.files,
        "entities.json": json.dumps({"column": "x", "labels": ["a"], "max_length": 24}).encode(),
    }
    broken = PackageContents(contents.path, contents.digest, contents.manifest, changed)
    with pytest.raises(PackageError, match=r"entities.json: labels a, the manifest has the tags"):
        broken.predictor(num_threads=1)


def test_a_checkpoint_needs_neither_the_encoder_nor_other_labels(folder: Path, tmp_path: Path) -> None:
    checkpoint = str(only_run(folder / "runs") / "checkpoints" / "best.ckpt")
    shutil.move(folder / "encoder", tmp_path / "encoder")
    try:
        assert main(["test", "--ckpt_path", checkpoint, "--run.root", str(tmp_path)]) == 0
    finally:
        shutil.move(tmp_path / "encoder", folder / "encoder")


def test_a_server_joins_texts_and_its_journal_counts_entities(package: Package, tmp_path: Path) -> None:
    texts = [row["text"] for row in annotated_rows(24, seed=9)] + ["", "Emma in Rome . " * 20]
    expected = [[(one["start"], one["end"], one["label"]) for one in entities(package, text)] for text in texts]
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    models = [("names", package.path)]
    with running_worker(tmp_path / "worker", models, config={"journal": {"url": url}}) as worker:

        def ask(text: str) -> Any:
            answer = worker.client.post("/models/names/predict", json={"records": [{"body": text}]})
            assert answer.status_code == 200, answer.text
            return answer.json()["predictions"][0]["entities"]

        with ThreadPoolExecutor(8) as pool:
            answered = list(pool.map(ask, texts))
        assert [[(one["start"], one["end"], one["label"]) for one in row] for row in answered] == expected
        refused = worker.client.post("/models/names/predict", json={"records": [{"body": None}]})
        assert refused.status_code == 422
        assert "body: missing" in refused.text
        several = worker.client.post("/models/names/predict", json={"columns": {"body": texts[:3]}}).json()
        assert len(several["predictions"]["entities"]) == 3
        assert worker.client.get("/openapi.json").status_code == 200
        sample = sample_request(LoadedModel(package, name="names", version=None))
        assert sample is not None
        assert worker.client.post("/models/names/predict", json=sample.body).status_code == 200
    reader = open_reader(url)
    rows = read_rows(reader, "names", Window(since=0.0, until=time.time() + 60)).monitored
    reader.close()
    reference = package.drift_reference()
    assert reference is not None
    sketch = reference.sketch(rows)
    assert set(sketch.new) <= {"outcome"}  # nobody has sent one
    assert sketch.columns["prediction.entities.label=person"].count == len(rows) == len(texts) + 4


def test_data_of_other_labels_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = str(only_run(folder / "runs") / "checkpoints" / "best.ckpt")
    assert main(["test", "--ckpt_path", checkpoint, "--data.labels", "[place, person]"]) == 2
    assert "data.labels: place, person, the model was trained on others or in another order" in capsys.readouterr().err


@pytest.mark.slow
def test_a_penalty_of_outside_is_that_of_the_checkpoint_in_test_and_package(
    folder: Path, package: Package, tmp_path: Path
) -> None:
    checkpoint = only_run(folder / "runs") / "checkpoints" / "best.ckpt"
    chosen = torch.load(checkpoint, weights_only=False)["state_dict"]["decoder.penalty"]
    assert json.loads((package.path / "entities.json").read_text()).get("outside_penalty", 0.0) == float(chosen)
    # The export compares the entities of raw texts with those of the checkpoint.
    given = ["--model.outside_penalty", "20"]
    assert main(["export", str(checkpoint), "--output", str(tmp_path / "package"), "--", *given]) == 0
    greedy = Package.load(tmp_path / "package")
    assert json.loads((greedy.path / "entities.json").read_text())["outside_penalty"] == 20
    assert greedy.manifest.metrics["values"]["test/precision"] < package.manifest.metrics["values"]["test/precision"]
    assert " ".join(one["text"] for one in entities(greedy, "the film is clever")) == "the film is clever"
    assert "subtracting 20 from the log-probability of O" in (greedy.path / "MODEL_CARD.md").read_text()


@pytest.mark.slow
def test_a_package_in_eight_bits_is_measured_by_its_entities(folder: Path, tmp_path: Path) -> None:
    checkpoint = str(only_run(folder / "runs") / "checkpoints" / "best.ckpt")
    ungated = ["--max-worse", "inf", "--allow-slower"]  # which rows change in eight bits depends on the processor
    assert main(["export", checkpoint, "--output", str(tmp_path / "int8"), "--optimize", "int8", *ungated]) == 0
    package = Package.load(tmp_path / "int8")
    assert package.manifest.optimization is not None
    accuracy = package.manifest.optimization["accuracy"]
    assert accuracy["rows"] == 40
    tables = (folder / "package" / "evaluation.parquet", tmp_path / "int8" / "evaluation.parquet")
    before, after = (float(pl.read_parquet(table)["error"].to_numpy().sum()) for table in tables)
    changed = after / before - 1 if before else None if after else 0.0
    assert accuracy["worse"] == pytest.approx(changed)
    assert [one["text"] for one in entities(package, "Emma flew to Paris .")] == ["Emma", "Paris"]
