"""Ten windowed aggregates at points in time, on what `feature_data.py` wrote: polars' rolling by hand, or ours.

usage: feature_windows.py polars|ours FOLDER
"""

import json
import sys
import time
from pathlib import Path

import polars as pl

WINDOWS = {
    f"{function}_{column}": (function, column, window)
    for window, columns in (("7d", range(5)), ("30d", range(5, 10)))
    for function, column in zip(("sum", "mean", "std", "min", "max"), (f"f{number}" for number in columns), strict=True)
}
"""Name of a feature -> function, column, window."""


def by_hand(folder: Path) -> pl.DataFrame:
    events = pl.read_parquet(folder / "events.parquet")
    rows = pl.read_parquet(folder / "rows.parquet").with_row_index()
    both = pl.concat([events, rows], how="diagonal").sort("customer", "event_timestamp")
    rolled = both.with_columns(
        getattr(pl.col(column), f"rolling_{function}_by")("event_timestamp", window_size=window, closed="left")
        .over("customer")
        .alias(name)
        for name, (function, column, window) in WINDOWS.items()
    )
    asked = rolled.filter(pl.col("index").is_not_null()).sort("index")
    return asked.select("customer", "event_timestamp", *WINDOWS)


def ours(folder: Path) -> pl.DataFrame:
    from features.batch import training_table
    from features.definitions import Definitions

    content = Definitions.load(folder / "features.yaml").to_data()
    content["views"]["stats"]["features"] = {
        name: {"kind": "aggregate", "function": function, "column": column, "window": window}
        for name, (function, column, window) in WINDOWS.items()
    }
    del content["views"]["stats"]["ttl"]
    definitions = Definitions.from_data(content)
    return training_table(definitions, pl.read_parquet(folder / "rows.parquet"), at="event_timestamp", root=folder)


def main(who: str, folder: Path) -> None:
    if who == "ours":
        import features.batch  # noqa: F401  # imports do not count, for none of them
    wall, cpu = time.perf_counter(), time.process_time()
    table = {"polars": by_hand, "ours": ours}[who](folder)
    seconds = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    sums = {name: table[name].fill_nan(None).sum() for name in WINDOWS}
    print(json.dumps(seconds | {"rows": len(table), "sums": sums}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
