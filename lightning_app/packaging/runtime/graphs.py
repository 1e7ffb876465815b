"""Whole graphs through an ONNX graph: a row per graph, many packed into one with several parts."""

from collections.abc import Iterator, Mapping

import numpy as np

from lightning_app.packaging.format.errors import PackageError, RequestError
from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.format.signature import TensorSpec
from lightning_app.packaging.runtime.rows import VALUES_PER_CALL, Run, State
from lightning_app.packaging.runtime.values import Array, Values

NODES, GRAPH_AXES = "nodes", ("graphs", "batch")
NODE_GRAPH, GRAPH_NUMBER = "batch", "graph_id"
"""Inputs that packing makes: the number of its graph for each node, and the number of each graph."""


class GraphLayout:
    """Packs the graphs of a request, and takes the answers apart.

    A row has what the graph takes, per graph: `x` (nodes, F), `edge_index` (edges, 2) with a source and a target from 0
    in each, anything else along nodes, edges or another axis of its own. Numbers of nodes are shifted to where
    the nodes of their graph come to lie.

    Args:
        manifest: Signature.

    Attributes:
        inputs: What a row has.
        least_size: Axes may have no element: a graph without edges.
    """

    least_size = 0

    def __init__(self, manifest: Manifest) -> None:
        self._specs = [spec for spec in manifest.inputs if not _is_made(spec)]
        self._made = [spec for spec in manifest.inputs if _is_made(spec)]
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
        """Finds graphs with an edge to a node that they do not have; in a pack that would be one of another graph.

        Args:
            values: By name of an input, checked.
            reasons: By row, why it cannot be answered; rows are added.
        """
        nodes = values[self._of_nodes]
        for spec in filter(_is_pairs, self._specs):
            for graph in (graph for graph in range(len(nodes)) if graph not in reasons):
                pairs, count = values[spec.name][graph], len(nodes[graph])
                if pairs.size and (pairs.min() < 0 or pairs.max() >= count):
                    wrong = pairs.max() if pairs.max() >= count else pairs.min()
                    reasons[graph] = f"{spec.name}: node {wrong} given, the graph has {count} from 0"

    def answer(self, values: Mapping[str, Values], state: State | None, run: Run) -> tuple[dict[str, Values], State]:
        """Answers graphs.

        Args:
            values: By name of an input, checked.
            state: None; graphs have none.
            run: Calls the graph.

        Returns:
            answer: By name of an output, a row per graph.
            state: Nothing.
        """
        if state:
            raise RequestError("state: given, graphs have none")
        num_graphs = len(next(iter(values.values())))
        sizes = self._sizes(values, num_graphs)
        parts: dict[str, list[Array]] = {spec.name: [] for spec in self._outputs}
        for graphs in _calls(values, num_graphs):
            own = {axis: counts[graphs] for axis, counts in sizes.items()}
            found = run(self._pack(values, graphs, own))
            for spec in self._outputs:
                axis = str(spec.shape[0])
                ends = np.zeros(0, dtype=np.int64) if axis in GRAPH_AXES else np.cumsum(own[axis])[:-1]
                parts[spec.name] += np.split(found[spec.name], ends)
        return {spec.name: _joined(spec, parts[spec.name]) for spec in self._outputs}, {}

    def _sizes(self, values: Mapping[str, Values], num_graphs: int) -> dict[str, Array]:
        """By axis, its size in each graph, int64 (G,)."""
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
        for spec in self._made:
            made = np.repeat(numbers, counts) if spec.name == NODE_GRAPH else numbers
            feed[spec.name] = made.astype(spec.dtype)
        return feed


def _is_made(spec: TensorSpec) -> bool:
    return (spec.name == NODE_GRAPH and spec.shape == (NODES,)) or (
        spec.name == GRAPH_NUMBER and len(spec.shape) == 1 and spec.shape[0] in GRAPH_AXES
    )


def _is_pairs(spec: TensorSpec) -> bool:
    return len(spec.shape) == 2 and spec.shape[0] == 2 and isinstance(spec.shape[1], str) and spec.dtype == "int64"


def _per_graph(spec: TensorSpec) -> TensorSpec:
    """What one row has of an input: the packed axis inside, pairs with their two ends last."""
    shape = (spec.shape[1], 2) if _is_pairs(spec) else spec.shape
    if not shape or not isinstance(shape[0], str):
        raise PackageError(f"{spec.name}: shape {list(spec.shape)} given, its first axis has to be one of graphs")
    shape = shape[1:] if shape[0] in GRAPH_AXES else shape
    return TensorSpec(name=spec.name, dtype=spec.dtype, shape=("batch", *shape))


def _calls(values: Mapping[str, Values], num_graphs: int) -> Iterator[slice]:
    """Graphs of each call: not too many numbers at once."""
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
