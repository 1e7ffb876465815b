"""A LightningModule, a data module and callbacks as others write them: nothing of them is this project's."""

from typing import Any

import torch
from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torch.utils.data import DataLoader


class Plain(LightningModule):
    def __init__(
        self,
        width: int = 4,
        optimizer: OptimizerCallable = torch.optim.SGD,
        scheduler: LRSchedulerCallable = torch.optim.lr_scheduler.ConstantLR,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layer = nn.Linear(width, 1)
        self.optimizer = optimizer
        self.scheduler = scheduler

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        loss = self.layer(batch).pow(2).mean()
        self.log("loss", loss)
        return loss

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.log("valid_loss", self.layer(batch).pow(2).mean())

    def test_step(self, batch: Tensor, batch_idx: int) -> None:
        self.log("test_loss", self.layer(batch).pow(2).mean())

    def predict_step(self, batch: Tensor) -> Tensor:
        return self.layer(batch)

    def configure_optimizers(self) -> Any:
        optimizer = self.optimizer(self.parameters())
        return [optimizer], [self.scheduler(optimizer)]


class PlainData(LightningDataModule):
    def __init__(self, batch_size: int = 4, width: int = 4) -> None:
        super().__init__()
        self.batch_size = batch_size
        self.width = width

    def _loader(self) -> DataLoader:
        return DataLoader(torch.ones(16, self.width), batch_size=self.batch_size)

    train_dataloader = val_dataloader = test_dataloader = predict_dataloader = _loader


class SelfFed(Plain):
    def train_dataloader(self) -> DataLoader:
        return PlainData().train_dataloader()
