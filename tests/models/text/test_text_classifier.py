"""Fine-tuning of a pretrained encoder: freezing, rates per depth, poolings, checkpoints, and what is refused."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from models.pretrained_files import CHECKPOINT_KEY, checkpoint_follows
from models.tasks import BinaryClassification, MulticlassClassification, Regression, TabularTask
from models.text import (
    AdversarialTraining,
    AttentionPooling,
    ClsPooling,
    MeanPooling,
    PretrainedEncoder,
    TextClassifier,
)
from tests.tiny_encoder import tiny_encoder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture
def tokens() -> dict[str, Tensor]:
    ids = torch.randint(4, 150, (4, 9), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    return {"token_ids": ids, "attention_mask": mask}


def _classifier(folder: Path, task: TabularTask | None = None, pooling: nn.Module | None = None) -> TextClassifier:
    torch.manual_seed(0)
    return TextClassifier(
        encoder=PretrainedEncoder(pretrained=str(folder)), task=task or BinaryClassification(), pooling=pooling
    ).eval()


@pytest.mark.parametrize("pooling", [None, ClsPooling(), MeanPooling(), AttentionPooling(hidden_size=32)])
def test_padding_does_not_change_an_answer(folder: Path, tokens: dict[str, Tensor], pooling: nn.Module | None) -> None:
    model = _classifier(folder, pooling=pooling)
    padded = {name: nn.functional.pad(value, (0, 7)) for name, value in tokens.items()}
    torch.testing.assert_close(model(**padded), model(**tokens))


def test_the_mean_leaves_out_padding() -> None:
    hidden = torch.tensor([[[1.0], [3.0], [100.0]]])
    mask = torch.tensor([[1, 1, 0]])
    assert MeanPooling()(hidden, mask).item() == 2.0
    assert AttentionPooling(hidden_size=1)(hidden, mask).item() == 2.0
    assert ClsPooling()(hidden, mask).item() == 1.0


@pytest.mark.parametrize(
    ("task", "shape"),
    [(BinaryClassification(), (4, 2)), (MulticlassClassification(num_classes=3), (4, 3)), (Regression(), (4,))],
)
def test_tasks_of_tables_are_tasks_of_texts(
    folder: Path, tokens: dict[str, Tensor], task: TabularTask, shape: tuple[int, ...]
) -> None:
    assert _classifier(folder, task)(**tokens).shape == shape


def test_frozen_parts_get_no_gradient_no_dropout_and_no_backward_pass(folder: Path, tokens: dict[str, Tensor]) -> None:
    encoder = PretrainedEncoder(pretrained=str(folder), frozen_layers=1, dropout=0.5).train()
    seen: list[Tensor] = []
    encoder.layers[0].register_forward_hook(lambda _m, _i, output: seen.append(output))
    encoder(**tokens).sum().backward()
    encoder(**tokens)
    assert not seen[0].requires_grad
    torch.testing.assert_close(seen[0], seen[1])
    with_gradient = {name.split(".")[2] for name, one in encoder.network.named_parameters() if one.grad is not None}
    assert with_gradient == {"1"}
    assert all(one.grad is not None for one in encoder.parameters() if one.requires_grad)


def test_a_depth_learns_at_its_own_rate(folder: Path) -> None:
    model = _classifier(folder)
    model.network.encoder.layer_decay = 0.5  # type: ignore[union-attr, assignment]
    model.optimizer_factory = lambda parameters: torch.optim.AdamW(parameters, lr=0.01)
    optimizer = model.configure_optimizers()
    assert isinstance(optimizer, torch.optim.AdamW)
    rates = [(group["lr"], group["weight_decay"]) for group in optimizer.param_groups]
    assert rates == [(lr, decay) for lr in (0.00125, 0.0025, 0.005) for decay in (0.01, 0.0)] + [(0.01, 0.01)]


def test_an_encoder_comes_in_training_as_other_networks_do(folder: Path) -> None:
    assert all(part.training for part in PretrainedEncoder(pretrained=str(folder)).modules())


def test_gradient_checkpointing_changes_no_gradient(folder: Path, tokens: dict[str, Tensor]) -> None:
    gradients = []
    for checkpointing in (False, True):
        encoder = PretrainedEncoder(
            pretrained=str(folder),
            frozen_layers=0,
            dropout=0.0,
            attention_dropout=0.0,
            gradient_checkpointing=checkpointing,
        ).train()
        encoder(**tokens).square().sum().backward()
        gradients.append([one.grad for one in encoder.parameters() if one.requires_grad])
    torch.testing.assert_close(gradients[0], gradients[1])


def test_dropout_of_the_config_can_be_replaced(folder: Path) -> None:
    encoder = PretrainedEncoder(pretrained=str(folder), dropout=0.3, attention_dropout=0.0)
    rates = {type(owner).__name__: part.p for owner in encoder.modules() for part in owner.children()
             if isinstance(part, nn.Dropout)}  # fmt: skip
    assert rates == {"BertEmbeddings": 0.3, "BertSelfAttention": 0.0, "BertSelfOutput": 0.3, "BertOutput": 0.3}


def test_a_checkpoint_keeps_config_and_tokenizer_and_loads_without_the_folder(
    folder: Path, tmp_path: Path, tokens: dict[str, Tensor]
) -> None:
    copy = tmp_path / "model"
    shutil.copytree(folder, copy)
    model = _classifier(copy)
    checkpoint: dict[str, object] = {"state_dict": model.state_dict()}
    model.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, tmp_path / "model.ckpt")
    assert set(checkpoint[CHECKPOINT_KEY][str(copy.resolve())]) == {"config.json", "tokenizer.json"}  # type: ignore[index]
    shutil.rmtree(copy)
    with checkpoint_follows(tmp_path / "model.ckpt"):
        restored = _classifier(copy)
    restored.load_state_dict(model.state_dict())
    torch.testing.assert_close(restored(**tokens), model(**tokens))
    with pytest.raises(ValueError, match="no such folder"):
        _classifier(copy)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"frozen_layers": 3}, r"model.encoder.frozen_layers: 3 given, .* has 2 layers; 0 freezes the embeddings"),
        ({"layer_decay": 0.0}, "model.encoder.layer_decay: 0.0 given, above 0 and at most 1 is needed"),
        ({"dropout": 1.0}, "model.encoder.dropout: 1.0 given"),
    ],
)
def test_arguments_out_of_range_are_refused(folder: Path, arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PretrainedEncoder(pretrained=str(folder), **arguments)  # type: ignore[arg-type]


def test_a_folder_without_weights_is_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "config.json", tmp_path)
    with pytest.raises(ValueError, match=r"model.encoder.pretrained: .* holds no weights: no model.safetensors"):
        PretrainedEncoder(pretrained=str(tmp_path))


def test_weights_that_would_stay_random_are_refused(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copy(folder / "config.json", tmp_path)
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"lacks 1 weights of BertModel, such as encoder.layer.1.output.dense.weight"):
        PretrainedEncoder(pretrained=str(tmp_path))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (SimpleNamespace(vocab_size=1000), "its tokenizer has 1,000 tokens, the encoder .* only 183"),
        (SimpleNamespace(max_length=65), "data.max_length: 65 given, the encoder .* takes at most 64 tokens"),
    ],
)
def test_data_of_other_tokens_are_refused(folder: Path, data: SimpleNamespace, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PretrainedEncoder(pretrained=str(folder)).check_data(data)


def _trained(
    folder: Path, task: TabularTask, adversarial: AdversarialTraining | None, head_lr_scale: float = 1.0
) -> TextClassifier:
    torch.manual_seed(0)
    return TextClassifier(
        encoder=PretrainedEncoder(pretrained=str(folder), dropout=0.0, attention_dropout=0.0),
        task=task,
        dropout=0.0,
        adversarial=adversarial,
        head_lr_scale=head_lr_scale,
    ).train()


def test_the_head_learns_at_its_own_rate(folder: Path) -> None:
    model = _trained(folder, BinaryClassification(), None, head_lr_scale=20.0)
    model.optimizer_factory = lambda parameters: torch.optim.AdamW(parameters, lr=0.01)
    optimizer = model.configure_optimizers()
    assert isinstance(optimizer, torch.optim.AdamW)
    rates = {id(one): group["lr"] for group in optimizer.param_groups for one in group["params"]}
    output = model.network.output  # type: ignore[union-attr]
    assert {rates[id(one)] for one in output.parameters()} == {0.2}  # type: ignore[union-attr]
    assert set(rates.values()) == {0.2, 0.01}


@pytest.mark.parametrize(
    ("task", "target", "consistency"),
    [
        (BinaryClassification(), torch.tensor([0, 1, 1, 0]), 1.0),
        (MulticlassClassification(num_classes=3), torch.tensor([0, 1, 2, 0]), 1.0),
        (Regression(), torch.tensor([0.5, 1.0, -2.0, 0.0]), 0.0),
    ],
)
def test_moved_texts_are_harder_than_texts_moved_by_chance(
    folder: Path, tokens: dict[str, Tensor], task: TabularTask, target: Tensor, consistency: float
) -> None:
    model = _trained(folder, task, AdversarialTraining(size=0.2, consistency=0.0))
    batch = {**tokens, "target": target}
    plain = task.loss(model.network(**tokens), target).item()
    moved = model.step(batch).loss.item() - plain
    embeddings = model.network.encoder.token_embeddings(tokens["token_ids"])  # type: ignore[union-attr, operator]
    embeddings = embeddings * tokens["attention_mask"].unsqueeze(-1)
    noise = torch.randn_like(embeddings)
    noise = 0.2 * embeddings.norm(dim=(1, 2), keepdim=True) * noise / noise.norm(dim=(1, 2), keepdim=True)
    assert moved > plain
    assert moved > task.loss(model.network(**tokens, added=noise), target).item()
    assert model.adversarial is not None
    model.adversarial.consistency = consistency
    output = model.step(batch)
    assert (output.loss.item() > plain + moved) == bool(consistency)
    torch.testing.assert_close(output.predictions, task.predict(model.network(**tokens)))
    output.loss.backward()
    assert all(one.grad is not None for one in model.network.parameters())


def test_adversarial_training_is_for_training_alone(folder: Path, tokens: dict[str, Tensor]) -> None:
    batch = {**tokens, "target": torch.tensor([0, 1, 1, 0])}
    models = [_trained(folder, BinaryClassification(), one).eval() for one in (None, AdversarialTraining())]
    with torch.no_grad():
        losses = [model.step(batch).loss for model in models]
    assert torch.equal(*losses)
    assert set(models[0].state_dict()) == set(models[1].state_dict())


def test_adversarial_training_that_cannot_be_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"model.adversarial.size: 0 given, a number above 0"):
        AdversarialTraining(size=0)
    with pytest.raises(ValueError, match=r"consistency: 1.0 given, but Regression answers no single class; give 0"):
        _trained(folder, Regression(), AdversarialTraining())
    encoder = nn.Embedding(10, 4)
    encoder.hidden_size, encoder.vocab_size = 4, 10  # type: ignore[assignment]
    with pytest.raises(ValueError, match=r"model.adversarial: Embedding has no method token_embeddings"):
        TextClassifier(encoder=encoder, task=BinaryClassification(), adversarial=AdversarialTraining())
