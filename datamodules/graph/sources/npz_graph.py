"""NpzGraph: a graph from an npz file of sparse tables, as those of Shchur et al. (2018) and their followers."""

import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data
from typing_extensions import override

from datamodules.graph.sources.npz_arrays import PARTS, read_npz, sparse_table, sparse_tensor
from datamodules.graph.sources.source import GraphSource
from datamodules.sources import data_root, sha256_of

_EDGES, _FEATURES = ("adj_", "adj_matrix."), ("attr_", "attr_matrix.")
_DENSE = ("attr_matrix", "features")


class NpzGraph(GraphSource):
    """One graph from an npz file: edges, and if the file has them features, labels and names of the classes.

    Edges are the sparse table `adj_data, adj_indices, adj_indptr, adj_shape` (or `adj_matrix.data` and so on), features
    the sparse table `attr_...` or a dense `attr_matrix`, as they stand in the file; classes are numbered in `labels`.
    Arrays of Python objects are never opened: where one is needed, the message says how to convert the file. For the
    published Photo, Computers, CS and Physics in their usual form see `Amazon` and `Coauthor`.

    Args:
        path: The file; relative to the working directory, else below the data root.
        weighted: Take the values of the edges' table as their weights.
        directed: Keep the direction of edges; otherwise each edge gets its reverse.
        root: The data root, see `data_root`.
    """

    def __init__(
        self, *, path: str | Path, weighted: bool = False, directed: bool = False, root: str | Path | None = None
    ) -> None:
        self.path = path
        self.weighted = weighted
        self.undirected = not directed
        self.root = root
        self._said: list[str] = []

    @property
    @override
    def name(self) -> str:
        return Path(self.path).stem

    @override
    def checksums(self) -> dict[str, str]:
        return {str(self.path): sha256_of(self._file())}

    @override
    def notes(self) -> list[str]:
        return [*super().notes(), *self._said]

    @override
    def load(self) -> Data:
        file, names = self._file(), self._names()
        edges = next((start for start in _EDGES if f"{start}data" in names), None)
        if edges is None:
            raise ValueError(f"{file} has no edges: adj_data, adj_indices, adj_indptr, adj_shape; it has {names}")
        features = next((start for start in _FEATURES if f"{start}data" in names), None)
        dense = next((name for name in _DENSE if name in names and features is None), None)
        keys = [f"{start}{part}" for start in (edges, features) if start is not None for part in PARTS]
        keys += [name for name in (dense, "labels") if name is not None and name in names]
        arrays = read_npz(file, keys, advice=_conversion(file))
        adjacency = sparse_table(arrays, start=edges, file=str(file)).tocoo()
        count = adjacency.shape[0]
        if adjacency.shape[1] != count:
            raise ValueError(f"{file}: {edges}shape is {adjacency.shape}, as many rows as columns are needed")
        data = Data(
            x=torch.zeros(count, 0),
            edge_index=torch.from_numpy(np.stack([adjacency.row, adjacency.col]).astype(np.int64)),
            y=(labels := self._labels(arrays, count))[0],
        )
        if features is not None:
            table = sparse_table(arrays, start=features, file=str(file))
            table.eliminate_zeros()
            data.x = sparse_tensor(table)
        elif dense is not None:
            data.x = torch.from_numpy(self._numbers(dense, arrays[dense]).astype(np.float32))
        if data.x.dim() != 2 or len(data.x) != count:
            raise ValueError(f"{file}: features of shape {tuple(data.x.shape)} for {count} nodes")
        if self.weighted:
            data.edge_weight = torch.from_numpy(self._numbers(f"{edges}data", adjacency.data).astype(np.float32))
        self._said = []
        if labels[1]:
            data.class_names = labels[1]
        elif (classes := self._class_names(names, int(data.y.max()) + 1)) is not None:
            data.class_names = classes
            keys.append("class_names")
        if unread := [name for name in names if name not in keys]:
            self._said.append(f"arrays not read: {', '.join(unread)}")
        if not self.weighted and (adjacency.data != 1).any():
            self._said.append("weights of edges are not read; weighted: true takes them")
        return data

    def _labels(self, arrays: dict[str, np.ndarray], count: int) -> tuple[Tensor, list[str]]:
        """Class of each node, -1 for none, and the names of classes that are texts, in alphabetical order."""
        labels = arrays.get("labels")
        if labels is None:
            return torch.full((count,), -1), []
        if labels.dtype.kind in "US" and labels.shape == (count,):
            names, classes = np.unique(labels.astype(str), return_inverse=True)
            empty = int(not names[0])  # sorted first: a node without a label
            return torch.from_numpy(classes.astype(np.int64)) - empty, names[empty:].tolist()
        if labels.shape != (count,) or (self._numbers("labels", labels) % 1 != 0).any():
            raise ValueError(f"{self.path}: labels of shape {labels.shape}, expected a whole number per node, {count}")
        return torch.from_numpy(labels.astype(np.int64)), []

    def _numbers(self, name: str, array: np.ndarray) -> np.ndarray:
        if array.dtype.kind not in "biuf":
            raise ValueError(f"{self.path}: array {name!r} holds {array.dtype}, expected numbers")
        return array

    def _class_names(self, names: list[str], num_classes: int) -> list[str] | None:
        """Names of the classes; None if the file has none, or as Python objects."""
        if "class_names" not in names or not num_classes:
            return None
        try:
            classes = read_npz(self._file(), ["class_names"], advice="")["class_names"]
        except ValueError:  # Python objects
            return None
        if classes.shape != (len(classes),) or len(classes) < num_classes:
            raise ValueError(f"{self.path}: class_names of shape {classes.shape} for {num_classes} classes")
        return [str(name) for name in classes]

    def _names(self) -> list[str]:
        file = self._file()
        try:
            with np.load(file, allow_pickle=False) as archive:
                return list(archive.files)
        except (ValueError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{file} is no npz file: {error}") from error

    def _file(self) -> Path:
        candidates = [Path(self.path).expanduser(), data_root(self.root) / self.path]
        file = next((candidate for candidate in candidates if candidate.is_file()), None)
        if file is None:
            looked = " and ".join(map(str, candidates))
            raise FileNotFoundError(f"data.graph.path: {str(self.path)!r} does not exist; looked for {looked}")
        return file


def _conversion(file: Path) -> str:
    new = file.with_name(f"{file.stem}_plain.npz")
    return (
        f"If you trust its author, convert it once: python -c \"import numpy as np; old = np.load('{file}', "
        f"allow_pickle=True); np.savez('{new}', **{{k: np.array(old[k].tolist()) if old[k].dtype == object else old[k] "
        'for k in old})"'
    )
