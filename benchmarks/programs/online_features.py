"""Our online store in SQLite, on what `feature_data.py` wrote.

usage: online_features.py materialize FOLDER
       online_features.py read FOLDER BATCH TIMES ENTITIES
"""

import json
import random
import statistics
import sys
import time
from pathlib import Path

from features.definitions import Definitions
from features.store import ViewReader, materialize, open_store


def write(folder: Path) -> dict[str, float]:
    for file in folder.glob("online.db*"):
        file.unlink()
    definitions = Definitions.load(folder / "features.yaml")
    wall, cpu = time.perf_counter(), time.process_time()
    store = open_store(folder / "online.db")
    (done,) = materialize(definitions, store, root=folder)
    store.close()
    seconds = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    size = sum(file.stat().st_size for file in folder.glob("online.db*"))
    return seconds | {"entities": done.entities, "bytes": size}


def read(folder: Path, batch: int, times: int, entities: int) -> dict[str, float]:
    definitions, draw = Definitions.load(folder / "features.yaml"), random.Random(0)
    reader = ViewReader(definitions, open_store(folder / "online.db"), "stats")
    walls, cpu = [], time.process_time()
    for _ in range(times):
        keys = [(draw.randrange(entities),) for _ in range(batch)]
        start = time.perf_counter()
        answer = reader.read(keys)
        walls.append(1e3 * (time.perf_counter() - start))
    assert len(answer.values) == batch
    return {
        "p50_ms": statistics.median(walls),
        "p99_ms": statistics.quantiles(walls, n=100)[98],
        "cpu_ms": 1e3 * (time.process_time() - cpu) / times,
    }


if __name__ == "__main__":
    task, place, *numbers = sys.argv[1:]
    answer = write(Path(place)) if task == "materialize" else read(Path(place), *map(int, numbers))
    print(json.dumps(answer))
