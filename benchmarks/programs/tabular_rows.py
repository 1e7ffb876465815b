"""tabular_rows.py FOLDER: milliseconds of requests of raw rows, features by row and with history from an online store."""

import json
import os
import statistics
import sys
import time
import warnings
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from features.pipeline import FeaturePipeline
from features.store import materialize, open_store
from lightning_app.__main__ import main
from lightning_app.packaging import Package
from tests.families import HEAD, TABULAR, write_shops

SHOPS, CALLS, WARM_UP = 20_000, 400, 50
AT = datetime(2024, 5, 2, 6, 30)
BY_ROW = ["day.given_price", "day.in_stock", "day.weather_class", "day.weekday", "day.usual_of_shop"]

folder = Path(sys.argv[1])
os.chdir(folder)
write_shops(folder)
print_to = sys.stdout
sys.stdout = sys.stderr
for name, chosen in (("by_row", f"    features: [{', '.join(BY_ROW)}]\n"), ("history", "")):
    Path(f"{name}.yaml").write_text(HEAD + TABULAR + chosen)
    for words in (
        ("fit", "-c", f"{name}.yaml", "--run.root", f"{name}_runs"),
        ("export", "best", "-c", f"{name}.yaml", "--output", name, "--", "--run.root", f"{name}_runs"),
    ):
        assert main(words) == 0
sys.stdout = print_to
rng = np.random.default_rng(0)
log = pl.DataFrame(
    {
        "shop": [f"s{shop}" for shop in np.repeat(np.arange(SHOPS), 6)],
        "date": np.datetime64("2024-04-01", "us") + rng.integers(0, 28 * 86_400 * 10**6, 6 * SHOPS),
        "sold": rng.normal(20, 3, 6 * SHOPS),
    }
)
history, by_row = Package.load("history"), Package.load("by_row")
store = open_store(folder / "features.db")
definitions = FeaturePipeline.from_json((folder / "history" / "features.json").read_bytes()).definitions
list(materialize(definitions, store, tables={"sales": log}))
joined = history.with_store(store)


def columns(count: int) -> dict[str, list]:
    """A request of some shops, others in each call."""
    shops = [f"s{shop}" for shop in rng.integers(0, SHOPS, count)]
    return {
        "shop": shops,
        "date": ["2024-05-02T06:30"] * count,
        "price": [1.5] * count,
        "stock": [60.0] * count,
        "weather": ["sun"] * count,
    }


def milliseconds(package: Package, count: int, at: datetime | None = None) -> tuple[float, float]:
    """Median of a call, and of its processor time."""
    requests = [columns(count) for _ in range(CALLS + WARM_UP)]
    walls, cpus = [], []
    for request in requests:
        wall, cpu = time.perf_counter_ns(), time.process_time_ns()
        package.predict(request, at=at)
        walls.append(time.perf_counter_ns() - wall)
        cpus.append(time.process_time_ns() - cpu)
    return statistics.median(walls[WARM_UP:]) / 1e6, statistics.median(cpus[WARM_UP:]) / 1e6


warnings.simplefilter("ignore")
print(
    json.dumps(
        {
            "shops": SHOPS,
            "calls": CALLS,
            **{f"by_row_{count}": milliseconds(by_row, count) for count in (1, 100, 1000)},
            **{f"store_{count}": milliseconds(joined, count, at=AT) for count in (1, 100, 1000)},
        }
    )
)
