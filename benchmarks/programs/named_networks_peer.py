"""neuralforecast's networks by name on ETTh1; runs in an environment of its own.

usage: named_networks_peer.py MODEL SECONDS WINDOWS STRIDE

SECONDS of CPU are the budget of the fit: a first fit of a few steps tells what a step costs, a second takes as many as the
budget buys, at most the 1,000 of the library's default. WINDOWS of one channel are in a step; STRIDE rows are between test
windows.
"""

import json
import os
import sys
import time

import numpy as np
import pandas as pd
import torch
from neuralforecast import NeuralForecast
from neuralforecast.models import NBEATS, NHITS, TFT, DeepAR, TiDE, iTransformer

torch.set_num_threads(1)
HORIZON, CHANNELS = 96, 7
TRIED_STEPS, DEFAULT_STEPS = 8, 1000
TRAIN, VAL, TEST = 8640, 11520, 14400
MODELS = {
    "nbeats": (NBEATS, 336),
    "nhits": (NHITS, 336),
    "tide": (TiDE, 336),
    "itransformer": (iTransformer, 96),
    "tft": (TFT, 96),
    "deepar": (DeepAR, 96),
}


def main(name: str, seconds: float, windows: int, stride: int) -> None:
    root = os.environ.get("LIGHTNING_APP_DATA", "data")
    wide = pd.read_csv(f"{root}/ett/ETTh1.csv", parse_dates=["date"]).iloc[:TEST]
    values = wide.drop(columns="date")
    values = (values - values.iloc[:TRAIN].mean()) / values.iloc[:TRAIN].std(ddof=0)
    long = values.assign(ds=wide["date"]).melt(id_vars="ds", var_name="unique_id", value_name="y")
    train = long[long["ds"] < wide["date"].iloc[TRAIN]]
    network, look_back = MODELS[name]
    together = network is iTransformer
    # The first fit is warm-up; two more tell the cost of a step from that of the rest.
    _, (_, few), (_, more) = (fit(name, steps, windows, train) for steps in (1, 1, 1 + TRIED_STEPS))
    of_step = (more - few) / TRIED_STEPS
    steps = min(DEFAULT_STEPS, max(1, 1 + round((seconds - few) / of_step)))
    fitted, cost = fit(name, steps, windows, train)
    answer = {
        "cpu_s": cost,
        "steps": steps,
        "default_steps": DEFAULT_STEPS,
        "windows": steps * windows,
        "look_back": look_back,
        "parameters": sum(parameter.numel() for parameter in fitted.parameters()),
    }
    print(json.dumps(answer | evaluate(fitted, values.to_numpy(np.float32), look_back, stride, together)))


def fit(name: str, steps: int, windows: int, train: pd.DataFrame) -> tuple[torch.nn.Module, float]:
    """A network of the peer after some steps, and the CPU seconds of its fit."""
    network, look_back = MODELS[name]
    together = {"n_series": CHANNELS} if network is iTransformer else {}
    model = network(
        h=HORIZON,
        input_size=look_back,
        max_steps=steps,
        windows_batch_size=windows // CHANNELS if together else windows,
        random_seed=2021,
        val_check_steps=steps,
        accelerator="cpu",
        enable_progress_bar=False,
        logger=False,
        enable_checkpointing=False,
        **together,
    )
    forecaster = NeuralForecast(models=[model], freq="h")
    started = time.process_time()
    forecaster.fit(train)
    return forecaster.models[0].eval(), time.process_time() - started


@torch.no_grad()
def evaluate(
    network: torch.nn.Module, values: np.ndarray, look_back: int, stride: int, together: bool
) -> dict[str, float]:
    """Test windows through the peer's own scaling and prediction."""
    torch.manual_seed(2021)
    windows = np.lib.stride_tricks.sliding_window_view(values[VAL - look_back :], look_back + HORIZON, axis=0)
    squared = absolute = count = 0.0
    for rows in np.array_split(np.arange(0, len(windows), stride), 8):
        batch = torch.from_numpy(np.ascontiguousarray(windows[rows])).transpose(1, 2)  # (B, L + H, C)
        if not together:
            batch = batch.transpose(1, 2).flatten(0, 1).unsqueeze(-1)  # (B * C, L + H, 1)
        past = batch[:, :look_back]
        scaled = network.scaler.transform(x=past.unsqueeze(2), mask=torch.ones_like(past).unsqueeze(2)).squeeze(2)
        predict = network._predict_step_recurrent_batch if network.RECURRENT else network._predict_step_direct_batch
        forecast = predict(
            insample_y=scaled,
            insample_mask=torch.ones_like(scaled),
            hist_exog=None,
            futr_exog=None,
            stat_exog=None,
            y_idx=0,
        )
        if network.RECURRENT:
            forecast = forecast[..., :1]  # the mean, before the quantiles
        error = forecast.reshape(len(batch), HORIZON, -1) - batch[:, look_back:]
        squared += float(error.square().sum())
        absolute += float(error.abs().sum())
        count += error.numel()
    return {"test_mse": squared / count, "test_mae": absolute / count}


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
