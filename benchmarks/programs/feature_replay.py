"""Features of Online Retail, online: updates, reads, memory, and the replay against batch.

usage: feature_replay.py update     events per CPU second of ten windowed features, bytes of the states, time of reads
       feature_replay.py verify     all invoice lines through twenty features of online_retail.yaml, online and batch
"""

import json
import os
import statistics
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl

from features.definitions import Definitions
from features.online import OnlineView
from features.verification import verify

_HERE = Path(__file__).parent
_WINDOWED = [
    ("count", None), ("sum", "Quantity"), ("mean", "UnitPrice"), ("std", "UnitPrice"), ("max", "UnitPrice"),
]  # fmt: skip


def lines() -> pl.DataFrame:
    folder = Path(os.environ.get("LIGHTNING_APP_DATA", "data"))
    return pl.read_csv(folder / "online_retail" / "online-retail.csv.gz", infer_schema=False)


def update() -> dict[str, Any]:
    definitions = Definitions.load(_HERE / "online_retail.yaml")
    data = definitions.to_data()
    data["views"]["product"]["features"] = {
        f"{function}_{window}": {"kind": "aggregate", "function": function, "window": window}
        | ({"column": column} if column else {})
        for function, column in _WINDOWED
        for window in ("7d", "30d")
    }
    typed = lines().with_columns(
        pl.col("InvoiceDate").str.to_datetime(), pl.col("Quantity").cast(pl.Int64), pl.col("UnitPrice").cast(pl.Float64)
    )
    events = typed.rows(named=True)
    view = OnlineView("product", Definitions.from_data(data))
    begin = time.process_time()
    for event in events:
        view.update(event)
    seconds = time.process_time() - begin
    keys = view.entities()
    whole = OnlineView("product", definitions)
    for event in events:
        whole.update(event)
    at = events[-1]["InvoiceDate"]
    times = []
    for key in keys:
        begin = time.thread_time()
        whole.values(key, at)
        view.values(key, at)
        times.append(time.thread_time() - begin)
    quarter = len(events) // 4
    again = OnlineView("product", Definitions.from_data(data))
    sizes, within = [], []
    for number, event in enumerate(events, start=1):
        again.update(event)
        if number % quarter == 0:
            sizes.append(sum(len(again.dump(key)) for key in again.entities()))
            month = event["InvoiceDate"] - timedelta(days=30)
            within.append(typed[:number].filter(pl.col("InvoiceDate") >= month).height)
    return {
        "events": len(events),
        "per_cpu_s": len(events) / seconds,
        "entities": len(keys),
        "state_bytes": sizes,
        "lines_of_30_days": within,
        "read_us": 1e6 * statistics.median(times),
        "read_p99_us": 1e6 * statistics.quantiles(times, n=100)[98],
    }


def replay() -> dict[str, Any]:
    definitions = Definitions.load(_HERE / "online_retail.yaml")
    begin = time.process_time()
    report = verify(definitions, tables={"sales": lines()})
    return {
        "seconds": time.process_time() - begin,
        "views": report.events,
        "features": len(report.checks),
        "compared": sum(check.rows for check in report.checks),
        "differ": sum(check.differ for check in report.checks),
        "largest": max(check.largest for check in report.checks),
        "future_rows": sum(check.future_rows for check in report.checks),
        "moved": sum(check.moved for check in report.checks),
    }


if __name__ == "__main__":
    print(json.dumps(update() if sys.argv[1] == "update" else replay()))
