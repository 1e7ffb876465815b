"""Fits the automatic portfolio to one set after the other, and tests its choice and each of its members.

usage: automatic.py FOLDER NAME=BUDGET ...

Runs are kept below FOLDER. Names are those of `SETS`; budgets are CPU seconds.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import torch

from datamodules.sources import data_root
from lightning_app.__main__ import main as app
from lightning_app.cli import run

torch.set_num_threads(1)
KNOWN = ["holiday", "weekday", "workingday", "hr", "mnth"]
WEATHER = ["weathersit", "temp", "hum", "windspeed"]


def bike_sharing(folder: Path) -> list[str]:
    """Rentals by the hour; the calendar's columns are known ahead, the weather is not."""
    table = pl.read_csv(data_root(None) / "bike_sharing/hour.csv")
    time_of = pl.col("dteday") + pl.format(" {}:00", pl.col("hr").cast(pl.String).str.zfill(2))
    table.select(time_of.alias("time"), "cnt", *KNOWN, *WEATHER).write_csv(folder / "bike.csv")
    return [
        "--data.series.path", str(folder / "bike.csv"), "--data.series.channels", '["cnt"]',
        "--data.series.future_covariates", json.dumps(KNOWN), "--data.series.past_covariates", json.dumps(WEATHER),
    ]  # fmt: skip


def electricity(folder: Path) -> list[str]:
    """Price of half-hours, in rows without a date: the steps are those of the set's description."""
    table = pl.read_csv(data_root(None) / "electricity/electricity.csv")
    times = np.datetime64("1996-05-07T00:00") + np.arange(len(table)) * np.timedelta64(30, "m")
    times = times.astype("datetime64[us]")
    pl.DataFrame({"time": times, "price": table["nswprice"]}).write_csv(folder / "electricity.csv")
    return ["--data.series.path", str(folder / "electricity.csv")]


SETS: dict[str, Callable[[Path], list[str]]] = {
    "exchange": lambda _: ["--data.series", "ExchangeRate", "--data.horizon", "96"],
    "bike_sharing": bike_sharing,
    "electricity": electricity,
    "co2": lambda _: ["--data.series", "WeeklyCO2", "--data.horizon", "52"],
    "vix": lambda _: ["--data.series", "DailyMarket", "--data.series.symbol", "vix", "--data.horizon", "21"],
}


def measure(name: str, budget: str, folder: Path) -> dict[str, object]:
    """What the choice and each member score on the test split of one set."""
    before = time.process_time()
    options = SETS[name](folder)
    words = ["--run.name", name, "--run.root", str(folder), "--run.budget", budget]
    assert app(["fit", "-c", "forecasting/auto", *words, *options]) == 0
    seconds = time.process_time() - before
    (fitted,) = (folder / name).iterdir()
    cli = run(["test", "--ckpt_path", str(fitted)])
    model, data = cli.model, cli.datamodule
    sums: dict[str, float] = {}
    windows = data.dataset("test")
    for indices in np.array_split(np.arange(len(windows)), -(-len(windows) // 256)):
        batch = windows.__getitems__(indices)
        future = model.target_scale(batch["future"])
        for member, forecast in model.member_forecasts(batch).items():
            squared = (model.target_scale(forecast) - future).square().double().mean()
            sums[member] = sums.get(member, 0.0) + float(squared) * len(indices) / len(windows)
    record = json.loads((fitted / "candidates.json").read_text())
    return {
        "name": name,
        "budget": float(budget),
        "cpu_seconds": seconds,
        "mse": json.loads((fitted / "metrics.json").read_text())["test/mse"],
        "members": sums,
        "look_back": data.look_back,
        "horizon": data.horizon,
        **record,
    }


def main(folder: str, *jobs: str) -> None:
    sys.argv = ["lightning-app"]
    found = []
    for job in jobs:
        name, _, budget = job.partition("=")
        found.append(measure(name, budget, Path(folder)))
        print(json.dumps(found[-1]), flush=True)
    print(json.dumps({"sets": found}))


if __name__ == "__main__":
    main(*sys.argv[1:])
