from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightning_app.packaging import Package
from lightning_app.serving.v2.datatypes import datatype_of
from lightning_app.serving.v2.metadata import model_metadata, output_names
from tests.lightning_app.packaging.runtime.test_graphs import package as graphs  # noqa: F401
from tests.lightning_app.packaging.runtime.test_node_ids import TEXTS, WHOLE, written
from tests.lightning_app.packaging.runtime.test_streams import stream_package
from tests.packages import LABELS, small_package

GRAPH = {"x": np.zeros((2, 3, 2), dtype=np.float32), "edge_index": np.zeros((2, 1, 2), dtype=np.int64)}
KINDS: dict[str, tuple[Any, dict[str, Any], list[tuple[str, str, list[int]]]]] = {
    "numbers": (small_package, {"features": np.zeros((2, 4), dtype=np.float32)}, [("features", "FP32", [-1, 4])]),
    "classes": (
        lambda folder: small_package(folder, labels=LABELS),
        {"features": np.zeros((2, 4), dtype=np.float32)},
        [("features", "FP32", [-1, 4])],
    ),
    "stream of text": (
        stream_package,
        {"text": ["abc", "cab"]},
        [("text", "BYTES", [-1]), ("state_0", "FP32", [-1, 6]), ("state_1", "FP32", [-1, 6])],
    ),
    "nodes by text": (lambda folder: written(folder, TEXTS), {"node_id": TEXTS[:2]}, [("node_id", "BYTES", [-1])]),
    "nodes by number": (lambda folder: written(folder, WHOLE), {"node_id": WHOLE[:2]}, [("node_id", "INT64", [-1])]),
    "nodes by index": (lambda folder: written(folder, None), {"node_id": [0, 1]}, [("node_id", "INT64", [-1])]),
}


def _check(package: Package, request: dict[str, Any], inputs: list[tuple[str, str, list[int]]]) -> None:
    metadata = model_metadata("m", 3, package.predictor)
    assert [tuple(tensor.values()) for tensor in metadata["inputs"]] == inputs
    answer, state = package.advance(request, None)
    outputs = {spec.input: spec.output for spec in package.manifest.state}
    answer = {**answer, **{outputs[name]: array for name, array in state.items()}}
    assert [tensor["name"] for tensor in metadata["outputs"]] == list(answer) == output_names(package.manifest)
    for tensor in metadata["outputs"]:
        array = np.stack(answer[tensor["name"]]) if isinstance(answer[tensor["name"]], list) else answer[tensor["name"]]
        assert tensor["datatype"] == datatype_of(array.dtype)
        assert len(tensor["shape"]) == array.ndim
        assert all(size in (-1, given) for size, given in zip(tensor["shape"], array.shape, strict=True))


@pytest.mark.parametrize(("make", "request_", "inputs"), KINDS.values(), ids=KINDS.keys())
def test_metadata_say_what_a_model_takes_and_answers(make: Any, request_: Any, inputs: Any, tmp_path: Path) -> None:
    _check(Package.load(make(tmp_path / "package")), request_, inputs)


def test_graphs_are_described_one_per_row(graphs: Package) -> None:  # noqa: F811
    _check(graphs, GRAPH, [("x", "FP32", [-1, -1, 2]), ("edge_index", "INT64", [-1, -1, 2])])
