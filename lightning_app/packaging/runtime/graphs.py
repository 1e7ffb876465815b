"""Graph layout: packs the graphs of a request (one per row) into one disconnected graph per call."""

from collections.abc import Iterator, Mapping

import numpy as np

from lightning_app.packaging.format.errors import PackageError, RequestError
from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.format.signature import TensorSpec
from lightning_app.packaging.runtime.rows import VALUES_PER_CALL, Run, StreamState
from lightning_app.packaging.runtime.values import Array, Values

NODES, GRAPH_AXES = "nodes", ("graphs", "batch")
NODE_GRAPH, GRAPH_NUMBER = "batch", "graph_id"
"""Inputs that packing creates: the graph index of each node, and the index of each graph."""


class GraphLayout:
    """Packs graphs into a disconnected union, and splits the answers by graph.

    A row has the inputs of one graph: `x` (nodes, F), `edge_index` (edges, 2) with source and target indices from 0 in
    each graph, and anything else along nodes, edges or another dynamic axis. Packing offsets the node indices.

    Args:
        manifest: Manifest with the signature.

    Attributes:
        inputs: Inputs of a row.
        least_size: Smallest size of a dynamic axis; 0, because a graph may have no edges.
    """

    least_size = 0

    def __init__(self, manifest: Manifest) -> None:
        self._specs = [spec for spec in manifest.inputs if not _is_created(spec)]
        self._created = [spec for spec in manifest.inputs if _is_created(spec)]
        self._outputs = manifest.outputs
        self.inputs = tuple(_per_graph(spec) for spec in self._specs)
        along = {str(spec.shape[1]): spec.name for spec in self.inputs if len(spec.shape) > 1}
        if NODES not in along:
            raise PackageError("inputs: a layout of graphs has an input along the axis 'nodes'")
        self._of_nodes = along[NODES]
        for spec in self._outputs:
            if not spec.shape or spec.shape[0] not in {*along, *GRAPH_AXES}:
                raise PackageError(f"{spec.name}: its first axis is neither 'graphs' nor one of the inputs")

    def check(self, values: Mapping[str, Values], reasons: dict[int, str]) -> None:
        """Rejects graphs with an edge to a missing node, which in the union would be a node of another graph.

        Args:
            values: Input name to checked values.
            reasons: Row number to reason; rows are added.
        """
        nodes = values[self._of_nodes]
        for spec in filter(_is_pairs, self._specs):
            for graph in (graph for graph in range(len(nodes)) if graph not in reasons):
                pairs, count = values[spec.name][graph], len(nodes[graph])
                if pairs.size and (pairs.min() < 0 or pairs.max() >= count):
                    wrong = pairs.max() if pairs.max() >= count else pairs.min()
                    reasons[graph] = f"{spec.name}: node {wrong} given, the graph has {count} from 0"

    def answer(
        self, values: Mapping[str, Values], state: StreamState | None, run: Run
    ) -> tuple[dict[str, Values], StreamState]:
        """Predicts graphs.

        Args:
            values: Input name to checked values.
            state: Must be None or empty; graphs have no state.
            run: Runs the ONNX graph.

        Returns:
            answer: Output name to values, one row per graph.
            state: An empty dict.
        """
        if state:
            raise RequestError("state: given, graphs have none")
        num_graphs = len(next(iter(values.values())))
        sizes = self._sizes(values, num_graphs)
        parts: dict[str, list[Array]] = {spec.name: [] for spec in self._outputs}
        for graphs in _calls(values, num_graphs):
            own = {axis: counts[graphs] for axis, counts in sizes.items()}
            packed = run(self._pack(values, graphs, own))
            for spec in self._outputs:
                axis = str(spec.shape[0])
                ends = np.zeros(0, dtype=np.int64) if axis in GRAPH_AXES else np.cumsum(own[axis])[:-1]
                parts[spec.name] += np.split(packed[spec.name], ends)
        return {spec.name: _joined(spec, parts[spec.name]) for spec in self._outputs}, {}

    def initial(self, num_rows: int) -> StreamState:  # noqa: ARG002
        """Nothing: graphs have no state.

        Args:
            num_rows: Number of graphs.
        """
        return {}

    def _sizes(self, values: Mapping[str, Values], num_graphs: int) -> dict[str, Array]:
        """Dynamic axis to its size in each graph, int64 (G,)."""
        return {
            str(spec.shape[1]): np.array([len(values[spec.name][graph]) for graph in range(num_graphs)], dtype=np.int64)
            for spec in self.inputs
            if len(spec.shape) > 1 and isinstance(spec.shape[1], str)
        }

    def _pack(self, values: Mapping[str, Values], graphs: slice, sizes: Mapping[str, Array]) -> dict[str, Array]:
        counts = sizes[NODES]
        starts = np.cumsum(counts) - counts
        feed = {}
        for spec in self._specs:
            own = list(values[spec.name][graphs])
            if _is_pairs(spec):
                shifted = [pairs + start for pairs, start in zip(own, starts, strict=True)]
                feed[spec.name] = np.ascontiguousarray(np.concatenate(shifted).T)
            else:
                feed[spec.name] = np.stack(own) if spec.shape[0] in GRAPH_AXES else np.concatenate(own)
        numbers = np.arange(len(counts))
        for spec in self._created:
            created = np.repeat(numbers, counts) if spec.name == NODE_GRAPH else numbers
            feed[spec.name] = created.astype(spec.dtype)
        return feed


def _is_created(spec: TensorSpec) -> bool:
    return (spec.name == NODE_GRAPH and spec.shape == (NODES,)) or (
        spec.name == GRAPH_NUMBER and len(spec.shape) == 1 and spec.shape[0] in GRAPH_AXES
    )


def _is_pairs(spec: TensorSpec) -> bool:
    return len(spec.shape) == 2 and spec.shape[0] == 2 and isinstance(spec.shape[1], str) and spec.dtype == "int64"


def _per_graph(spec: TensorSpec) -> TensorSpec:
    """Spec of an input in one row: without the packed axis size, and edge pairs with their two ends last."""
    shape = (spec.shape[1], 2) if _is_pairs(spec) else spec.shape
    if not shape or not isinstance(shape[0], str):
        raise PackageError(f"{spec.name}: shape {list(spec.shape)} given, its first axis has to be one of graphs")
    shape = shape[1:] if shape[0] in GRAPH_AXES else shape
    return TensorSpec(name=spec.name, dtype=spec.dtype, shape=("batch", *shape))


def _calls(values: Mapping[str, Values], num_graphs: int) -> Iterator[slice]:
    """Slices of graphs for each call, with a bounded number of values."""
    sizes = np.zeros(num_graphs, dtype=np.int64)
    for value in values.values():
        sizes += np.array([row.size for row in value], dtype=np.int64)
    start, total = 0, 0
    for graph, size in enumerate(sizes):
        if graph > start and total + size > VALUES_PER_CALL:
            yield slice(start, graph)
            start, total = graph, 0
        total += int(size)
    if start < num_graphs:
        yield slice(start, num_graphs)


def _joined(spec: TensorSpec, parts: list[Array]) -> Values:
    if spec.shape[0] not in GRAPH_AXES:
        return parts
    if not parts:
        return np.zeros((0, *(size if isinstance(size, int) else 0 for size in spec.shape[1:])), dtype=spec.dtype)
    return np.concatenate(parts)
