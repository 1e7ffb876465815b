from typing import Any, ClassVar

from lightning.pytorch import Callback


class FailingCallback(Callback):
    def on_train_batch_start(self, *args: Any) -> None:
        raise RuntimeError("out of luck")


class InterruptedCallback(Callback):
    def on_train_batch_start(self, *args: Any) -> None:
        raise KeyboardInterrupt


class Recorder(Callback):
    origins: ClassVar[list[list[int]]] = []

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.origins.append(batch["origin"].tolist())


class FailsToStart(Callback):
    def on_train_start(self, *args: Any) -> None:
        raise RuntimeError("out of luck")
