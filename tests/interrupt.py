"""A callback that ends its own process, and a program that runs many fits without importing everything each time."""

import contextlib
import json
import os
import signal
import sys
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class Interrupt(Callback):
    """Sends a signal to its own process at one batch of the whole training, if `INTERRUPT` says so."""

    def __init__(self) -> None:
        self.at, self.moment, self.signal = json.loads(os.environ.get("INTERRUPT", '[-1, "train", 9]'))

    def _strike(self, trainer: Trainer, moment: str) -> None:
        if moment == self.moment and trainer.fit_loop.epoch_loop.total_batch_idx == self.at:
            os.kill(os.getpid(), self.signal)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._strike(trainer, "train")

    def on_validation_batch_start(self, trainer: Trainer, *args: Any) -> None:
        self._strike(trainer, "validation")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._strike(trainer, "start")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._strike(trainer, "epoch end")  # before the checkpoint of the epoch's end, after that of its validation


def run_forked(jobs: list[dict[str, Any]]) -> list[int]:
    """Runs command lines one after another, each in a fork of this process.

    Args:
        jobs: `args`, and optionally `interrupt`: [batch, moment, signal].

    Returns:
        Exit code of each, negative for a signal.
    """
    import torch

    import lightning_app.cli  # noqa: F401  # what every fork would otherwise import again

    if any("graph" in word for job in jobs for word in job["args"]):
        import sklearn.neighbors  # noqa: F401

        import models.graph  # noqa: F401
    from lightning_app.__main__ import main

    codes = []
    for job in jobs:
        child = os.fork()
        if child == 0:
            os.setpgid(0, 0)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.environ["INTERRUPT"] = json.dumps(job.get("interrupt", [-1, "train", 9]))
            torch.set_num_threads(1)
            code = main(job["args"])
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # loader workers that a killed fit left behind, and that hold our pipes
    return codes


if __name__ == "__main__":
    print("CODES", json.dumps(run_forked(json.loads(sys.stdin.read()))))
