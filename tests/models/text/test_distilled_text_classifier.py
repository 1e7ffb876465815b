import copy
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models.tasks import BinaryClassification, MulticlassClassification, Regression, TabularTask
from models.text import DistilledTextClassifier, PretrainedEncoder, ReducedEncoder, TextClassifier
from tests.tiny_encoder import tiny_encoder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("tiny"))


def student(folder: Path, task: TabularTask, *, hidden_weight: float = 0.0) -> DistilledTextClassifier:
    torch.manual_seed(0)
    encoder = ReducedEncoder(pretrained=str(folder), num_layers=1, hidden_size=16, dropout=0.0, attention_dropout=0.0)
    return DistilledTextClassifier(
        encoder=encoder, task=task, teacher="none", hidden_weight=hidden_weight, temperature=3.0, dropout=0.0
    ).train()


@pytest.mark.parametrize("task", [BinaryClassification(), MulticlassClassification(num_classes=3), Regression()])
def test_the_loss_is_that_of_labels_teacher_and_token_vectors(folder: Path, task: TabularTask) -> None:
    model = student(folder, task, hidden_weight=0.5)
    owner = TextClassifier(encoder=PretrainedEncoder(pretrained=str(folder)), task=copy.deepcopy(task)).eval()
    teacher = owner.network
    model._loaded = (owner,)
    model._add_projection(32)
    ids = torch.randint(5, 90, (6, 7), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[0, 4:] = 0
    target = torch.tensor([0, 1, 0, 1, 1, 0])
    batch = {"token_ids": ids, "attention_mask": mask, "target": target if task.num_classes else target.float()}
    own, wanted = model.network(ids, mask), teacher(ids, mask)  # type: ignore[operator]
    if isinstance(task, Regression):
        owner.task.set_statistics(torch.tensor(3.0), torch.tensor(2.0))  # its rows had other numbers
        soft: Tensor = (own - (3.0 + 2.0 * wanted)).square().mean()
    else:
        two = [torch.cat([torch.zeros_like(one), one], 1) if one.shape[1] == 1 else one for one in (own, wanted)]
        p, q = ((one / 3).softmax(1) for one in two)
        soft = 9 * (q * (q / p).log()).sum(1).mean()
    hidden = model.projection(model.network.encoder(ids, mask))  # type: ignore[misc, operator, union-attr]
    vectors = teacher.encoder(ids, mask)  # type: ignore[operator, union-attr]
    apart = F.mse_loss(hidden[mask.bool()], vectors[mask.bool()])
    expected = 0.5 * task.loss(own, batch["target"]) + 0.5 * soft + 0.5 * apart
    loss = model.step(batch).loss
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert all(parameter.grad is None for parameter in teacher.parameters())  # type: ignore[union-attr]
    assert not any("teacher" in name or "_loaded" in name for name in model.state_dict())


def test_a_reduced_encoder_takes_evenly_spaced_layers_or_a_smaller_size(folder: Path) -> None:
    whole = PretrainedEncoder(pretrained=str(folder))
    reduced = ReducedEncoder(pretrained=str(folder), num_layers=1)
    assert (reduced.num_layers, reduced.hidden_size) == (1, 32)
    for (name, value), (_, other) in zip(
        whole.layers[0].state_dict().items(), reduced.layers[0].state_dict().items(), strict=True
    ):
        torch.testing.assert_close(value, other, msg=name)
    small = ReducedEncoder(pretrained=str(folder), num_layers=2, hidden_size=16)
    ids = torch.randint(5, 90, (2, 5))
    assert small(ids, torch.ones_like(ids)).shape == (2, 5, 16)
    with pytest.raises(ValueError, match="has 2; 1 to 2 are possible"):
        ReducedEncoder(pretrained=str(folder), num_layers=3)
    with pytest.raises(ValueError, match="a multiple of 8 up to 32"):
        ReducedEncoder(pretrained=str(folder), num_layers=1, hidden_size=20)
