from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import DataLoader

from callbacks import WeightAverage


class OneWeight(LightningModule):
    """w rises by 1 at each step; the trajectory is known."""

    def __init__(self) -> None:
        super().__init__()
        self.w = torch.nn.Parameter(torch.zeros(1))
        self.register_buffer("count", torch.zeros(1))
        self.validated: list[float] = []
        self.trained: list[float] = []

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        self.trained.append(self.w.item())
        self.count += 1
        return -self.w.sum()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.validated.append(self.w.item())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1.0)


def fit(module: OneWeight, callback: WeightAverage, tmp_path: Path, epochs: int = 2) -> Trainer:
    loader = DataLoader(torch.zeros(4, 1))
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        callbacks=[callback],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
        num_sanity_val_steps=0,
    )
    trainer.fit(module, loader, DataLoader(torch.zeros(1, 1)))
    return trainer


def expected_average(steps: int, decay: float) -> float:
    average = 0.0
    for step in range(1, steps + 1):
        kept = min(decay, (1 + step) / (10 + step))
        average = kept * average + (1 - kept) * step
    return average


def test_validation_sees_the_average_and_training_the_weights(tmp_path: Path) -> None:
    module = OneWeight()
    fit(module, WeightAverage(decay=0.9), tmp_path)
    assert module.validated == pytest.approx([expected_average(4, 0.9), expected_average(8, 0.9)], rel=1e-5)
    assert module.trained == list(range(8))


def test_the_average_is_left_in_the_module_and_in_the_checkpoint(tmp_path: Path) -> None:
    module = OneWeight()
    trainer = fit(module, WeightAverage(decay=0.9), tmp_path)
    assert module.w.item() == pytest.approx(expected_average(8, 0.9), rel=1e-5)
    (path,) = tmp_path.rglob("*.ckpt")
    checkpoint = torch.load(path, weights_only=True)
    assert checkpoint["state_dict"]["w"].item() == pytest.approx(expected_average(8, 0.9), rel=1e-5)
    assert checkpoint["trained_weights"]["w"].item() == 8
    assert checkpoint["state_dict"]["count"].item() == 8
    assert trainer.global_step == 8


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_a_decay_outside_its_range_is_refused(decay: float) -> None:
    with pytest.raises(ValueError, match="decay"):
        WeightAverage(decay=decay)
