"""Rows per second of a table through a small perceptron, several ways.

usage: score_table.py make FOLDER ROWS HIDDEN LAYERS     a package of 1 or 2 hidden layers, and a table of 32 float32
       score_table.py bare|local|ray|ray-bare FOLDER WORKERS
"""

import json
import shutil
import sys
import time
from pathlib import Path

FEATURES = 32
PART_ROWS = 16_384


def make(folder: Path, rows: int, hidden: int, layers: int) -> dict[str, float]:
    import numpy as np
    import polars as pl

    from tests.packages import small_package

    folder.mkdir(parents=True, exist_ok=True)
    if layers == 1:
        small_package(folder / "package", columns=None, num_features=FEATURES, hidden_size=hidden)
    else:
        deep_package(folder / "package", hidden)
    numbers = np.random.default_rng(0).standard_normal((rows, FEATURES), dtype=np.float32)
    pl.DataFrame({"features": numbers}).write_parquet(folder / "table.parquet", row_group_size=131_072)
    return {"rows": rows}


def deep_package(folder: Path, hidden: int) -> None:
    """Two hidden layers: what takes the time is a product of matrices, not memory."""
    import numpy as np
    from onnx import helper

    from lightning_app.packaging import TensorSpec
    from tests.packages import manifest_of, onnx_model, package_of

    rng = np.random.default_rng(0)
    shapes = {"first": (FEATURES, hidden), "second": (hidden, hidden), "third": (hidden, 1)}
    weights = {name: (rng.standard_normal(shape) / shape[0] ** 0.5).astype("f4") for name, shape in shapes.items()}
    steps = [("features", "first", "a"), ("a", "second", "b"), ("b", "third", "c")]
    nodes = []
    for source, weight, target in steps:
        nodes.append(helper.make_node("MatMul", [source, weight], [f"{target}_in"]))
        nodes.append(helper.make_node("Relu", [f"{target}_in"], [target]))
    nodes.append(helper.make_node("Squeeze", ["c", "axis"], ["price"]))
    inputs = [TensorSpec(name="features", dtype="float32", shape=("batch", FEATURES))]
    outputs = [TensorSpec(name="price", dtype="float32", shape=("batch",))]
    model = onnx_model(nodes, inputs, outputs, {**weights, "axis": np.array([1])})
    request = {"features": rng.standard_normal((4, FEATURES)).astype("f4")}
    package_of(folder, manifest_of(inputs=inputs, outputs=outputs), model, request)


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
    if output.is_dir():
        shutil.rmtree(output)
    output.unlink(missing_ok=True)  # a job whose output is there would find nothing to do
    began, began_cpu = time.perf_counter(), time.process_time()
    import onnxruntime  # noqa: F401
    import pyarrow.parquet  # noqa: F401

    if kind in ("local", "ray"):
        import lightning_app.scoring.command  # noqa: F401
    imports, imports_cpu = time.perf_counter() - began, time.process_time() - began_cpu
    if kind.startswith("ray"):
        start_ray()  # both are measured from a cluster that is there
    start, cpu = time.perf_counter(), time.process_time()
    if kind == "bare":
        bare(folder, output)
    elif kind == "ray-bare":
        ray_bare(folder, output, workers)
    else:
        local(folder, output, workers, kind)
    wall = time.perf_counter() - start
    cpu = time.process_time() - cpu
    counted = {"wall_s": wall, "cpu_s": cpu}
    print(json.dumps({**counted, "wall_with_imports_s": imports + wall, "cpu_with_imports_s": imports_cpu + cpu}))


if __name__ == "__main__":
    if sys.argv[1] == "make":
        print(json.dumps(make(Path(sys.argv[2]), *map(int, sys.argv[3:6]))))
    else:
        main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
