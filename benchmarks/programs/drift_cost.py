"""usage: drift_cost.py make FOLDER ROWS | ours FOLDER

A window of ROWS x 30 numbers, six columns moved by 0.1 standard deviations, beside the reference of as many rows.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl

COLUMNS, SHIFTED, SHIFT = 30, 6, 0.1


def make(folder: Path, rows: int) -> None:
    from lightning_app.drift.reference import build_reference

    random = np.random.default_rng(17)
    tables = [random.standard_normal((COLUMNS, rows), dtype=np.float32) for _ in range(2)]
    tables[1][:SHIFTED] += SHIFT
    for name, table in zip(("reference", "current"), tables, strict=True):
        np.save(folder / f"{name}.npy", table)
    reference = pl.DataFrame({f"x{place}": column for place, column in enumerate(tables[0])})
    built = build_reference(reference, roles=dict.fromkeys(reference.columns, "input"))
    (folder / "reference.json").write_bytes(built.to_bytes())
    print(json.dumps({"bytes": (folder / "reference.json").stat().st_size}))


def ours(folder: Path) -> None:
    from lightning_app.drift.reference import Reference
    from lightning_app.drift.report import drift_report
    from lightning_app.drift.result import DriftSettings

    columns = np.load(folder / "current.npy")
    current = pl.DataFrame({f"x{place}": column for place, column in enumerate(columns)})
    del columns
    begin, cpu = time.perf_counter(), time.process_time()
    reference = Reference.from_bytes((folder / "reference.json").read_bytes())
    result = drift_report(reference, current, settings=DriftSettings())
    wall, used = time.perf_counter() - begin, time.process_time() - cpu
    found = [column.column for column in result.columns if column.drifted]
    shifted = {f"x{place}" for place in range(SHIFTED)}
    print(
        json.dumps(
            {"wall_s": wall, "cpu_s": used, "shifted": len(shifted & set(found)), "others": len(set(found) - shifted)}
        )
    )


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        ours(Path(sys.argv[2]))
