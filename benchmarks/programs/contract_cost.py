"""15 rules on a table of a million rows and 13 columns: contract_cost.py make|ours|parquet|pandera|polars FOLDER."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

ROWS, TIMES = 1_000_000, 9
NUMBERS = [f"x{index}" for index in range(8)]
CODE = r"AB\d{5}"


def make(path: Path) -> None:
    rng = np.random.default_rng(0)
    times = np.datetime64("2024-01-01", "us") + np.arange(ROWS) * np.timedelta64(1, "s")
    pl.DataFrame(
        {
            "id": rng.permutation(ROWS),
            "time": times,
            "entity": rng.integers(0, 1000, ROWS),
            "code": [f"AB{number:05d}" for number in rng.integers(0, 99_999, ROWS)],
            "kind": rng.choice(["a", "b", "c"], ROWS),
            **{name: rng.normal(size=ROWS) for name in NUMBERS},
        }
    ).write_parquet(path)


def ours() -> Callable[[pl.DataFrame | pl.LazyFrame], bool]:
    from features.contracts import Allowed, Contract, Monotone, Nulls, Pattern, Range, RowCount, Unique

    contract = Contract(
        rules=(
            *(Range(column=name, min=-9, max=9) for name in NUMBERS),
            Range(column="entity", min=0, max=999),
            Nulls(column="x0"),
            Unique(columns=("id",)),
            Monotone(column="time"),
            Pattern(column="code", regex=CODE),
            Allowed(column="kind", values=("a", "b", "c")),
            RowCount(min=1000),
        )
    )
    assert len(contract.rules) == 15
    return lambda table: not contract.check(table).broken()


def pandera() -> Callable[[pl.DataFrame | pl.LazyFrame], bool]:
    import pandera.polars as pa

    is_sorted = pa.Check(lambda data: data.lazyframe.select(pl.col(data.key).is_sorted()))
    enough = pa.Check(lambda data: data.lazyframe.select(pl.len() >= 1000))
    schema = pa.DataFrameSchema(
        {
            **{name: pa.Column(float, pa.Check.in_range(-9, 9), nullable=name != "x0") for name in NUMBERS},
            "entity": pa.Column(int, pa.Check.in_range(0, 999), nullable=True),
            "id": pa.Column(int, unique=True, nullable=True),
            "time": pa.Column(pl.Datetime("us"), is_sorted, nullable=True),
            "code": pa.Column(str, pa.Check.str_matches(rf"^{CODE}$"), nullable=True),
            "kind": pa.Column(str, pa.Check.isin(["a", "b", "c"]), nullable=True),
        },
        checks=enough,
    )
    return lambda table: schema.validate(table, lazy=True) is not None


def by_hand() -> Callable[[pl.DataFrame | pl.LazyFrame], bool]:
    column = pl.col
    wrong = [
        *((~column(name).is_between(-9, 9)).any() for name in NUMBERS),
        (~column("entity").is_between(0, 999)).any().alias("entity"),
        (column("x0").null_count() > 0).alias("nulls"),
        (column("id").n_unique() < pl.len()).alias("id"),
        (~column("time").is_sorted()).alias("time"),
        (~column("code").str.contains(rf"^{CODE}$")).any().alias("code"),
        (~column("kind").is_in(["a", "b", "c"])).any().alias("kind"),
        (pl.len() < 1000).alias("rows"),
    ]
    return lambda table: not any(table.lazy().select(wrong).collect().row(0))


if __name__ == "__main__":
    kind, path = sys.argv[1], Path(sys.argv[2]) / "table.parquet"
    if kind == "make":
        make(path)
        print("{}")
        sys.exit()
    check = {"ours": ours, "parquet": ours, "pandera": pandera, "polars": by_hand}[kind]()
    table = pl.read_parquet(path) if kind != "parquet" else None
    wall, cpu = [], []
    for _ in range(TIMES):
        started = time.perf_counter(), time.process_time()
        assert check(pl.scan_parquet(path) if table is None else table)
        wall.append(time.perf_counter() - started[0])
        cpu.append(time.process_time() - started[1])
    print(json.dumps({"wall_s": sorted(wall)[TIMES // 2], "cpu_s": sorted(cpu)[TIMES // 2]}))
