"""GraphSource and GraphSetSource, the base classes of graph sources: reading, validation, fingerprints."""

import copy
import hashlib
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData

from datamodules.graph.sources.flat_graphs import FlatGraphs, check_graphs
from datamodules.graph.sources.graph_check import add_reverse_edges, check_graph, check_typed_graph
from datamodules.sources import RawFile, fetch, sha256_of
from features.graphs.spec import GraphSpec

with warnings.catch_warnings():
    # torch warns once per process that CSR tensors are in beta; the first one is created here with warnings suppressed.
    warnings.simplefilter("ignore", UserWarning)
    torch.sparse_csr_tensor([0, 0], [], torch.empty(0), (1, 1))


@dataclass(frozen=True)
class RawGraphs:
    """Tables that graphs were read from.

    Attributes:
        nodes: Table of nodes.
        edges: Table of edges.
        spec: How they are prepared.
    """

    nodes: pl.DataFrame
    edges: pl.DataFrame
    spec: GraphSpec


class GraphSource(ABC):
    """Source of one graph.

    The result of `read` has `x` float32 (N, F) dense or `torch.sparse_csr`, with F = 0 for nodes without features,
    `edge_index` int64 (2, E) from source to target, `y` int64 (N,) with -1 for nodes without a label, and
    `source_name`; optionally `edge_weight` float32 (E,), `train_mask`, `val_mask`, `test_mask` bool (N,) or (N,
    num_splits) with `split_name` (their protocol), `node_time` int64 (N,), `edge_time` int64 (E,), `class_names` (list
    of C texts) and `node_names` (N ids, an array or `TextNames`). A heterogeneous graph is a `HeteroData` whose
    `target_type` is the labelled node type.

    Attributes:
        undirected: Whether edges are listed in one direction only; `read` then adds the reverse ones.
        feature_names: Names of the feature columns if they have any, for messages.
    """

    undirected: bool = False
    feature_names: list[str] | None = None

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the graph."""

    @property
    def id_columns(self) -> tuple[str, str, str] | None:
        """Columns of the ids of nodes, and of both ends of edges, in the tables of the graph; None without tables."""
        return None

    @abstractmethod
    def load(self) -> Data | HeteroData:
        """Reads the graph as published, without validation."""

    @abstractmethod
    def checksums(self) -> dict[str, str]:
        """SHA-256 of each file, or of the tensors of a graph that is not read from a file."""

    def add_reverse(self, graph: Any) -> None:
        """Adds the reverse of edges listed in one direction only, in place; called after validation."""
        if self.undirected:
            add_reverse_edges(graph)

    def read(self) -> Data | HeteroData:
        """Reads the graph once, validates it (see `check_graph`), and returns a shallow copy.

        Raises:
            ValueError: The graph is invalid, or a checksum does not match.
            FileNotFoundError: A file is missing and cannot be downloaded.
        """
        return copy.copy(self._checked[0])

    def fingerprint(self) -> dict[str, Any]:
        """Name, checksums and counts, as plain data."""
        return {
            "source": type(self).__name__,
            "name": self.name,
            "sha256": self.checksums(),
            **self._checked[1],
            "num_edges_with_reverse": self._checked[0].num_edges,
        }

    def notes(self) -> list[str]:
        """What was merged or dropped when the graph was read, one line each."""
        return notes_of(self._checked[1])

    @cached_property
    def _checked(self) -> tuple[Data | HeteroData, dict[str, Any]]:
        graph = self.load()
        if isinstance(graph, HeteroData):
            counts = check_typed_graph(graph, name=self.name)
        else:
            counts = check_graph(graph, name=self.name, feature_names=self.feature_names)
        self.add_reverse(graph)
        graph.source_name = self.name
        return graph, counts


class GraphSetSource(ABC):
    """Source of a set of graphs.

    Attributes:
        undirected: Whether edges are listed in one direction only; `read` then adds the reverse ones.
        feature_names: Names of the feature columns if they have any, for messages.
    """

    undirected: bool = False
    feature_names: list[str] | None = None

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the set."""

    @abstractmethod
    def load(self) -> FlatGraphs:
        """Reads the graphs as published, without validation."""

    @abstractmethod
    def checksums(self) -> dict[str, str]:
        """SHA-256 of each file."""

    def raw_tables(self) -> RawGraphs | None:
        """The tables that packages of models on this set answer too; None if they take graphs alone."""
        return None

    def read(self) -> FlatGraphs:
        """Reads the graphs once and validates them, see `check_graphs`.

        Raises:
            ValueError: A graph is invalid, or a checksum does not match.
            FileNotFoundError: A file is missing and cannot be downloaded.
        """
        return self._checked[0]

    def fingerprint(self) -> dict[str, Any]:
        """Name, checksums and counts, as plain data."""
        return {
            "source": type(self).__name__,
            "name": self.name,
            "sha256": self.checksums(),
            **self._checked[1],
            "num_edges_with_reverse": self._checked[0].edge_index.shape[1],
        }

    def notes(self) -> list[str]:
        """What was merged or dropped when the graphs were read, one line each."""
        return notes_of(self._checked[1])

    @cached_property
    def _checked(self) -> tuple[FlatGraphs, dict[str, int]]:
        graphs = self.load()  # first, as it may set feature_names
        return check_graphs(graphs, name=self.name, undirected=self.undirected, feature_names=self.feature_names)


def notes_of(counts: Mapping[str, Any]) -> list[str]:
    """Remarks for the user on the counts of `check_graph`, `check_typed_graph` or `check_graphs`, one line each."""
    merged = counts.get("num_merged_edges", 0)
    merged += sum(edges["num_merged_edges"] for edges in counts.get("edges", {}).values())
    unlabelled = 0
    for labels in (counts, *counts.get("nodes", {}).values()):
        missing = labels.get("num_unlabelled", 0)
        if missing != labels.get("num_graphs", labels.get("num_nodes")):  # all: unlabelled by design, as for links
            unlabelled += missing
    return [
        *([f"{merged:,} rows of edges repeat another one and were merged with it"] if merged else []),
        *([f"{unlabelled:,} without a label, which are in no split"] if unlabelled else []),
    ]


def file_checksums(files: Iterable[RawFile], *, root: str | Path | None) -> dict[str, str]:
    """SHA-256 of published files: the known one, or that of the local file."""
    return {raw.path: raw.sha256 or sha256_of(fetch(raw, root=root)) for raw in files}


def tensor_checksum(tensors: Iterable[Tensor]) -> str:
    """SHA-256 of the bytes of dense tensors, in order."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
