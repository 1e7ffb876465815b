"""Published graphs in npz files: Amazon, Coauthor and heterophilous graphs.

Their checksums are not known to this project, so they are not downloaded, see `RawFile`. Arrays of Python objects in
them are pickles and are never loaded.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import remove_self_loops
from typing_extensions import override

from datamodules.graph.sources.npz_arrays import PARTS, read_npz, sparse_table, sparse_tensor
from datamodules.graph.sources.source import GraphSource, file_checksums
from datamodules.sources import RawFile, fetch


def read_arrays(raw: RawFile, keys: Sequence[str], *, root: str | Path | None) -> dict[str, np.ndarray]:
    """Reads arrays of an npz file without unpickling.

    Raises:
        ValueError: The file is not an npz file, lacks an array, or an array holds Python objects.
        FileNotFoundError: The file does not exist.
    """
    return read_npz(fetch(raw, root=root), keys, advice=f"Put the original there: {raw.url}")


class _PublishedNpz(GraphSource):
    """One npz file; `name` and `root` as in the subclasses."""

    raw_file: RawFile
    undirected = True

    def __init__(self, *, name: str, root: str | Path | None, allowed: Sequence[str]) -> None:
        if name not in allowed:
            raise ValueError(f"data.graph.name: {name!r} given, allowed are {', '.join(allowed)}")
        self._name = name
        self.root = root

    @property
    @override
    def name(self) -> str:
        return self._name

    @override
    def checksums(self) -> dict[str, str]:
        return file_checksums([self.raw_file], root=self.root)


class _BenchmarkNpz(_PublishedNpz):
    """Graphs of Shchur et al. (Pitfalls of graph neural network evaluation, 2018), without a published split.

    Processed as in PyG, so that results compare: undirected, without self-loops, binary word features. Features are
    sparse.
    """

    file_names: dict[str, str]

    def __init__(self, *, name: str, root: str | Path | None) -> None:
        super().__init__(name=name, root=root, allowed=list(self.file_names))
        file = self.file_names[name]
        self.raw_file = RawFile(
            path=f"npz/{file}", url=f"https://github.com/shchur/gnn-benchmark/raw/master/data/npz/{file}", sha256=None
        )

    @override
    def load(self) -> Data:
        starts = ("adj_", "attr_")
        keys = [f"{start}{part}" for start in starts for part in PARTS]
        arrays = read_arrays(self.raw_file, [*keys, "labels"], root=self.root)
        adjacency, features = (sparse_table(arrays, start=start, file=self.raw_file.path) for start in starts)
        adjacency = adjacency.tocoo()
        features.eliminate_zeros()
        edge_index = torch.from_numpy(np.stack([adjacency.row, adjacency.col]).astype(np.int64))
        return Data(
            x=_presence(features),
            edge_index=remove_self_loops(edge_index)[0],
            y=torch.from_numpy(arrays["labels"].astype(np.int64)),
        )


def _presence(counts: csr_matrix) -> Tensor:
    """Binarises word counts: CSR tensor (N, F), 1 where the count is positive."""
    counts.data = np.where(counts.data > 0, 1.0, counts.data)
    return sparse_tensor(counts)


class Amazon(_BenchmarkNpz):
    """Amazon co-purchase graphs: Photo (7,650 nodes, 8 classes) or Computers (13,752, 10).

    Args:
        name: Name of the graph.
        root: The data root, see `data_root`; the file is in `npz/` below it.
    """

    file_names = {"Photo": "amazon_electronics_photo.npz", "Computers": "amazon_electronics_computers.npz"}  # noqa: RUF012

    def __init__(self, *, name: Literal["Photo", "Computers"], root: str | Path | None = None) -> None:
        super().__init__(name=name, root=root)


class Coauthor(_BenchmarkNpz):
    """Coauthor graphs: CS (18,333 nodes, 15 classes) or Physics (34,493, 5).

    Args:
        name: Name of the graph.
        root: The data root, see `data_root`; the file is in `npz/` below it.
    """

    file_names = {"CS": "ms_academic_cs.npz", "Physics": "ms_academic_phy.npz"}  # noqa: RUF012

    def __init__(self, *, name: Literal["CS", "Physics"], root: str | Path | None = None) -> None:
        super().__init__(name=name, root=root)


class Heterophilous(_PublishedNpz):
    """Heterophilous graphs with ten splits (Platonov et al., ICLR 2023); see `GivenSplit`.

    Args:
        name: Name of the graph.
        root: The data root, see `data_root`; the file is in `heterophilous/` below it.
    """

    def __init__(
        self,
        *,
        name: Literal["minesweeper", "tolokers", "roman_empire", "amazon_ratings", "questions"],
        root: str | Path | None = None,
    ) -> None:
        allowed = ("minesweeper", "tolokers", "roman_empire", "amazon_ratings", "questions")
        super().__init__(name=name, root=root, allowed=allowed)
        self.raw_file = RawFile(
            path=f"heterophilous/{name}.npz",
            url=f"https://github.com/yandex-research/heterophilous-graphs/raw/main/data/{name}.npz",
            sha256=None,
        )

    @override
    def load(self) -> Data:
        masks = ("train_masks", "val_masks", "test_masks")
        arrays = read_arrays(self.raw_file, ["node_features", "node_labels", "edges", *masks], root=self.root)
        # Published as (10, N); transposed to a column per split.
        train, val, test = (torch.from_numpy(arrays[key].astype(bool).T.copy()) for key in masks)
        return Data(
            x=torch.from_numpy(arrays["node_features"].astype(np.float32)),
            edge_index=torch.from_numpy(arrays["edges"].astype(np.int64).T.copy()),
            y=torch.from_numpy(arrays["node_labels"].astype(np.int64)),
            train_mask=train,
            val_mask=val,
            test_mask=test,
            split_name="heterophilous_10_splits",
        )
