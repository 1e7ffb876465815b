"""neuralforecast on ETTh1 under the same protocol; runs in an environment of its own.

usage: neuralforecast_peer.py MODEL STEPS [--test]
"""

import json
import os
import sys
import time

import numpy as np
import pandas as pd
import torch
from neuralforecast import NeuralForecast
from neuralforecast.losses.pytorch import MAE
from neuralforecast.models import DLinear, PatchTST
from pytorch_lightning import Callback

torch.set_num_threads(1)
WARM_UP, LOOK_BACK, HORIZON, WINDOWS = 10, 336, 96, 896
TRAIN, VAL, TEST = 8640, 11520, 14400


class Clock(Callback):
    """CPU time from the first step after the warm-up to the end of training; on the class, as the peer copies it."""

    steps = 0
    start = 0.0
    seconds = 0.0

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        if trainer.global_step == WARM_UP:
            Clock.start = time.process_time()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        Clock.steps += 1
        Clock.seconds = time.process_time() - Clock.start


def main(name: str, steps: int, test: bool) -> None:
    root = os.environ.get("LIGHTNING_APP_DATA", "data")
    wide = pd.read_csv(f"{root}/ett/ETTh1.csv", parse_dates=["date"]).iloc[:TEST]
    values = wide.drop(columns="date")
    values = (values - values.iloc[:TRAIN].mean()) / values.iloc[:TRAIN].std(ddof=0)
    long = values.assign(ds=wide["date"]).melt(id_vars="ds", var_name="unique_id", value_name="y")
    shared = {
        "h": HORIZON,
        "input_size": LOOK_BACK,
        "max_steps": steps,
        "batch_size": 7,
        "windows_batch_size": WINDOWS,
        "learning_rate": 1e-3,
        "scaler_type": "identity",
        "random_seed": 2021,
        "val_check_steps": steps,
        "accelerator": "cpu",
        "enable_progress_bar": False,
        "logger": False,
        "enable_checkpointing": False,
        "callbacks": [Clock()],
        "loss": MAE(),
        "inference_windows_batch_size": WINDOWS,
    }
    models = {
        "dlinear": lambda: DLinear(**shared),
        "patchtst": lambda: PatchTST(
            hidden_size=16,
            n_heads=4,
            linear_hidden_size=128,
            encoder_layers=3,
            dropout=0.3,
            patch_len=16,
            stride=8,
            revin=True,
            **shared,
        ),
    }
    forecaster = NeuralForecast(models=[models[name]()], freq="h")
    forecaster.fit(long[long["ds"] < wide["date"].iloc[TRAIN]])
    answer = {
        "steps": Clock.steps - WARM_UP,
        "cpu_s_per_step": Clock.seconds / (Clock.steps - WARM_UP),
        "windows_per_cpu_s": (Clock.steps - WARM_UP) * WINDOWS / Clock.seconds,
    }
    if test:
        answer |= evaluate(forecaster, values.to_numpy(np.float32))
    print(json.dumps(answer))


@torch.no_grad()
def evaluate(forecaster: NeuralForecast, values: np.ndarray) -> dict[str, float]:
    """The trained network on every test window of stride 1, straight through its forward."""
    network = forecaster.models[0].eval()
    squared = absolute = count = 0.0
    for channel in range(values.shape[1]):
        windows = np.lib.stride_tricks.sliding_window_view(values[VAL - LOOK_BACK :, channel], LOOK_BACK + HORIZON)
        for rows in np.array_split(np.arange(len(windows)), 8):
            batch = torch.from_numpy(np.ascontiguousarray(windows[rows]))
            past = batch[:, :LOOK_BACK].unsqueeze(-1)
            forecast = network(
                {
                    "insample_y": past,
                    "insample_mask": torch.ones_like(past),
                    "hist_exog": None,
                    "futr_exog": None,
                    "stat_exog": None,
                }
            )
            error = forecast.reshape(len(rows), HORIZON) - batch[:, LOOK_BACK:]
            squared += float(error.square().sum())
            absolute += float(error.abs().sum())
            count += error.numel()
    return {"test_mse": squared / count, "test_mae": absolute / count}


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), "--test" in sys.argv)
