"""Draws `auto.png`: what became of the candidates of an automatic fit, and its forecast.

usage, from the project's folder: python docs/images/draw_auto.py RUN    (the folder of a run of `forecasting/auto`)
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

sys.path.insert(0, str(Path(__file__).parent.parent.parent))
from callbacks.candidate_report import draw_errors
from lightning_app.cli.trained_run import TrainedRun

SHOWN = 4


def main(run: str) -> None:
    """Writes the picture beside this file.

    Args:
        run: Folder of the run.
    """
    trained = TrainedRun(["--ckpt_path", run])
    model, data = trained.model, trained.datamodule
    data.setup("test")
    windows = data.dataset("test")
    batch = windows.__getitems__(np.array([len(windows) // 2]))
    origin = int(batch["origin"][0])
    with torch.no_grad():
        inputs = {name: batch[name] for name in ("past", *model.input_names[1:])}
        forecast = model(**inputs)[0, :, -1].numpy()
    members = {name: value[0, :, -1].numpy() for name, value in model.member_forecasts(batch).items()}
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.2), layout="constrained", width_ratios=(1, 1.25))
    figure.canvas.draw()  # the layout decides where names have room
    draw_errors(left, model.records)
    left.set_title("what the budget bought", loc="left", fontsize=11)
    past = slice(origin - SHOWN * data.horizon, origin)
    times, values = data.series.times, data.series.values[:, -1]
    coming = data.forecast_times(origin)
    right.plot(times[past], values[past], color="0.45", linewidth=1, label="history")
    for name, value in members.items():
        if not model.records[name].chosen:
            right.plot(coming, value, color="0.8", linewidth=0.8, label="tried")
    right.plot(coming, values[origin : origin + data.horizon], color="black", linewidth=1.4, label="actual")
    right.plot(coming, forecast, color="tab:orange", linewidth=1.8, label="forecast")
    right.axvline(times[origin - 1], color="0.85", linewidth=0.8, zorder=0)
    locator = AutoDateLocator(minticks=3, maxticks=7)
    right.xaxis.set_major_locator(locator)
    right.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    right.set_title(f"{data.channels[-1]}, {data.horizon} rows ahead, middle of the test", loc="left", fontsize=11)
    for side in ("top", "right"):
        right.spines[side].set_visible(False)
    handles, labels = right.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    right.legend(unique.values(), unique.keys(), frameon=False, fontsize=8, loc="upper left")
    figure.savefig(Path(__file__).with_name("auto.png"), dpi=110)


if __name__ == "__main__":
    main(sys.argv[1])
