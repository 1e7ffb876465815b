"""usage: drift_evidently_peer.py FOLDER

Evidently's preset for drift on the tables of drift_cost.py, in an environment of its own.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset

SHIFTED = 6


def main(folder: Path) -> None:
    tables = []
    for name in ("reference", "current"):
        columns = np.load(folder / f"{name}.npy")
        tables.append(pd.DataFrame({f"x{place}": column for place, column in enumerate(columns)}))
        del columns
    begin, cpu = time.perf_counter(), time.process_time()
    snapshot = Report([DataDriftPreset()]).run(tables[1], tables[0])
    content = snapshot.dict()
    wall, used = time.perf_counter() - begin, time.process_time() - cpu
    found = set()
    for metric in content["metrics"]:
        settings = metric.get("config", {})
        if settings.get("column") and float(metric["value"]) >= float(settings.get("threshold") or 0.1):
            found.add(settings["column"])
    shifted = {f"x{place}" for place in range(SHIFTED)}
    print(json.dumps({"wall_s": wall, "cpu_s": used, "shifted": len(shifted & found), "others": len(found - shifted)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
