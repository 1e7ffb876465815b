"""Materialises 10 features of 50,000 entities from 1 M events, and reads them back.

usage: online_store.py lag|window [URL]     (default: a SQLite file)
"""

import json
import random
import statistics
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from features.definitions import Aggregate, Column, Definitions, Entity, FeatureView, HistoryFeature, Lag, Source
from features.store import OnlineStore, ViewReader, materialize, open_store

EVENTS, ENTITIES, DAYS, COLUMNS = 1_000_000, 50_000, 30, 10
READS = {1: 2_000, 100: 500, 1_000: 100}


def write_events(path: Path) -> None:
    """Writes events of 30 days in order of time, as the comparison with Feast in the research notes has them."""
    rng = np.random.default_rng(0)
    seconds = np.sort(rng.integers(0, DAYS * 86_400, EVENTS))
    times = pl.Series(seconds * 1_000_000 + 1_704_067_200_000_000).cast(pl.Datetime("us"))
    values = {f"v{i}": rng.normal(size=EVENTS) for i in range(COLUMNS)}
    pl.DataFrame({"entity": rng.integers(0, ENTITIES, EVENTS), "time": times, **values}).write_parquet(path)


def definitions(kind: str, path: Path) -> Definitions:
    """Ten features: the last value of each column, or sums and means over windows of a day and a week."""
    features: dict[str, HistoryFeature] = {f"f{i}": Lag(column=f"v{i}") for i in range(COLUMNS)}
    if kind == "window":
        features = {
            f"f{i}": Aggregate(function="sum" if i % 2 else "mean", column=f"v{i}", window="1d" if i < 5 else "7d")
            for i in range(COLUMNS)
        }
    columns = {f"v{i}": Column(type="float") for i in range(COLUMNS)}
    return Definitions(
        entities={"entity": Entity(keys={"entity": "int"})},
        sources={"events": Source(time="time", path=str(path), columns=columns)},
        views={"view": FeatureView(source="events", entity="entity", features=dict(features), ttl="30d")},
    )


def read_times(reader: ViewReader, entities: int, times: int, at: datetime) -> tuple[float, float]:
    """Median and 99th percentile of reads of random entities, in milliseconds."""
    taken = []
    for _ in range(times):
        keys = [[key] for key in random.sample(range(ENTITIES), entities)]
        began = time.perf_counter()
        reader.read(keys, at=at)
        taken.append(1e3 * (time.perf_counter() - began))
    return statistics.median(taken), sorted(taken)[int(0.99 * times)]


def measure(kind: str, store: OnlineStore, path: Path) -> dict[str, object]:
    """Materialises twice, then reads."""
    defined = definitions(kind, path)
    began, cpu = time.perf_counter(), time.process_time()
    (first,) = materialize(defined, store)
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    (again,) = materialize(defined, store)
    assert (first.written, again.written) == (first.entities, 0)
    reader = ViewReader(defined, store, "view")
    at = first.until + timedelta(minutes=1)
    reads = {entities: read_times(reader, entities, times, at) for entities, times in READS.items()}
    return {"wall": wall, "cpu": cpu, "again": again.seconds, "entities": first.entities, "reads": reads}


def main(kind: str, url: str | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.parquet"
        write_events(path)
        file = Path(folder) / "store.db"
        answer = measure(kind, open_store(url or file), path)
        answer["megabytes"] = None if url else sum(one.stat().st_size for one in Path(folder).glob("store.db")) / 1e6
    print(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
