"""Progress with throughput: a live line in a terminal, one line per epoch elsewhere."""

import sys
import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from typing_extensions import override

from datamodules.base import BaseDataModule

_REFRESH_SECONDS = 0.2
_LINE_SECONDS = 1.0


class Progress(ProgressBar):
    """Shows epoch, metrics and samples per second of training steps; loading and validation do not count.

    In a terminal a live line follows the batches; each epoch prints one line when it ends. Of epochs that take less
    than a second not all print theirs: the first does, the last does, and one each second.
    """

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True
        self._console = Console(file=sys.stdout, soft_wrap=True)
        self._live: RichProgress | None = None
        self._samples = 0
        self._seconds = 0.0
        self._batch_start = 0.0
        self._next_refresh = 0.0
        self._next_line = 0.0
        self._silent_epoch = False

    @override
    def disable(self) -> None:
        self._enabled = False

    @override
    def enable(self) -> None:
        self._enabled = True

    @override
    def print(self, *args: Any, **kwargs: Any) -> None:
        self._console.print(*args)

    @property
    def samples_per_second(self) -> float:
        """Training throughput of this process in the current epoch."""
        return self._samples / self._seconds if self._seconds else 0.0

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not (self._enabled and self._console.is_terminal):
            return
        self._live = RichProgress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[metrics]}"),
            console=self._console,
            transient=True,
            auto_refresh=False,
        )
        self._live.start()
        self._live.add_task("fit", total=None, epoch="", metrics="")

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._samples, self._seconds = 0, 0.0

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
        if self._live is not None and now >= self._next_refresh:
            self._next_refresh = now + _REFRESH_SECONDS
            self._show(trainer, batch_idx + 1)

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self._enabled:
            return
        if self._live is not None:
            self._show(trainer, int(trainer.num_training_batches))
        now = time.perf_counter()
        self._silent_epoch = now < self._next_line
        if not self._silent_epoch:
            self._next_line = now + _LINE_SECONDS
            self._print_epoch(trainer)

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._silent_epoch:
            self._print_epoch(trainer)
        self._stop()

    def _print_epoch(self, trainer: Trainer) -> None:
        self._console.print(f"epoch {_epoch(trainer)}  {self._summary(trainer)}", highlight=False)

    @override
    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._stop()

    @override
    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._stop()

    def _show(self, trainer: Trainer, done: int) -> None:
        assert self._live is not None
        self._live.update(
            self._live.task_ids[0],
            completed=done,
            total=trainer.num_training_batches,
            epoch=_epoch(trainer),
            metrics=self._summary(trainer),
        )
        self._live.refresh()

    def _summary(self, trainer: Trainer) -> str:
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items() if value.numel() == 1}
        shown = [f"{name} {value:.4g}" for name, value in metrics.items() if not name.endswith(("_step", "_epoch"))]
        unit = getattr(getattr(trainer, "datamodule", None), "sample_name", "samples")
        return "  ".join([*shown, f"{self.samples_per_second:,.0f} {unit}/s"])

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def _epoch(trainer: Trainer) -> str:
    # current_epoch has already moved on when on_train_epoch_end is called.
    number = trainer.fit_loop.epoch_progress.current.ready
    return f"{number}/{trainer.max_epochs}" if trainer.max_epochs and trainer.max_epochs > 0 else str(number)
