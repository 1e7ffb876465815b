"""Fits one of our configs through the command line's own code and prints steps, CPU seconds, windows or tokens.

usage: ours.py CONFIG [OPTION ...]
"""

import json
import sys
import tempfile
import time

import torch
from lightning.pytorch import Callback

from lightning_app.cli import run

torch.set_num_threads(1)
WARM_UP = 10


class Clock(Callback):
    """CPU time from the first step after the warm-up to the end of training, epoch ends and checkpoints included."""

    def __init__(self) -> None:
        self.steps = 0
        self.seconds = 0.0
        self.start = 0.0

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        if self.start == 0.0 and trainer.fit_loop.epoch_loop.total_batch_idx >= WARM_UP:
            self.start = time.process_time()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if self.start:
            self.steps += 1

    def on_train_end(self, trainer, pl_module) -> None:
        self.seconds = time.process_time() - self.start


def main(config: str, options: list[str]) -> None:
    with tempfile.TemporaryDirectory() as root:
        sys.argv = ["lightning-app"]
        callback = "--trainer.callbacks+=__main__.Clock"
        cli = run(["fit", "-c", config, *options, callback, "--run.root", root])
        (clock,) = (callback for callback in cli.trainer.callbacks if type(callback).__name__ == "Clock")
        data = cli.datamodule
        answer = {"steps": clock.steps, "cpu_s_per_step": clock.seconds / clock.steps}
        if hasattr(data, "chunk_size"):
            answer["tokens_per_cpu_s"] = clock.steps * data.batch_size * data.chunk_size / clock.seconds
        else:
            answer["windows_per_cpu_s"] = clock.steps * data.batch_size * data.num_channels / clock.seconds
    print(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
