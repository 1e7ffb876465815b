from typing import Any

from lightning.pytorch import Callback


class FailingCallback(Callback):
    def on_train_batch_start(self, *args: Any) -> None:
        raise RuntimeError("out of luck")
