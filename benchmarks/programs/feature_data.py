"""Events, rows to ask about, and the same ten features as a Feast repository and as our definitions.

usage: feature_data.py FOLDER EVENTS ENTITIES ROWS
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

NUM_FEATURES = 10
FEATURES = [f"f{number}" for number in range(NUM_FEATURES)]
START = datetime(2024, 1, 1, tzinfo=UTC)
DAYS, TTL_DAYS = 90, 7

STORE = """
project: shop
provider: local
registry: data/registry.db
online_store: {type: sqlite, path: data/online.db}
offline_store: {type: duckdb}
entity_key_serialization_version: 3
"""
REPO = f"""
from datetime import timedelta

from feast import Entity, FeatureView, Field, FileSource
from feast.types import Float64, Int64

customer = Entity(name="customer", join_keys=["customer"])
events = FileSource(name="events", path="events.parquet", timestamp_field="event_timestamp")
stats = FeatureView(
    name="stats",
    entities=[customer],
    ttl=timedelta(days={TTL_DAYS}),
    schema=[Field(name="customer", dtype=Int64)] + [Field(name=f"f{{i}}", dtype=Float64) for i in range({NUM_FEATURES})],
    source=events,
)
"""


def definitions() -> str:
    """Our definitions; the newest value is what a field of Feast is."""
    columns = "".join(f"      {name}: {{type: float}}\n" for name in FEATURES)
    features = "".join(f"      {name}: {{kind: lag, column: {name}}}\n" for name in FEATURES)
    return (
        "entities:\n  customer: {keys: {customer: int}}\n"
        f"sources:\n  events:\n    path: events.parquet\n    time: event_timestamp\n    columns:\n{columns}"
        f"views:\n  stats:\n    entity: customer\n    source: events\n    ttl: {TTL_DAYS}d\n    features:\n{features}"
    )


def times(rng: np.random.Generator, count: int, *, offset: int) -> pl.Series:
    """Times in microseconds of which those of the events are even and those of the rows odd: none are equal."""
    microseconds = rng.integers(0, DAYS * 86_400_000_000 // 2, count) * 2 + offset
    return pl.Series(microseconds).cast(pl.Duration("us")) + pl.Series([START]).cast(pl.Datetime("us", "UTC"))


def main(folder: Path, num_events: int, entities: int, num_rows: int) -> None:
    rng = np.random.default_rng(0)
    (folder / "data").mkdir(parents=True, exist_ok=True)
    events = {
        "customer": rng.permutation(np.arange(num_events) % entities),
        "event_timestamp": times(rng, num_events, offset=0),
    }
    pl.DataFrame(events | {name: rng.standard_normal(num_events) for name in FEATURES}).write_parquet(
        folder / "events.parquet"
    )
    rows = {"customer": rng.integers(0, entities, num_rows), "event_timestamp": times(rng, num_rows, offset=1)}
    pl.DataFrame(rows).write_parquet(folder / "rows.parquet")
    (folder / "feature_store.yaml").write_text(STORE)
    (folder / "shop.py").write_text(REPO)
    (folder / "features.yaml").write_text(definitions())
    print(json.dumps({"bytes": (folder / "events.parquet").stat().st_size}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:5]))
