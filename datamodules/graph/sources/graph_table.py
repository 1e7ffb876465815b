"""GraphTable and GraphSetTable: graphs from a user's tables of nodes, edges and graphs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor
from torch_geometric.data import Data
from typing_extensions import override

from datamodules.graph.sources.flat_graphs import FlatGraphs
from datamodules.graph.sources.node_names import names_of
from datamodules.graph.sources.source import GraphSetSource, GraphSource, RawGraphs
from datamodules.graph.sources.table_columns import (
    class_labels,
    feature_columns,
    feature_matrix,
    id_column,
    node_classes,
    node_numbers,
    numbers_of,
    read_table,
    split_masks,
    table_path,
    times,
)
from datamodules.sources import sha256_of
from features.graphs.spec import GraphSpec
from features.graphs.tables import read_graphs


class GraphTable(GraphSource):
    """One graph from two parquet or CSV files, one of nodes and one of edges.

    Node ids are integers or texts; nodes are numbered by row, and `node_names` of the graph holds the ids. Classes are
    numbered by sorted label; nodes with an empty or negative label are unlabelled. Rows that repeat an edge (at the
    same time) are merged, their weights summed.

    Args:
        nodes: File of nodes; paths are relative to the working directory, else to the data root.
        edges: File of edges.
        label: Node column to predict, integers or texts; None if there is none, as for link prediction.
        features: Feature columns of the nodes; None takes every column without another role, and raises if one is not
            numeric unless it is in `exclude`. Without any, the data module's `features` are needed.
        id: Node column of ids.
        source: Edge column of source ids.
        target: Edge column of target ids.
        weight: Edge column of weights.
        time: Column of times: integers, dates or timestamps (microseconds since 1970), in one file or both.
        split: Node column of `train`, `val`, `test` or empty, for `PublicSplit`.
        directed: Keep the direction of edges; otherwise each edge gets its reverse.
        root: The data root, see `data_root`.
        exclude: Node columns to leave out if `features` is None.
    """

    def __init__(
        self,
        *,
        nodes: str | Path,
        edges: str | Path,
        label: str | None = None,
        features: Sequence[str] | None = None,
        id: str = "id",  # noqa: A002
        source: str = "source",
        target: str = "target",
        weight: str | None = None,
        time: str | None = None,
        split: str | None = None,
        directed: bool = False,
        root: str | Path | None = None,
        exclude: Sequence[str] = (),
    ) -> None:
        self.nodes = str(nodes)
        self.edges = str(edges)
        self.label = label or None
        self.features = features
        self.id = id
        self.source = source
        self.target = target
        self.weight = weight or None
        self.time = time or None
        self.split = split or None
        self.undirected = not directed
        self.root = root
        self.exclude = tuple(exclude)

    @property
    @override
    def name(self) -> str:
        return Path(self.nodes).stem

    @property
    @override
    def id_columns(self) -> tuple[str, str, str]:
        return self.id, self.source, self.target

    @override
    def checksums(self) -> dict[str, str]:
        return {path: sha256_of(table_path(path, root=self.root)) for path in (self.nodes, self.edges)}

    @override
    def load(self) -> Data:
        nodes = read_table(self.nodes, root=self.root, needed=[self.id, self.label, self.split], ids=[self.id])
        ends = [self.source, self.target]
        edges = read_table(self.edges, root=self.root, needed=[*ends, self.weight], ids=ends)
        taken = [self.id, self.label, self.time, self.split]
        self.feature_names = feature_columns(
            nodes, self.features, taken=taken, exclude=self.exclude, file=self.nodes, may_be_none=True
        )
        ids = id_column(nodes[self.id], file=self.nodes)
        numbers = node_numbers(ids, file=self.nodes)
        y, class_names = node_classes(nodes, self.label, file=self.nodes)
        data = Data(
            x=feature_matrix(nodes, self.feature_names, file=self.nodes),
            edge_index=edge_columns(edges, ends, (numbers, numbers), file=self.edges, where=f"the ids of {self.nodes}"),
            y=y,
            class_names=class_names,
            node_names=names_of(ids),
        )
        if self.weight is not None:
            data.edge_weight = feature_matrix(edges, [self.weight], file=self.edges)[:, 0]
        if self.time is not None:
            timed = [kind for kind, frame in (("node", nodes), ("edge", edges)) if self.time in frame.columns]
            if not timed:
                raise ValueError(f"data.graph.time: neither {self.nodes} nor {self.edges} has a column {self.time!r}")
            if "node" in timed:
                data.node_time = times(nodes[self.time], file=self.nodes)
            if "edge" in timed:
                data.edge_time = times(edges[self.time], file=self.edges)
        if self.split is not None:
            for mask, members in split_masks(nodes[self.split], file=self.nodes).items():
                data[mask] = members
            data.split_name = "split_column"
        return data


class GraphSetTable(GraphSetSource):
    """A set of graphs from three parquet or CSV files: of nodes, of edges and of graphs.

    Node ids need to be unique only within a graph. A graph without rows of nodes is kept as a graph without nodes.

    Args:
        nodes: File of nodes; paths are relative to the working directory, else to the data root.
        edges: File of edges.
        graphs: File of graphs.
        label: Graph column to predict: integers or texts are classes, other numbers a regression target; an empty cell
            is a graph without label.
        features: Feature columns of the nodes; None takes every column without another role, and raises if one is not
            numeric unless it is in `exclude`.
        graph: Column of the graph's id, in all three files.
        id: Node column of ids.
        source: Edge column of source ids.
        target: Edge column of target ids.
        weight: Edge column of weights.
        directed: Keep the direction of edges; otherwise each edge gets its reverse.
        root: The data root, see `data_root`.
        exclude: Node columns to leave out if `features` is None.
    """

    def __init__(
        self,
        *,
        nodes: str | Path,
        edges: str | Path,
        graphs: str | Path,
        label: str,
        features: Sequence[str] | None = None,
        graph: str = "graph",
        id: str = "id",  # noqa: A002
        source: str = "source",
        target: str = "target",
        weight: str | None = None,
        directed: bool = False,
        root: str | Path | None = None,
        exclude: Sequence[str] = (),
    ) -> None:
        self.nodes = str(nodes)
        self.edges = str(edges)
        self.graphs = str(graphs)
        self.label = label
        self.features = features
        self.graph = graph
        self.id = id
        self.source = source
        self.target = target
        self.weight = weight or None
        self.undirected = not directed
        self.root = root
        self.exclude = tuple(exclude)

    @property
    @override
    def name(self) -> str:
        return Path(self.graphs).stem

    @override
    def checksums(self) -> dict[str, str]:
        return {path: sha256_of(table_path(path, root=self.root)) for path in (self.nodes, self.edges, self.graphs)}

    @override
    def load(self) -> FlatGraphs:
        ends = [self.source, self.target]
        graphs = read_table(self.graphs, root=self.root, needed=[self.graph, self.label], ids=[self.graph])
        nodes = read_table(self.nodes, root=self.root, needed=[self.graph, self.id], ids=[self.graph, self.id])
        edges = read_table(self.edges, root=self.root, needed=[self.graph, *ends, self.weight], ids=[self.graph, *ends])
        if self.features is None and self.label in nodes.columns and self.label not in self.exclude:
            raise ValueError(
                f"{self.nodes}: column {self.label!r} has the name of the label of the graphs, and would be a feature; "
                f"leave it out, data.graphs.exclude: [{self.label}], or list the columns to use as data.graphs.features"
            )
        taken = [self.graph, self.id]
        self.feature_names = feature_columns(nodes, self.features, taken=taken, exclude=self.exclude, file=self.nodes)
        graph_ids = id_column(graphs[self.graph], file=self.graphs)
        arrays = read_graphs(
            nodes,
            edges,
            self.spec,
            graphs=graph_ids,
            nodes_file=self.nodes,
            edges_file=self.edges,
            graphs_file=self.graphs,
        )
        first = np.repeat(arrays.node_ptr[:-1], np.diff(arrays.edge_ptr))
        y, class_names = self._targets(graphs[self.label])
        return FlatGraphs(
            x=torch.from_numpy(arrays.x),
            edge_index=torch.from_numpy(arrays.edge_index - first),
            node_ptr=torch.from_numpy(arrays.node_ptr),
            edge_ptr=torch.from_numpy(arrays.edge_ptr),
            y=y,
            edge_weight=None if arrays.edge_weight is None else torch.from_numpy(arrays.edge_weight),
            class_names=class_names,
            graph_names=graph_ids.to_numpy(),
        )

    @property
    def spec(self) -> GraphSpec:
        """How the tables are prepared; known once they were read."""
        return GraphSpec(
            id=self.id,
            source=self.source,
            target=self.target,
            features=tuple(self.feature_names or ()),
            graph=self.graph,
            weight=self.weight,
            directed=not self.undirected,
        )

    @override
    def raw_tables(self) -> RawGraphs:
        self.read()  # for the names of the features
        ends = [self.graph, self.source, self.target]
        return RawGraphs(
            nodes=read_table(self.nodes, root=self.root, needed=[], ids=[self.graph, self.id]),
            edges=read_table(self.edges, root=self.root, needed=[], ids=ends),
            spec=self.spec,
        )

    def _targets(self, label: pl.Series) -> tuple[Tensor, list[str] | None]:
        if label.dtype.is_float():
            return feature_matrix(label.to_frame(), [label.name], file=self.graphs, complete=False), None
        return class_labels(label, file=self.graphs)


def edge_columns(
    edges: pl.DataFrame,
    ends: Sequence[str],
    numbers: tuple[pl.DataFrame, pl.DataFrame],
    *,
    file: str,
    where: str,
    rows: np.ndarray | None = None,
) -> Tensor:
    """`edge_index` int64 (2, E) from two columns of ids, by the tables of `node_numbers` of either end."""
    sides = [
        numbers_of(edges[end], table, file=file, where=where, rows=rows)
        for end, table in zip(ends, numbers, strict=True)
    ]
    return torch.from_numpy(np.stack(sides))
