"""Causal language models: adapters fitted by the command line, their checkpoint, and the package of the sum."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from lightning_app.__main__ import main
from lightning_app.packaging import Package
from models.text import CausalLanguageModel
from tests.conftest import only_run
from tests.tiny_encoder import SENTENCES, tiny_causal


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("causal")
    tiny_causal(folder / "tiny")
    texts = [*SENTENCES, None, *SENTENCES]
    pl.DataFrame({"text": texts}).write_ndjson(folder / "train.jsonl")
    pl.DataFrame({"text": SENTENCES[:4]}).write_ndjson(folder / "val.jsonl")
    (folder / "fit.yaml").write_text(
        f"""
seed_everything: 0
trainer: {{max_epochs: 4, accelerator: cpu}}
model:
  class_path: models.text.CausalLanguageModel
  init_args:
    lora_rank: 4
    lora_targets: [q_proj, v_proj, down_proj]
    top: 5
    optimizer: {{class_path: AdamW, init_args: {{lr: 0.03}}}}
data:
  class_path: datamodules.text.TextBlockDataModule
  init_args:
    text: {{class_path: TableTexts, init_args: {{train: {folder}/train.jsonl, val: {folder}/val.jsonl}}}}
    pretrained: {folder}/tiny
    block_size: 24
    batch_size: 4
"""
    )
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> Path:
    assert main(["fit", "-c", str(folder / "fit.yaml"), "--run.root", str(folder / "runs")]) == 0
    return only_run(folder / "runs")


@pytest.fixture(scope="module")
def package(folder: Path, run: Path) -> Package:
    assert main(["export", str(run), "--output", str(folder / "package")]) == 0
    return Package.load(folder / "package")


def test_a_checkpoint_holds_adapters_alone_and_loads_on_the_weights_they_belong_to(folder: Path, run: Path) -> None:
    file = run / "checkpoints" / "best.ckpt"
    state = torch.load(file, weights_only=True)["state_dict"]
    assert all("lora_" in name for name in state if name.startswith("network."))
    model = CausalLanguageModel.load_from_checkpoint(file, weights_only=True)
    for name, value in model.network.state_dict().items():
        if "lora_" in name:
            torch.testing.assert_close(value, state[f"network.{name}"])
    original = CausalLanguageModel(pretrained=str(folder / "tiny"), top=5)
    embedding = model.network.get_input_embeddings().weight
    torch.testing.assert_close(embedding, original.network.get_input_embeddings().weight)


def test_adapters_are_refused_on_other_weights(folder: Path, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(folder / "tiny", folder / "kept")
    try:
        tiny_causal(folder / "tiny", seed=1)
        assert main(["test", "--ckpt_path", str(run / "checkpoints" / "best.ckpt")]) == 2
        assert "give the model that they belong to" in capsys.readouterr().err
    finally:
        shutil.rmtree(folder / "tiny")
        (folder / "kept").rename(folder / "tiny")


def test_adapters_lower_the_perplexity_and_the_package_has_their_sum(run: Path, package: Package) -> None:
    values = package.manifest.metrics["values"]
    assert values["test/perplexity"] == pytest.approx(np.exp(values["test/loss"]), rel=1e-4)
    assert values["test/perplexity"] < 290  # 320 tokens, all alike before
    assert main(["test", "--ckpt_path", str(run / "checkpoints" / "best.ckpt")]) == 0
    tested = json.loads((run / "metrics.json").read_text())
    assert values["test/perplexity"] == pytest.approx(tested["test/perplexity"], rel=1e-3)


def test_a_package_answers_the_log_probability_of_a_text(folder: Path, run: Path, package: Package) -> None:
    from transformers import PreTrainedTokenizerFast

    text = SENTENCES[2][:40]
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tiny" / "tokenizer.json"))
    ids = torch.tensor([[0, *tokenizer(text)["input_ids"]]])
    model = CausalLanguageModel.load_from_checkpoint(run / "checkpoints" / "best.ckpt", weights_only=True).eval()
    with torch.no_grad():
        loss = model.network(input_ids=ids, labels=ids).loss.item()
        following = model.network(input_ids=ids).logits[0, -1].log_softmax(0).topk(5)
    answer = package.predict(pl.DataFrame({"text": [text, SENTENCES[0]]}))
    assert answer["log_probability"][0] == pytest.approx(-loss, rel=1e-4)
    assert answer["perplexity"][0] == pytest.approx(np.exp(loss), rel=1e-4)
    assert answer["next_tokens"][0].to_list() == following.indices.tolist()
    np.testing.assert_allclose(answer["next_log_probabilities"][0].to_numpy(), following.values, rtol=1e-4)
    assert len(answer["token_log_probabilities"][0]) == ids.shape[1]


def test_score_answers_a_column_of_texts(folder: Path, package: Package, tmp_path: Path) -> None:
    texts = pl.DataFrame({"text": [text[:16] for text in SENTENCES]})
    texts.write_ndjson(tmp_path / "texts.jsonl")
    output = tmp_path / "scored.parquet"
    assert main(["score", str(folder / "package"), str(tmp_path / "texts.jsonl"), "--output", str(output)]) == 0
    expected = package.predict(texts)
    np.testing.assert_allclose(pl.read_parquet(output)["perplexity"], expected["perplexity"], rtol=1e-5)


def test_a_package_continues_a_text(run: Path, package: Package) -> None:
    model = CausalLanguageModel.load_from_checkpoint(run / "checkpoints" / "best.ckpt", weights_only=True).eval()
    tokenizer = package.predictor.raw_input.tokenizer  # type: ignore[union-attr]
    tokens = tokenizer.encode(["the plot"]).ids.tolist()
    for _ in range(6):
        with torch.no_grad():
            token = int(model.network(input_ids=torch.tensor([tokens])).logits[0, -1].argmax())
        if token == 0:
            break
        tokens.append(token)
    assert package.generate("the plot", 6, temperature=0) == tokenizer.decode(tokens)
    assert package.generate("the plot", 6, seed=1) == package.generate("the plot", 6, seed=1)
    with pytest.raises(ValueError, match="more than 24 tokens"):
        package.generate("the plot " * 30, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model.lora_targets", "[nothing]"], "nothing given, the model has"),
        (["--model.lora_rank", "null"], "given without lora_rank"),
        (["--data.block_size", "100"], "takes at most 64 tokens"),
        (["--data.separator", "<eod>"], "'<eod>' is no token"),
        (["--data.text.column", "sentence"], "no column 'sentence'"),
    ],
)
def test_bad_options_are_refused(
    folder: Path, tmp_path: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", "-c", str(folder / "fit.yaml"), "--run.root", str(tmp_path), *options]) == 2
    assert message in capsys.readouterr().err
