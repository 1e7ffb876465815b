"""Searches 100,000 vectors of 384 numbers: index_search.py ENGINE (numpy, faiss or hnsw); prints costs as JSON."""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from lightning_app.retrieval import Index, IndexTable, build_index
from lightning_app.retrieval.exact_search import exact_search

_ROWS, _SIZE, _GROUPS, _QUERIES, _TOP = 100_000, 384, 2_000, 1_000, 10


def main(engine: str) -> None:
    if engine != "numpy":
        import faiss

        faiss.omp_set_num_threads(1)
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((_GROUPS, _SIZE)).astype(np.float32)

    def near(count: int) -> np.ndarray:
        noise = rng.standard_normal((count, _SIZE)).astype(np.float32)
        return centres[rng.integers(0, _GROUPS, count)] + 0.8 * noise

    ids = pl.DataFrame({"id": range(_ROWS), "text": [None] * _ROWS}, schema={"id": pl.Int64, "text": pl.String})
    table = IndexTable(name=("vectors", ""), rows=ids, vectors=near(_ROWS), missing=0)
    queries = near(_QUERIES)
    with tempfile.TemporaryDirectory() as place:
        start = time.process_time()
        build_index(Path(place) / "index", table, column="v", id_column="id", embedding=None, engine=engine)  # type: ignore[arg-type]
        built = time.process_time() - start
        start = time.perf_counter()
        index = Index.load(Path(place) / "index")
        index.positions(queries[:1], top=_TOP)
        loaded = time.perf_counter() - start
        one = _milliseconds(lambda: index.positions(queries[:1], top=_TOP), 51)
        many = _milliseconds(lambda: index.positions(queries, top=_TOP), 5)
        found, _ = index.positions(queries, top=_TOP)
        lengths = np.linalg.norm(queries, axis=1, keepdims=True)
        exact, _ = exact_search(index.embeddings, queries / lengths, top=_TOP)
        recall = np.mean([len(set(own) & set(best)) / _TOP for own, best in zip(found, exact, strict=True)])
    answer: dict[str, Any] = {"build_cpu_s": built, "load_s": loaded, "one_ms": one, "many_ms": many}
    print(json.dumps({**answer, "recall": float(recall)}))


def _milliseconds(search: Callable[[], object], repeats: int) -> float:
    """Median wall time."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        search()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


if __name__ == "__main__":
    main(sys.argv[1])
