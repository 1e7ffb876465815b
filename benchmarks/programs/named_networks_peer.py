"""neuralforecast's networks by name on ETTh1; runs in an environment of its own.

usage: named_networks_peer.py MODEL STEPS WINDOWS STRIDE   (windows of one channel in a step, rows between test windows)
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
TRAIN, VAL, TEST = 8640, 11520, 14400
MODELS = {
    "nbeats": (NBEATS, 336),
    "nhits": (NHITS, 336),
    "tide": (TiDE, 336),
    "itransformer": (iTransformer, 96),
    "tft": (TFT, 96),
    "deepar": (DeepAR, 96),
}


def main(name: str, steps: int, windows: int, stride: int) -> None:
    root = os.environ.get("LIGHTNING_APP_DATA", "data")
    wide = pd.read_csv(f"{root}/ett/ETTh1.csv", parse_dates=["date"]).iloc[:TEST]
    values = wide.drop(columns="date")
    values = (values - values.iloc[:TRAIN].mean()) / values.iloc[:TRAIN].std(ddof=0)
    long = values.assign(ds=wide["date"]).melt(id_vars="ds", var_name="unique_id", value_name="y")
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
    forecaster.fit(long[long["ds"] < wide["date"].iloc[TRAIN]])
    seconds = time.process_time() - started
    fitted = forecaster.models[0].eval()
    answer = {
        "cpu_s": seconds,
        "steps": steps,
        "windows": steps * windows,
        "look_back": look_back,
        "parameters": sum(parameter.numel() for parameter in fitted.parameters()),
    }
    print(json.dumps(answer | evaluate(fitted, values.to_numpy(np.float32), look_back, stride, bool(together))))


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
    main(sys.argv[1], *(int(word) for word in sys.argv[2:5]))
