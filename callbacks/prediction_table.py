"""Prediction table: `predictions.parquet`, written by predict."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import Tensor
from typing_extensions import override

from datamodules.base import BaseDataModule


class PredictionTable(Callback):
    """Writes `predictions.parquet` in the trainer's default_root_dir, laid out by the data module's `prediction_table`.

    The file's metadata names the classes that `probabilities` are of, as JSON under `labels`.
    """

    def __init__(self) -> None:
        self._tables: list[pl.DataFrame] = []

    @override
    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        data = getattr(trainer, "datamodule", None)
        if isinstance(data, BaseDataModule) and isinstance(outputs, dict) and len(next(iter(outputs.values()))):
            self._tables.append(data.prediction_table({name: _plain(value) for name, value in outputs.items()}))

    @override
    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.world_size > 1:
            everyone: list[list[pl.DataFrame]] = [[] for _ in range(trainer.world_size)]
            torch.distributed.all_gather_object(everyone, self._tables)
            self._tables = [table for tables in everyone for table in tables]
        if trainer.is_global_zero and self._tables:
            path = Path(trainer.default_root_dir) / "predictions.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            data = getattr(trainer, "datamodule", None)
            names = getattr(data, "class_names", None)
            table = pl.concat(self._tables)
            if (column := getattr(data, "prediction_order", None)) is not None:
                table = table.sort(column, maintain_order=True)
            table.write_parquet(path, metadata={"labels": json.dumps(names)} if names else None)
            print(f"predictions: {path}")  # noqa: T201
            if names:
                print(f"probabilities: of {', '.join(names)}, in this order")  # noqa: T201
        elif trainer.is_global_zero and not any(isinstance(other, BasePredictionWriter) for other in _others(trainer)):
            why = "no predictions.parquet: nothing was predicted, or the data module is none of this project's"
            print(f"predictions: {why}; a BasePredictionWriter of Lightning writes them as you like")  # noqa: T201
        self._tables = []


def _others(trainer: Trainer) -> list[Callback]:
    return trainer.callbacks  # type: ignore[attr-defined,no-any-return]


def _plain(value: Tensor) -> Tensor:
    return value.float().cpu() if value.is_floating_point() else value.cpu()
