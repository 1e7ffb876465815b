"""Repeat-last on weekly CO2 with a bare Lightning `Trainer`, as its documentation teaches: the peer of a cold start.

usage: trainer_peer.py
"""

import json
import tempfile
from importlib.util import find_spec
from pathlib import Path

import lightning as L
import polars as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

LOOK_BACK, HORIZON = 312, 52


class RepeatLast(L.LightningModule):
    def forward(self, past: Tensor) -> Tensor:
        return past[:, -1:].expand(-1, HORIZON)

    def training_step(self, batch: list[Tensor], batch_idx: int) -> None:
        past, future = batch
        self.log("train/loss", nn.functional.mse_loss(self(past), future))

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        past, future = batch
        self.log("val/loss", nn.functional.mse_loss(self(past), future))

    def configure_optimizers(self) -> None:
        return None


def windows(series: Tensor) -> TensorDataset:
    unfolded = series.unfold(0, LOOK_BACK + HORIZON, 1)
    return TensorDataset(unfolded[:, :LOOK_BACK], unfolded[:, LOOK_BACK:])


def main() -> None:
    spec = find_spec("statsmodels")  # where the file lies; to import statsmodels takes a second
    assert spec is not None
    assert spec.origin is not None
    frame = pl.read_csv(Path(spec.origin).parent / "datasets" / "co2" / "co2.csv")
    series = torch.from_numpy(frame["co2"].cast(pl.Float32).forward_fill().to_numpy(writable=True))
    train, val = int(0.7 * len(series)), int(0.8 * len(series))
    series = (series - series[:train].mean()) / series[:train].std()
    with tempfile.TemporaryDirectory() as folder:
        trainer = L.Trainer(
            max_epochs=1,
            limit_train_batches=1,
            accelerator="cpu",
            logger=CSVLogger(folder),
            callbacks=[ModelCheckpoint(folder, monitor="val/loss")],
        )
        trainer.fit(
            RepeatLast(),
            DataLoader(windows(series[:train]), batch_size=32, shuffle=True),
            DataLoader(windows(series[train - LOOK_BACK : val]), batch_size=256),
        )
        loss = float(trainer.callback_metrics["val/loss"])
    print(json.dumps({"loss": loss}))


if __name__ == "__main__":
    main()
