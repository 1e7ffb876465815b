"""Progress with throughput: a live line in a terminal, lines of text elsewhere."""

import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from typing_extensions import override

from callbacks.live_line import LiveLine
from datamodules.base import BaseDataModule

_EPOCH_LINE_SECONDS = 1.0


class Progress(ProgressBar):
    """Shows how far training, validation, test and predict are, with metrics and samples per second.

    In a terminal one live line follows the batches; elsewhere a line is printed every ten seconds. Each epoch prints
    one line when it ends: of epochs that take less than a second the first does, the last does, and one each second.
    Samples per second are of training steps; loading and validation do not count.
    """

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True
        self._line = LiveLine()
        self._samples = 0
        self._seconds = 0.0
        self._batch_start = 0.0
        self._evaluation_start = 0.0
        self._next_epoch_line = 0.0
        self._silent_epoch = False

    @override
    def disable(self) -> None:
        self._enabled = False

    @override
    def enable(self) -> None:
        self._enabled = True

    @property
    def is_enabled(self) -> bool:
        """Whether it shows anything; `LightningModule.print` asks."""
        return self._enabled

    @override
    def print(self, *args: Any, **kwargs: Any) -> None:
        self._line.print(" ".join(str(arg) for arg in args))

    @property
    def samples_per_second(self) -> float:
        """Training throughput of this process in the current epoch."""
        return self._samples / self._seconds if self._seconds else 0.0

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._samples, self._seconds = 0, 0.0
        if self._enabled:
            self._line.begin()

    @override
    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._batch_start = time.perf_counter()

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now = time.perf_counter()
        self._seconds += now - self._batch_start
        data = getattr(trainer, "datamodule", None)
        self._samples += data.num_samples(batch) if isinstance(data, BaseDataModule) else 1
        if self._enabled and self._line.is_due(now):
            total = trainer.num_training_batches
            label, details = f"epoch {_epoch(trainer)}", self._summary(trainer)
            self._line.show(label, batch_idx + 1, total, seconds=self._seconds, details=details)

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self._enabled:
            return
        now = time.perf_counter()
        self._silent_epoch = now < self._next_epoch_line
        if not self._silent_epoch:
            self._next_epoch_line = now + _EPOCH_LINE_SECONDS
            self._print_epoch(trainer)

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._silent_epoch:
            self._print_epoch(trainer)
        self._line.stop()

    @override
    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begin_evaluation()

    @override
    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if trainer.sanity_checking:
            label, batches = "validation before training", trainer.num_sanity_val_batches
        else:
            label, batches = "validation", trainer.num_val_batches
            label = f"epoch {_epoch(trainer)} {label}" if trainer.state.fn == "fit" else label
        self._show_evaluation(label, batch_idx, batches, dataloader_idx)

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != "fit":
            self._line.stop()

    @override
    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begin_evaluation()

    @override
    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._show_evaluation("test", batch_idx, trainer.num_test_batches, dataloader_idx)

    @override
    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._line.stop()

    @override
    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begin_evaluation()

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
        self._show_evaluation("predict", batch_idx, trainer.num_predict_batches, dataloader_idx)

    @override
    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._line.stop()

    @override
    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._line.stop()

    @override
    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._line.stop()

    def _begin_evaluation(self) -> None:
        self._evaluation_start = time.perf_counter()
        if self._enabled:
            self._line.begin()

    def _show_evaluation(self, label: str, batch_idx: int, batches: list[int | float], dataloader_idx: int) -> None:
        now = time.perf_counter()
        if not self._enabled or not self._line.is_due(now):
            return
        done = batch_idx + 1 + int(sum(batches[:dataloader_idx]))
        self._line.show(label, done, float(sum(batches)), seconds=now - self._evaluation_start)

    def _print_epoch(self, trainer: Trainer) -> None:
        self._line.print(f"epoch {_epoch(trainer)}  {self._summary(trainer)}")

    def _summary(self, trainer: Trainer) -> str:
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items() if value.numel() == 1}
        shown = [f"{name} {value:.4g}" for name, value in metrics.items() if not name.endswith(("_step", "_epoch"))]
        unit = getattr(getattr(trainer, "datamodule", None), "sample_name", "samples")
        return "  ".join([*shown, f"{self.samples_per_second:,.0f} {unit}/s"])


def _epoch(trainer: Trainer) -> str:
    # current_epoch has already moved on when on_train_epoch_end is called.
    number = trainer.fit_loop.epoch_progress.current.ready
    return f"{number}/{trainer.max_epochs}" if trainer.max_epochs and trainer.max_epochs > 0 else str(number)
