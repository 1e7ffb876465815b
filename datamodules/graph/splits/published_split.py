"""Published splits of papers: GeomGCNSplit, LuoSplit, ShchurSplit and ErricaFolds."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from typing_extensions import override

from datamodules.graph.sources.flat_graphs import FlatGraphs
from datamodules.graph.sources.published_npz import read_arrays
from datamodules.graph.sources.source import file_checksums
from datamodules.graph.splits.graph_split import GraphSplit
from datamodules.graph.splits.node_split import MASKS, NodeSplit, as_mask, check_index, class_text
from datamodules.sources import RawFile, data_root, sha256_of


class GeomGCNSplit(NodeSplit):
    """One of ten splits of Cora, CiteSeer or PubMed with most nodes for training (Pei et al., Geom-GCN, ICLR 2020).

    The names of its files claim 60 and 20 %; their content is closer to 48/32/20. Isolated nodes of CiteSeer may be in
    no part.

    Args:
        index: Index of the split, 0 to 9.
        root: The data root, see `data_root`; the files are in `planetoid/<name>/geom-gcn/raw/` below it.
    """

    name = "geom_gcn"

    def __init__(self, *, index: int = 0, root: str | Path | None = None) -> None:
        check_index(index, 10, what="splits")
        self.index = index
        self.root = root

    @override
    def describe(self) -> str:
        return f"split {self.index} of the ten of Geom-GCN"

    @override
    def checksums(self, data: Data | HeteroData) -> dict[str, str]:
        return file_checksums([self._file(data)], root=self.root)

    @override
    def draw(self, store: Any) -> tuple[Tensor, Tensor, Tensor]:
        raw = self._file(store)
        masks = read_arrays(raw, MASKS, root=self.root)
        for name, mask in masks.items():
            if mask.shape != tuple(store.y.shape):
                raise ValueError(
                    f"{raw.path}: {name} has shape {mask.shape}, but {store.source_name} has {len(store.y)} nodes"
                )
        train, val, test = (torch.from_numpy(masks[name].astype(bool)) for name in MASKS)
        return train, val, test

    def _file(self, store: Any) -> RawFile:
        graph = store.source_name if "source_name" in store else None
        if graph not in ("Cora", "CiteSeer", "PubMed"):
            raise ValueError(
                f"data.split: GeomGCNSplit splits Cora, CiteSeer and PubMed, not {graph}; take RandomNodeSplit"
            )
        file = f"{graph.lower()}_split_0.6_0.2_{self.index}.npz"
        return RawFile(
            path=f"planetoid/{graph}/geom-gcn/raw/{file}",
            url=f"https://raw.githubusercontent.com/graphdml-uiuc-jlu/geom-gcn/master/splits/{file}",
            sha256=None,
        )


class LuoSplit(NodeSplit):
    """The random split of Luo et al. (Classic GNNs are strong baselines, NeurIPS 2024): 20 per class, 500, 1,000.

    Its results are several points above those on the public split, with which they are often compared. Procedure and
    seed are the authors'. It was not verified that torch's generator still yields the same nodes as theirs; numpy's or
    a GPU's would not.

    Args:
        seed: Random seed; the authors' is 123.
    """

    name = "luo_random"

    def __init__(self, *, seed: int = 123) -> None:
        self.seed = seed

    @override
    def describe(self) -> str:
        return f"20 nodes per class to train, 500 to validate, 1,000 to test, drawn with seed {self.seed}"

    @override
    def draw(self, store: Any) -> tuple[Tensor, Tensor, Tensor]:
        y = store.y
        generator = torch.Generator().manual_seed(self.seed)
        train, rest = [], []
        for label in y[y >= 0].unique():
            members = (y == label).nonzero()[:, 0]
            if len(members) < 20:
                raise ValueError(
                    f"data.split: {class_text(store, int(label))} has {len(members)} nodes, LuoSplit needs 20 of each; "
                    "take RandomNodeSplit"
                )
            members = members[torch.randperm(len(members), generator=generator)]
            train.append(members[:20])
            rest.append(members[20:])
        others = torch.cat(rest)
        if len(others) < 1500:
            raise ValueError(
                f"data.split: LuoSplit needs 1,500 labelled nodes besides those for training, there are {len(others)}; "
                "take RandomNodeSplit"
            )
        others = others[torch.randperm(len(others), generator=generator)]
        return as_mask(torch.cat(train), y), as_mask(others[:500], y), as_mask(others[500:1500], y)


class ShchurSplit(NodeSplit):
    """The random splits of Shchur et al. (Pitfalls of graph neural network evaluation, 2018): 20 / 30 / rest per class.

    A single split says little: classes swap places from one to the next. Results are means over many, in the paper 100,
    by `lightning-app compare CONFIG --splits N`. Nodes are drawn with this project's generator, so they are not the
    authors' own. A class that is too small is refused; the authors left such classes out.

    Args:
        train: Training nodes of each class.
        val: Validation nodes of each class; all others are test nodes.
        seed: Random seed.
    """

    name = "shchur_20_30"

    def __init__(self, *, train: int = 20, val: int = 30, seed: int = 0) -> None:
        if train < 1 or val < 1:
            raise ValueError(f"data.split: train {train} and val {val} given, at least 1 node of each class is needed")
        self.train = train
        self.val = val
        self.seed = seed
        self.name = f"shchur_{train}_{val}"

    @override
    def describe(self) -> str:
        return f"{self.train} nodes per class to train, {self.val} to validate, all others test; seed {self.seed}"

    @override
    def draw(self, store: Any) -> tuple[Tensor, Tensor, Tensor]:
        y = store.y
        generator = np.random.default_rng(self.seed)
        parts: list[list[np.ndarray]] = [[], [], []]
        needed = self.train + self.val + 1
        for label in y[y >= 0].unique():
            members = generator.permutation((y == label).nonzero()[:, 0].numpy())
            if len(members) < needed:
                raise ValueError(
                    f"data.split: {class_text(store, int(label))} has {len(members)} nodes, ShchurSplit needs {needed} "
                    "of each class; set its labels to -1 (none), give smaller train and val, or take RandomNodeSplit"
                )
            for part, nodes in zip(parts, np.split(members, [self.train, needed - 1]), strict=True):
                part.append(nodes)
        train, val, test = (as_mask(torch.from_numpy(np.concatenate(part)), y) for part in parts)
        return train, val, test


class ErricaFolds(GraphSplit):
    """The published folds of Errica et al. (A fair comparison of graph neural networks, ICLR 2020).

    Their files, one for each set, are in github.com/diningphil/gnn-comparison under `data_splits`.

    Args:
        index: Index of the outer fold, from 0.
        path: The JSON file, relative to the working directory, else to the data root; None for
            `tudataset/splits/<name of the set>_splits.json`.
        root: The data root, see `data_root`.
    """

    name = "errica_folds"

    def __init__(self, *, index: int = 0, path: str | Path | None = None, root: str | Path | None = None) -> None:
        self.index = index
        self.path = path or None
        self.root = root

    @override
    def describe(self) -> str:
        return f"outer fold {self.index} of the published folds of Errica et al., model chosen on its inner hold-out"

    @override
    def checksums(self, graphs: FlatGraphs) -> dict[str, str]:
        path = self._file(graphs)
        return {path.name: sha256_of(path)}

    @override
    def draw(self, graphs: FlatGraphs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        path = self._file(graphs)
        try:
            folds = json.loads(path.read_text(encoding="utf-8"))
            check_index(self.index, len(folds), what="folds")
            fold = folds[self.index]
            inner = fold["model_selection"][0]
            parts = [np.array(part, dtype=np.int64) for part in (inner["train"], inner["validation"], fold["test"])]
        except (json.JSONDecodeError, KeyError, IndexError, TypeError) as error:
            raise ValueError(
                f"{path} does not hold published folds ({error!r}): a list with, for each fold, `test` and "
                "`model_selection`, a list whose first entry has `train` and `validation`"
            ) from error
        together = np.concatenate(parts)
        if len(np.unique(together)) != len(together):
            raise ValueError(f"{path}: fold {self.index} has a graph in two parts")
        if not np.isin(together, graphs.labelled).all():
            wrong = together[~np.isin(together, graphs.labelled)][0]
            raise ValueError(f"{path}: fold {self.index} names graph {wrong}, which {graphs.source_name} does not have")
        return parts[0], parts[1], parts[2]

    def _file(self, graphs: FlatGraphs) -> Path:
        path = self.path or f"tudataset/splits/{graphs.source_name}_splits.json"
        candidates = [data_root(self.root) / path]
        if self.path is not None:
            candidates.insert(0, Path(self.path).expanduser())
        existing = next((candidate for candidate in candidates if candidate.is_file()), None)
        if existing is None:
            raise FileNotFoundError(
                f"data.split.path: {path!r} does not exist; looked for {' and '.join(map(str, candidates))}. "
                "Get it from https://github.com/diningphil/gnn-comparison (data_splits)"
            )
        return existing
