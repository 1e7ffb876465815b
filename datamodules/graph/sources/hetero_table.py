"""HeteroGraphTable: a heterogeneous graph from a user's tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch_geometric.data import HeteroData
from typing_extensions import override

from datamodules.graph.sources.graph_check import add_reverse_edges
from datamodules.graph.sources.graph_table import edge_columns
from datamodules.graph.sources.node_names import names_of
from datamodules.graph.sources.source import GraphSource
from datamodules.graph.sources.table_columns import (
    feature_columns,
    feature_matrix,
    id_column,
    node_classes,
    node_numbers,
    read_table,
    split_masks,
    table_path,
    times,
)
from datamodules.sources import sha256_of


@dataclass(frozen=True)
class NodeTable:
    """File with the nodes of one type.

    Attributes:
        path: Parquet or CSV file.
        id: Column of ids.
        features: Feature columns; None takes every column without another role, and raises if one is not numeric unless
            it is in `exclude`.
        label: Column to predict, integers or texts.
        split: Column of `train`, `val`, `test` or empty, for `PublicSplit`.
        time: Column of times.
        exclude: Columns to leave out if `features` is None.
    """

    path: str
    id: str = "id"
    features: list[str] | None = None
    label: str | None = None
    split: str | None = None
    time: str | None = None
    exclude: list[str] | None = None


@dataclass(frozen=True)
class EdgeTable:
    """File with the edges of one type.

    Attributes:
        path: Parquet or CSV file.
        source_type: Node type of the sources.
        relation: Name of the relation.
        target_type: Node type of the targets.
        source: Column of source ids.
        target: Column of target ids.
        weight: Column of weights.
        time: Column of times.
        directed: Keep the direction; otherwise edges between two types get a reverse relation `rev_<relation>`, and
            edges within a type their reverse.
    """

    path: str
    source_type: str
    relation: str
    target_type: str
    source: str = "source"
    target: str = "target"
    weight: str | None = None
    time: str | None = None
    directed: bool = False


class HeteroGraphTable(GraphSource):
    """One `HeteroData` from several files; ids, labels and times as in `GraphTable`.

    Args:
        nodes: Node table of each type.
        edges: Edge tables.
        target_type: Node type whose label is predicted, if its table has one.
        root: The data root, see `data_root`.
    """

    def __init__(
        self,
        *,
        nodes: dict[str, NodeTable],
        edges: Sequence[EdgeTable],
        target_type: str,
        root: str | Path | None = None,
    ) -> None:
        if target_type not in nodes:
            raise ValueError(f"data.graph.target_type: {target_type!r} is not among nodes: {', '.join(nodes)}")
        for table in edges:
            for node_type in (table.source_type, table.target_type):
                if node_type not in nodes:
                    raise ValueError(
                        f"data.graph.edges: {table.path} joins {node_type!r}, which is none of {list(nodes)}"
                    )
        relations = [(table.source_type, table.relation, table.target_type) for table in edges]
        for relation in relations:
            if relations.count(relation) > 1:
                raise ValueError(f"data.graph.edges: {relation} has more than one table; give each its own relation")
        self.nodes = nodes
        self.edges = edges
        self.target_type = target_type
        self.root = root

    @property
    @override
    def name(self) -> str:
        return f"{self.target_type}_graph"

    @override
    def checksums(self) -> dict[str, str]:
        paths = [*(table.path for table in self.nodes.values()), *(table.path for table in self.edges)]
        return {path: sha256_of(table_path(path, root=self.root)) for path in paths}

    @override
    def load(self) -> HeteroData:
        data = HeteroData(target_type=self.target_type)
        numbers = {}
        for node_type, table in self.nodes.items():
            roles = [table.id, table.label, table.split, table.time]
            frame = read_table(table.path, root=self.root, needed=roles, ids=[table.id])
            ids = id_column(frame[table.id], file=table.path)
            numbers[node_type] = node_numbers(ids, file=table.path)
            store = data[node_type]
            key = f"data.graph.nodes.{node_type}.exclude"
            exclude = table.exclude or ()
            features = feature_columns(frame, table.features, taken=roles, exclude=exclude, file=table.path, key=key)
            store.x = feature_matrix(frame, features, file=table.path)
            store.node_names = names_of(ids)
            if table.label or node_type == self.target_type:
                store.y, store.class_names = node_classes(frame, table.label or None, file=table.path)
            if table.time:
                store.node_time = times(frame[table.time], file=table.path)
            if table.split:
                store.split_name = "split_column"
                for mask, members in split_masks(frame[table.split], file=table.path).items():
                    store[mask] = members
        for edges in self.edges:
            ends = [edges.source, edges.target]
            frame = read_table(edges.path, root=self.root, needed=[*ends, edges.weight, edges.time], ids=ends)
            sides = numbers[edges.source_type], numbers[edges.target_type]
            where = f"the ids of {edges.source_type} and {edges.target_type}"
            store = data[edges.source_type, edges.relation, edges.target_type]
            store.edge_index = edge_columns(frame, ends, sides, file=edges.path, where=where)
            if edges.weight:
                store.edge_weight = feature_matrix(frame, [edges.weight], file=edges.path)[:, 0]
            if edges.time:
                store.edge_time = times(frame[edges.time], file=edges.path)
        return data

    @override
    def add_reverse(self, graph: Any) -> None:
        for edges in self.edges:
            store = graph[edges.source_type, edges.relation, edges.target_type]
            if edges.directed:
                continue
            if edges.source_type == edges.target_type:
                add_reverse_edges(store)
                continue
            reverse = graph[edges.target_type, f"rev_{edges.relation}", edges.source_type]
            reverse.edge_index = store.edge_index.flip(0)
            for field in ("edge_weight", "edge_time"):
                if field in store:
                    reverse[field] = store[field]
