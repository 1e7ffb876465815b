"""Ten features at points in time, on what `feature_data.py` wrote: polars' join_asof by hand, or ours.

usage: feature_table.py polars|ours FOLDER
"""

import json
import sys
import time
from pathlib import Path

import polars as pl

TTL = "7d"


def by_hand(folder: Path) -> pl.DataFrame:
    events = pl.read_parquet(folder / "events.parquet").sort("event_timestamp")
    rows = pl.read_parquet(folder / "rows.parquet").with_row_index().sort("event_timestamp")
    joined = rows.join_asof(
        events,
        on="event_timestamp",
        by="customer",
        tolerance=TTL,
        allow_exact_matches=False,
        check_sortedness=False,
    )
    return joined.sort("index").drop("index")


def ours(folder: Path) -> pl.DataFrame:
    from features.batch import training_table
    from features.definitions import Definitions

    definitions = Definitions.load(folder / "features.yaml")
    return training_table(definitions, pl.read_parquet(folder / "rows.parquet"), at="event_timestamp", root=folder)


def main(who: str, folder: Path) -> None:
    if who == "ours":
        import features.batch  # noqa: F401  # imports do not count, for none of them
    wall, cpu = time.perf_counter(), time.process_time()
    table = {"polars": by_hand, "ours": ours}[who](folder)
    seconds = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    known = table["f0"].drop_nulls()
    print(json.dumps(seconds | {"rows": len(table), "known": len(known), "sum": known.sum()}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
