"""Materialisation from real data, and after it was killed."""

import os
import random
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import polars.testing
import pytest

from features.batch import training_table
from features.definitions import Definitions
from features.sources import Notes
from features.store import materialize, online_table, open_store
from tests.conftest import DATA, needs

RETAIL = {
    "entities": {"customer": {"keys": {"CustomerID": "int"}}, "product": {"keys": {"StockCode": "str"}}},
    "sources": {
        "lines": {
            "path": str(DATA / "online_retail/online-retail.csv.gz"),
            "time": "InvoiceDate",
            "time_format": "%Y-%m-%d %H:%M:%S",
            "columns": {
                "Quantity": {"type": "int"},
                "UnitPrice": {"type": "float"},
                "Country": {"type": "str"},
                "InvoiceNo": {"type": "str"},
            },
        }
    },
    "views": {
        "customer": {
            "source": "lines",
            "entity": "customer",
            "ttl": "180d",
            "features": {
                "lines": {"kind": "aggregate", "function": "count"},
                "units_30d": {"kind": "aggregate", "function": "sum", "column": "Quantity", "window": "30d"},
                "price_std_30d": {"kind": "aggregate", "function": "std", "column": "UnitPrice", "window": "30d"},
                "invoices_90d": {"kind": "aggregate", "function": "distinct", "column": "InvoiceNo", "window": "90d"},
                "recency": {"kind": "time_since"},
                "decayed": {"kind": "decayed", "function": "sum", "column": "Quantity", "half_life": "30d"},
                "country": {"kind": "lag", "column": "Country"},
            },
        },
        "product": {
            "source": "lines",
            "entity": "product",
            "features": {
                "max_7d": {"kind": "aggregate", "function": "max", "column": "UnitPrice", "window": "7d"},
                "price": {"kind": "lag", "column": "UnitPrice"},
            },
        },
    },
}


@pytest.mark.slow
@needs("online_retail/online-retail.csv.gz")
def test_every_customer_and_product_of_a_real_shop_is_answered_as_in_training(tmp_path: Path) -> None:
    definitions = Definitions.from_data(RETAIL)
    store = open_store(tmp_path / "store.db")
    customers, products = materialize(definitions, store)
    assert (customers.events, customers.entities, products.entities) == (406_829, 4_372, 4_070)
    lines = pl.read_csv(RETAIL["sources"]["lines"]["path"], infer_schema=False)  # type: ignore[index]
    keys = {name: lines[name].drop_nulls().unique(maintain_order=True) for name in ("CustomerID", "StockCode")}
    rows = pl.DataFrame({name: pl.concat([column, column]).head(4_372) for name, column in keys.items()})
    for at in (datetime(2011, 12, 9, 13), datetime(2011, 12, 20, 5, 6, 7), datetime(2012, 1, 31)):
        wanted = training_table(definitions, rows, at=at, reasons=True, notes=Notes())
        answered = online_table(definitions, store, rows, at=at, reasons=True, notes=Notes())
        pl.testing.assert_frame_equal(answered, wanted, rel_tol=1e-9, abs_tol=1e-9)


EVENTS = """
entities: {user: {keys: {user: int}}}
sources: {log: {path: log.parquet, time: time, columns: {x: {type: float}}}}
views:
  user:
    source: log
    entity: user
    features:
      last: {kind: lag, column: x}
      sum_1d: {kind: aggregate, function: sum, column: x, window: 1d}
"""


@pytest.mark.slow
def test_killed_at_any_moment_the_next_run_completes_it(url: str, namespace: str) -> None:
    rng = np.random.default_rng(0)
    users, seconds = rng.integers(0, 20_000, 200_000), np.sort(rng.integers(0, 30 * 86_400, 200_000))
    log = pl.DataFrame(
        {"user": users, "time": pl.Series(seconds * 1_000_000).cast(pl.Datetime("us")), "x": users * 0.5}
    )
    Path("features.yaml").write_text(EVENTS)
    words = ["features", "materialize", "features.yaml", "--store", url, "--namespace", namespace]
    command = [sys.executable, "-m", "lightning_app", *words]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    waits = random.Random(0)
    for part in (100_000, 150_000, 200_000):
        log.head(part).write_parquet("log.parquet")
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        time.sleep(waits.uniform(0.8, 3))
        process.send_signal(signal.SIGKILL)
        process.wait()
    definitions = Definitions.load("features.yaml")
    store = open_store(url)
    materialize(definitions, store, namespace=namespace)
    (again,) = materialize(definitions, store, namespace=namespace)
    assert (again.entities, again.written) == (log["user"].n_unique(), 0)
    rows = pl.DataFrame({"user": range(20_000)})
    at = datetime(1970, 1, 31, 6)
    wanted = training_table(definitions, rows, at=at, reasons=True, notes=Notes())
    answered = online_table(definitions, store, rows, at=at, reasons=True, namespace=namespace, notes=Notes())
    pl.testing.assert_frame_equal(answered, wanted, rel_tol=1e-9, abs_tol=1e-9)
