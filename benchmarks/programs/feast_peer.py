"""Feast with DuckDB offline and SQLite online, on what `feature_data.py` wrote; runs in an environment of its own.

usage: feast_peer.py apply|history|materialize FOLDER
       feast_peer.py read FOLDER BATCH TIMES ENTITIES
"""

import contextlib
import json
import os
import random
import statistics
import subprocess
import sys
import time
import warnings
from datetime import UTC, datetime
from pathlib import Path

warnings.simplefilter("ignore")
FEATURES = [f"stats:f{number}" for number in range(10)]


def apply() -> dict[str, float]:
    subprocess.run(
        [sys.executable, "-c", "from feast.cli.cli import cli; cli()", "apply"], check=True, stdout=sys.stderr
    )
    return {}


def history() -> dict[str, float]:
    import duckdb  # noqa: F401  # Feast loads its engine at the first question; imports do not count
    import ibis
    import pandas as pd
    import pyarrow.compute as pc
    from feast import FeatureStore
    from feast.infra.offline_stores import duckdb as engine  # noqa: F401

    ibis.duckdb  # noqa: B018
    wall, cpu = time.perf_counter(), time.process_time()
    rows = pd.read_parquet("rows.parquet")
    table = FeatureStore(repo_path=".").get_historical_features(rows, features=FEATURES).to_arrow()
    seconds = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    column = table["f0"]
    return seconds | {
        "rows": table.num_rows,
        "known": table.num_rows - column.null_count,
        "sum": pc.sum(column).as_py(),
    }


def materialize() -> dict[str, float]:
    from feast import FeatureStore

    for file in Path("data").iterdir():  # the registry too: else `apply` finds nothing to do and makes no table
        file.unlink()
    apply()
    wall, cpu = time.perf_counter(), time.process_time()
    with contextlib.redirect_stdout(sys.stderr):
        FeatureStore(repo_path=".").materialize(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 4, 1, tzinfo=UTC))
    seconds = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    return seconds | {"bytes": sum(file.stat().st_size for file in Path("data").glob("online.db*"))}


def read(batch: int, times: int, entities: int) -> dict[str, float]:
    from feast import FeatureStore

    store, draw = FeatureStore(repo_path="."), random.Random(0)
    walls, cpu = [], time.process_time()
    for _ in range(times):
        keys = [{"customer": draw.randrange(entities)} for _ in range(batch)]
        start = time.perf_counter()
        answer = store.get_online_features(features=FEATURES, entity_rows=keys).to_dict()
        walls.append(1e3 * (time.perf_counter() - start))
    assert len(answer["f0"]) == batch
    return {
        "p50_ms": statistics.median(walls),
        "p99_ms": statistics.quantiles(walls, n=100)[98],
        "cpu_ms": 1e3 * (time.process_time() - cpu) / times,
    }


if __name__ == "__main__":
    task, folder, *numbers = sys.argv[1:]
    os.chdir(folder)
    answer = {"apply": apply, "history": history, "materialize": materialize, "read": read}[task](*map(int, numbers))
    print(json.dumps(answer))
