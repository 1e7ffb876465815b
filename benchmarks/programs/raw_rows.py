"""raw_rows.py PACKAGE: milliseconds of one forecast from a window cut beforehand, and from a raw table of the same rows."""

import json
import statistics
import sys
import time
import warnings
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from lightning_app.packaging import Package

TIMES, ROUNDS = 400, 5

package = Package.load(sys.argv[1])
look_back = package.manifest.inputs[0].shape[1]
values = 350 + np.random.default_rng(0).standard_normal(look_back).cumsum()
times = [datetime(1990, 1, 6) + timedelta(weeks=index) for index in range(look_back)]
raw = pl.DataFrame({"date": times, "co2": values})
requests = {
    "window": {"past": values[None, :, None].astype(np.float32)},
    "window_table": pl.DataFrame({"past": values[None, :, None].astype(np.float32)}),
    "raw": raw,
    "raw_text": raw.with_columns(pl.col("date").dt.strftime("%Y%m%d")),
    "raw_repaired": raw.with_columns(co2=pl.when(pl.int_range(pl.len()) == 100).then(None).otherwise("co2")),
}


def milliseconds(request) -> list[float]:
    """Of each of some calls, after as many to warm up."""
    spent = []
    for index in range(TIMES // 4 + TIMES):
        start = time.perf_counter_ns()
        package.predict(request)
        if index >= TIMES // 4:
            spent.append((time.perf_counter_ns() - start) / 1e6)
    return spent


warnings.simplefilter("ignore")  # what is filled is said at each call
found = {name: [] for name in requests}
for _ in range(ROUNDS):  # in turn, so that a machine that drifts drifts for all of them
    for name, request in requests.items():
        found[name] += milliseconds(request)
print(json.dumps({"look_back": look_back, **{name: statistics.median(spent) for name, spent in found.items()}}))
