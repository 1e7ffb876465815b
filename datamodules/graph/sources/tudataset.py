"""TUDataset graph sets, read directly from the zip file."""

import warnings
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from torch import Tensor
from torch_geometric.utils import one_hot
from typing_extensions import override

from datamodules.graph.sources.flat_graphs import FlatGraphs
from datamodules.graph.sources.source import GraphSetSource, file_checksums
from datamodules.sources import RawFile, fetch

_SHA256 = {
    "MUTAG": "20f52db82d6d85d5f67d2fa42c3fb705d05934be44329314ab17b05d0c012f7e",
    "PROTEINS": "fe9d19741637486ea1fd285bf669fce0b117e10b03cdd379f6a5e6197fc830ae",
}


class TUDataset(GraphSetSource):
    """Graphs with a class or a target each, e.g. MUTAG (188 molecules) or PROTEINS (1,113) (Morris et al., 2020).

    Processed as in PyG: self-loops are dropped, node labels become one-hot features, edge labels `edge_attr`, and
    classes are numbered in ascending order. Nodes of a set with neither labels nor attributes get their one-hot degree.
    Sets other than MUTAG and PROTEINS are read if their zip file exists, see `RawFile`.

    Args:
        name: The set's name in the collection.
        root: The data root, see `data_root`; the file is `tudataset/<name>.zip` below it.
        use_attributes: Prepend the nodes' attributes to their one-hot labels, and those of edges likewise; None where
            the set has attributes.
        max_degree: Largest one-hot degree; higher degrees share its feature.
    """

    def __init__(
        self, *, name: str, root: str | Path | None = None, use_attributes: bool | None = None, max_degree: int = 500
    ) -> None:
        if max_degree < 1:
            raise ValueError(f"data.graphs.max_degree: {max_degree} given, at least 1 is needed")
        self._name = name
        self.root = root
        self.use_attributes = use_attributes
        self._said: list[str] = []
        self.max_degree = max_degree
        self.raw_file = RawFile(
            path=f"tudataset/{name}.zip",
            url=f"https://www.chrsmrrs.com/graphkerneldatasets/{name}.zip",
            sha256=_SHA256.get(name),
        )

    @property
    @override
    def name(self) -> str:
        return self._name

    @override
    def checksums(self) -> dict[str, str]:
        return file_checksums([self.raw_file], root=self.root)

    @override
    def notes(self) -> list[str]:
        return [*super().notes(), *self._said]

    @override
    def load(self) -> FlatGraphs:
        tables = self._tables()
        node_graph = tables["graph_indicator"][:, 0].astype(np.int64) - 1  # (N,)
        edges = tables["A"].astype(np.int64).T - 1  # (2, E)
        target, names = self._targets(tables)
        num_graphs, num_nodes = len(target), len(node_graph)
        self._check(node_graph, edges, num_graphs)

        order = np.lexsort(edges[::-1])
        order = order[edges[0, order] != edges[1, order]]
        edges = edges[:, order]
        node_ptr = np.searchsorted(node_graph, np.arange(num_graphs + 1))
        edge_graph = node_graph[edges[0]]
        x = self._features(tables, "node", num_nodes)
        if x is None:
            if "node_attributes" in tables:
                raise ValueError(
                    f"data.graphs.use_attributes: false given, and the nodes of {self._name} have attributes but no "
                    "labels; leave it out, nothing else is there to learn from"
                )
            repeated = (edges[:, 1:] == edges[:, :-1]).all(0)
            degree = np.bincount(edges[0], minlength=num_nodes) - np.bincount(
                edges[0, 1:][repeated], minlength=num_nodes
            )
            x = one_hot(torch.from_numpy(degree.clip(max=self.max_degree)))
        edge_attr = self._features(tables, "edge", len(tables["A"]))
        return FlatGraphs(
            x=x,
            edge_index=torch.from_numpy(edges - node_ptr[edge_graph]),
            node_ptr=torch.from_numpy(node_ptr),
            edge_ptr=torch.from_numpy(np.searchsorted(edge_graph, np.arange(num_graphs + 1))),
            y=target,
            edge_attr=edge_attr if edge_attr is None else edge_attr[order],
            class_names=names,
        )

    def _tables(self) -> dict[str, np.ndarray]:
        """Each text file of the zip file as a float64 table, by the suffix of its name."""
        path = fetch(self.raw_file, root=self.root)
        tables = {}
        try:
            with zipfile.ZipFile(path) as archive:
                for entry in archive.namelist():  # with or without a folder, sometimes with two slashes
                    file = PurePosixPath(entry)
                    if file.suffix == ".txt" and file.stem.startswith(f"{self._name}_"):
                        part = file.stem.removeprefix(f"{self._name}_")
                        tables[part] = _numbers(archive.read(entry), file=f"{path}: {entry}")
        except zipfile.BadZipFile as error:
            raise ValueError(
                f"{path} is not a zip file ({error}). Put the original there: {self.raw_file.url}"
            ) from error
        missing = [part for part in ("A", "graph_indicator") if part not in tables]
        if missing:
            raise ValueError(
                f"{path} has no file {self._name}_{missing[0]}.txt; it should come from {self.raw_file.url}"
            )
        return tables

    def _targets(self, tables: dict[str, np.ndarray]) -> tuple[Tensor, list[str] | None]:
        if "graph_attributes" in tables:
            return torch.from_numpy(tables["graph_attributes"].astype(np.float32)), None
        if "graph_labels" not in tables:
            raise ValueError(f"data.graphs: {self._name} has neither graph labels nor graph attributes to predict")
        labels, classes = np.unique(tables["graph_labels"][:, 0].astype(np.int64), return_inverse=True)
        return torch.from_numpy(classes), [str(label) for label in labels]

    def _features(self, tables: dict[str, np.ndarray], of: str, size: int) -> Tensor | None:
        """Attributes if enabled, then one-hot labels, float32 (size, F); None if there are none."""
        parts = []
        attributes, labels = tables.get(f"{of}_attributes"), tables.get(f"{of}_labels")
        if attributes is not None and self.use_attributes is not False:
            parts.append(torch.from_numpy(attributes.astype(np.float32)))
        if attributes is not None and of == "node":
            count = attributes.shape[1]
            taken = f"{count} attributes of nodes are features" if count > 1 else "1 attribute of nodes is a feature"
            left = f"attributes of nodes are left out, {count} in all (use_attributes: false)"
            self._said = [left if self.use_attributes is False else taken]
        if labels is not None:
            columns = torch.from_numpy(labels.astype(np.int64))
            parts += [one_hot(column - column.min()) for column in columns.unbind(1)]
        if any(len(part) != size for part in parts):
            raise ValueError(f"data.graphs: {self._name} has {size} {of}s, but features of {len(parts[0])}")
        return torch.cat(parts, dim=1) if parts else None

    def _check(self, node_graph: np.ndarray, edges: np.ndarray, num_graphs: int) -> None:
        if (np.diff(node_graph) < 0).any() or node_graph.min() < 0 or node_graph.max() >= num_graphs:
            raise ValueError(
                f"data.graphs: {self._name}_graph_indicator.txt must number its graphs 1 to {num_graphs}, ascending"
            )
        wrong = ((edges < 0) | (edges >= len(node_graph))).any(0)
        if wrong.any():
            edge = int(wrong.argmax())
            raise ValueError(
                f"data.graphs: {self._name}: edge {edge} joins nodes {edges[0, edge]} and {edges[1, edge]}, "
                f"but there are {len(node_graph)} nodes"
            )
        across = node_graph[edges[0]] != node_graph[edges[1]]
        if across.any():
            edge = int(across.argmax())
            raise ValueError(
                f"data.graphs: {self._name}: edge {edge} joins two graphs; remove it from {self._name}_A.txt"
            )


def _numbers(text: bytes, *, file: str) -> np.ndarray:
    """Parses comma-separated numbers, float64 (rows, columns)."""
    columns = text.split(b"\n", 1)[0].count(b",") + 1
    words = text.replace(b",", b" ").decode("ascii", errors="replace")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "error", DeprecationWarning
            )  # numpy before 2.4 only warns about words that are not numbers
            return np.fromstring(words, sep=" ").reshape(-1, columns)
    except (ValueError, DeprecationWarning) as error:
        raise ValueError(f"{file} is not a table of {columns} columns of numbers ({error})") from error
