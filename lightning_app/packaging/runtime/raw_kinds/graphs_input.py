"""GraphsInput: a package of graphs takes tables of nodes and edges, and answers by the ids of graphs or nodes."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import polars as pl
from typing_extensions import override

from features.graphs.ids import id_column
from features.graphs.spec import GraphSpec
from features.graphs.tables import GraphArrays, normalized, read_graphs
from lightning_app.packaging.format.errors import PackageError, RequestError
from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.runtime.frames import write_frame
from lightning_app.packaging.runtime.raw_input import RawBatch, RawInput
from lightning_app.packaging.runtime.values import Array

NODES, EDGES = "nodes", "edges"
GRAPH_ID, NODE_ID = "graph_id", "node_id"
_GRAPHS = 4096
"""Graphs of a batch."""
_SHOWN = 5


class GraphsInput(RawInput):
    """Graphs of two tables, read as in training.

    Args:
        spec: The preparation.
        of_nodes: Whether answers are about nodes, not about graphs.
    """

    by_row = False
    request_tables: ClassVar[tuple[str, ...]] = (NODES, EDGES)

    def __init__(self, spec: GraphSpec, *, of_nodes: bool) -> None:
        self.spec = spec
        self.of_nodes = of_nodes

    @classmethod
    @override
    def load(cls, files: Mapping[str, bytes], manifest: Manifest) -> "GraphsInput":
        assert manifest.raw_input is not None
        name = manifest.raw_input.file
        try:
            spec = GraphSpec.from_json(files[name])
        except ValueError as error:
            raise PackageError(f"{name}: {error}") from error
        shapes = {tensor.name: tensor.shape for tensor in manifest.inputs}
        if manifest.layout != "graphs" or shapes.get("x") != ("nodes", len(spec.features)):
            raise PackageError(f"{name}: {len(spec.features)} features of a node, not those of the manifest's inputs")
        if ("edge_weight" in shapes) != (spec.weight is not None):
            raise PackageError(
                f"{name}: weights of edges that the manifest's inputs lack, or none where they have some"
            )
        of_nodes = manifest.outputs[0].shape[0] == "nodes"
        if of_nodes != (spec.graph is None):
            raise PackageError(f"{name}: a column of graphs, and answers about nodes; or none, and about graphs")
        return cls(spec, of_nodes=of_nodes)

    @override
    def prepare(self, table: pl.DataFrame, at: Any) -> Iterator[RawBatch]:
        raise RequestError(f"request: one table given, two needed by name: {NODES} and {EDGES}")

    @override
    def prepare_tables(self, tables: Mapping[str, pl.DataFrame], at: Any) -> Iterator[RawBatch]:
        spec = self.spec
        if at is not None:
            raise RequestError("at: given with tables of graphs, which are all answered")
        nodes, edges = tables[NODES].select(spec.node_columns), tables[EDGES].select(spec.edge_columns)
        notes = []
        for name, columns in ((NODES, spec.node_columns), (EDGES, spec.edge_columns)):
            if unread := sorted(set(tables[name].columns) - set(columns)):
                some = f"{', '.join(unread[:_SHOWN])}{' ...' * (len(unread) > _SHOWN)}"
                notes.append(f"columns of {name} not read: {some}")
        if nodes.is_empty():
            raise RequestError(f"{NODES}: the table has no rows")
        try:
            if spec.graph is None:
                yield self._batch(self._read(nodes, edges, None, notes), id_column(nodes[spec.id], file=NODES), notes)
            else:
                yield from self._sets(nodes, edges, notes)
        except ValueError as error:
            if isinstance(error, RequestError):
                raise
            raise RequestError(str(error)) from error

    @override
    def finish(self, batch: RawBatch, answer: Mapping[str, Any]) -> pl.DataFrame:
        ids: pl.Series = batch.keys
        if self.of_nodes:
            answer = {name: _joined(values) for name, values in answer.items()}
        return write_frame({(NODE_ID if self.of_nodes else GRAPH_ID): ids, **answer})

    def _sets(self, nodes: pl.DataFrame, edges: pl.DataFrame, notes: list[str]) -> Iterator[RawBatch]:
        """Graphs in the order of their first nodes; those that cannot be read are left out with a reason."""
        column = self.spec.graph
        assert column is not None
        ids = id_column(nodes[column], file=NODES)
        if ids.null_count():
            raise ValueError(f"{NODES}: {column!r} is empty in {ids.null_count():,} rows; name the graph of every node")
        nodes = nodes.with_columns(ids)
        if edges.is_empty():  # columns of empty lists have no type
            edges = edges.with_columns(pl.col(column, self.spec.source, self.spec.target).cast(ids.dtype))
        edges = edges.with_columns(id_column(edges[column], file=EDGES).cast(ids.dtype))
        graphs = ids.unique(maintain_order=True)
        rejected: dict[int, str] = {}
        orphans = edges.filter(~pl.col(column).is_in(graphs.implode()))
        if len(orphans):
            notes.append(
                f"{len(orphans):,} edges are of graphs without nodes (first: {orphans[column][0]!r}), left out"
            )
            edges = edges.filter(pl.col(column).is_in(graphs.implode()))
        try:
            arrays = self._read(nodes, edges, graphs, notes)
        except ValueError:
            bad = self._bad_graphs(nodes, edges, graphs)
            rows = pl.DataFrame({"id": ids, "row": np.arange(len(ids))}).unique("id", keep="first")
            first = dict(rows.filter(pl.col("id").is_in(list(bad))).iter_rows())
            rejected = {first[graph]: reason for graph, reason in bad.items()}
            graphs = graphs.filter(~graphs.is_in(list(bad)))
            if not rejected:
                raise
            keep = pl.col(column).is_in(graphs.implode())
            arrays = self._read(nodes.filter(keep), edges.filter(keep), graphs, notes)
        yield RawBatch(
            values={},
            keys=graphs.head(0),
            rejected=rejected,
            notes=tuple(notes),
            num_asked=len(rejected),
            num_rejected=len(rejected),
        )
        for start in range(0, len(graphs), _GRAPHS):
            yield self._batch(arrays, graphs, (), start=start, stop=min(start + _GRAPHS, len(graphs)))

    def _read(
        self, nodes: pl.DataFrame, edges: pl.DataFrame, graphs: pl.Series | None, notes: list[str], name: str = ""
    ) -> GraphArrays:
        raw = read_graphs(
            nodes,
            edges,
            self.spec,
            graphs=graphs,
            nodes_file=f"{name}{NODES}",
            edges_file=f"{name}{EDGES}",
            graphs_file=NODES,
        )
        arrays, num_merged = raw.checked(directed=self.spec.directed)
        if num_merged:
            notes.append(f"{num_merged:,} rows of edges repeat another one and were merged with it")
        return arrays

    def _bad_graphs(self, nodes: pl.DataFrame, edges: pl.DataFrame, graphs: pl.Series) -> dict[Any, str]:
        """Reason by id of each graph that cannot be read by itself."""
        assert self.spec.graph is not None
        node_parts = nodes.partition_by(self.spec.graph, as_dict=True)
        edge_parts = edges.partition_by(self.spec.graph, as_dict=True)
        bad = {}
        for graph in graphs:
            own = pl.Series(self.spec.graph, [graph], dtype=graphs.dtype)
            try:
                self._read(node_parts[(graph,)], edge_parts.get((graph,), edges.head(0)), own, [], f"graph {graph}: ")
            except ValueError as error:
                bad[graph] = str(error)
        return bad

    def _batch(self, arrays: GraphArrays, ids: pl.Series, notes: Any, *, start: int = 0, stop: int = 1) -> RawBatch:
        nodes, edges = arrays.node_ptr[start : stop + 1], arrays.edge_ptr[start : stop + 1]
        x = normalized(arrays.x) if self.spec.normalize else arrays.x
        local = (arrays.edge_index - np.repeat(arrays.node_ptr[:-1], np.diff(arrays.edge_ptr))).T
        values = {"x": _split(x, nodes), "edge_index": _split(np.ascontiguousarray(local), edges)}
        if arrays.edge_weight is not None:
            values["edge_weight"] = _split(arrays.edge_weight, edges)
        return RawBatch(
            values=values,  # type: ignore[arg-type]
            keys=ids if self.of_nodes else ids[start:stop],
            notes=tuple(notes),
            num_asked=len(ids) if self.of_nodes else stop - start,
        )


def _split(values: Array, ptr: Array) -> list[Array]:
    return [values[first:end] for first, end in pairwise(ptr)]


def _joined(values: Any) -> Any:
    return np.concatenate(values) if isinstance(values, list) else values.reshape(-1, *values.shape[2:])
