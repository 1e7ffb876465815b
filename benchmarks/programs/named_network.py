"""Fits a forecasting config and prints its CPU seconds, the windows it was trained on and its error on test windows.

usage: named_network.py CONFIG STRIDE [OPTION ...]   (STRIDE: every how many rows a test window starts)
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from lightning_app.cli import run
from models import Forecaster

torch.set_num_threads(1)


def main(config: str, stride: int, options: list[str]) -> None:
    with tempfile.TemporaryDirectory() as root:
        sys.argv = ["lightning-app"]
        started = time.process_time()
        cli = run(["fit", "-c", config, *options, "--run.root", root])
        seconds = time.process_time() - started
        (checkpoint,) = Path(root).glob("*/*/checkpoints/best.ckpt")
        model = Forecaster.load_from_checkpoint(checkpoint).eval()
    data = cli.datamodule
    windows = data.dataset("test")
    rows = np.arange(0, len(windows), stride)
    squared = absolute = count = 0.0
    with torch.no_grad():
        for part in np.array_split(rows, max(1, len(rows) // 64)):
            batch = windows.__getitems__(part)
            forecast = model.point_forecast(model.to_standard_units(model.predict_step(batch, 0)["forecast"]))
            error = forecast - model.target_scale(batch["future"])
            squared += float(error.square().sum())
            absolute += float(error.abs().sum())
            count += error.numel()
    trainer = cli.trainer
    answer = {
        "cpu_s": seconds,
        "steps": trainer.global_step,
        "windows": trainer.global_step * data.batch_size * data.num_channels,
        "parameters": model.num_fitted,
        "test_mse": squared / count,
        "test_mae": absolute / count,
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
