"""Rows per second of a table through a small perceptron, several ways.

usage: score_table.py make FOLDER ROWS HIDDEN     a package, and a table of 32 float32
       score_table.py bare|local|ray|ray-bare FOLDER WORKERS
"""

import json
import sys
import time
from pathlib import Path

FEATURES = 32
PART_ROWS = 16_384


def make(folder: Path, rows: int, hidden: int) -> dict[str, float]:
    import numpy as np
    import polars as pl

    from tests.packages import small_package

    folder.mkdir(parents=True, exist_ok=True)
    small_package(folder / "package", columns=None, num_features=FEATURES, hidden_size=hidden)
    numbers = np.random.default_rng(0).standard_normal((rows, FEATURES), dtype=np.float32)
    pl.DataFrame({"features": numbers}).write_parquet(folder / "table.parquet", row_group_size=131_072)
    return {"rows": rows}


def session(folder: Path):  # type: ignore[no-untyped-def]  # noqa: ANN201
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return InferenceSession(str(folder / "package" / "model.onnx"), options, providers=["CPUExecutionProvider"])


def answer(model, table):  # type: ignore[no-untyped-def]  # noqa: ANN201
    import pyarrow as pa

    column = table["features"].combine_chunks() if isinstance(table, pa.Table) else table.column(0)
    values = column.flatten().to_numpy().reshape(-1, FEATURES)
    return pa.table({"price": model.run(None, {"features": values})[0]})


def bare(folder: Path, output: Path) -> None:
    """The loop that one would write by hand."""
    import pyarrow.parquet as pq

    model = session(folder)
    writer = None
    with pq.ParquetFile(folder / "table.parquet") as file:
        for batch in file.iter_batches(PART_ROWS):
            found = answer(model, batch)
            writer = writer or pq.ParquetWriter(output, found.schema)
            writer.write_table(found)
    assert writer is not None
    writer.close()


def local(folder: Path, output: Path, workers: int, engine: str) -> None:
    from lightning_app.scoring.command import run

    words = [str(folder / "package"), str(folder / "table.parquet"), "--output", str(output)]
    run(["score", *words, "--workers", str(workers), "--engine", engine])


def start_ray() -> None:
    import ray.data

    ray.init(log_to_driver=False, include_dashboard=False)


def ray_bare(folder: Path, output: Path, workers: int) -> None:
    """Ray's own way: an actor pool over a table that it reads and writes itself."""
    import ray.data

    class Answer:
        def __init__(self) -> None:
            self.model = session(folder)

        def __call__(self, table):  # type: ignore[no-untyped-def]  # noqa: ANN204
            return answer(self.model, table)

    data = ray.data.read_parquet(str(folder / "table.parquet"))
    pool = ray.data.ActorPoolStrategy(min_size=1, max_size=workers)
    data.map_batches(Answer, batch_format="pyarrow", batch_size=PART_ROWS, compute=pool).write_parquet(str(output))


def main(kind: str, folder: Path, workers: int) -> None:
    output = folder / f"{kind}.parquet"
    if kind.startswith("ray"):
        start_ray()  # both are measured from a cluster that is there
    start, cpu = time.perf_counter(), time.process_time()
    if kind == "bare":
        bare(folder, output)
    elif kind == "ray-bare":
        ray_bare(folder, output, workers)
    else:
        local(folder, output, workers, kind)
    print(json.dumps({"wall_s": time.perf_counter() - start, "cpu_s": time.process_time() - cpu}))


if __name__ == "__main__":
    if sys.argv[1] == "make":
        print(json.dumps(make(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))))
    else:
        main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
