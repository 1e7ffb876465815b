"""CPU seconds per epoch of a whole `lightning-app fit`: of one with all its epochs, less one with two.

usage: epoch_cost.py CONFIG [OPTION ...]
"""

import contextlib
import io
import json
import sys
import tempfile
import time

import torch

from lightning_app.cli import run

torch.set_num_threads(1)


def main(config: str, options: list[str]) -> None:
    with tempfile.TemporaryDirectory() as root, contextlib.redirect_stdout(io.StringIO()):

        def fit(*more: str) -> tuple[float, int]:
            start = time.process_time()
            finished = run(["fit", "-c", config, "--run.root", root, *options, *more])
            return time.process_time() - start, finished.trainer.current_epoch

        fit("--trainer.max_epochs=2")  # imports and first calls
        short, few = fit("--trainer.max_epochs=2")
        whole, many = fit()
    print(json.dumps({"cpu_s_per_epoch": (whole - short) / (many - few), "epochs": many}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
