"""Errors of a tabular model on bike_sharing/hour.csv under the protocol of scikit-learn's example of cyclic features.

usage: bike_sharing.py calendar | history

TimeSeriesSplit(5, gap=48, max_train_size=10_000, test_size=1_000); of the training rows the last 1,000 choose the epoch.
"""

import json
import sys
import tempfile
from pathlib import Path

import polars as pl
import torch

from datamodules.sources import data_root
from lightning_app.__main__ import main as app

torch.set_num_threads(1)
FOLDS, GAP, TRAIN, TEST = 5, 48, 10_000, 1_000
CALENDAR = "[calendar.hour, calendar.hour_sin, calendar.hour_cos, calendar.weekday, calendar.month_sin, calendar.month_cos, calendar.year, calendar.is_holiday, calendar.is_working_day, weather]"
HISTORY = CALENDAR.replace("]", ", past_rentals]")


def main(features: str) -> None:
    sys.argv = ["lightning-app"]
    counts = pl.read_csv(data_root(None) / "bike_sharing/hour.csv")["cnt"]
    total, largest = len(counts), int(counts.max())  # type: ignore[arg-type]
    errors = []
    for fold in range(FOLDS):
        start = total - (FOLDS - fold) * TEST
        end = start - GAP
        split = {"train": [max(0, end - TRAIN), end - TEST], "val": [end - TEST, end], "test": [start, start + TEST]}
        choice = {"class_path": "datamodules.tabular.RangeSplit", "init_args": split}
        with tempfile.TemporaryDirectory() as root:
            options = [
                "--data.split",
                json.dumps(choice),
                "--data.features",
                CALENDAR if features == "calendar" else HISTORY,
            ]
            assert app(["fit", "-c", "tabular/bike_sharing", "--run.root", root, *options]) == 0
            (run,) = (path.parent for path in Path(root).glob("*/*/config.yaml"))
            assert app(["test", "--ckpt_path", str(run / "checkpoints/best.ckpt")]) == 0
            errors.append(json.loads((run / "metrics.json").read_text())["test/mae"] / largest)
    print(json.dumps({"errors": errors}))


if __name__ == "__main__":
    main(sys.argv[1])
