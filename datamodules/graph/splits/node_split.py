"""NodeSplit: protocols that split the nodes of a graph."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from typing_extensions import override

from datamodules.graph.splits.random_split import check_fractions, percentages, stratified_partition

MASKS = ("train_mask", "val_mask", "test_mask")


@dataclass(frozen=True)
class NodeIndices:
    """Node indices of each part, int64, ascending; parts are disjoint, and all nodes have labels."""

    train: Tensor
    val: Tensor
    test: Tensor


class NodeSplit(ABC):
    """A protocol that splits the labelled nodes of a graph (of its `target_type` if it is heterogeneous).

    Attributes:
        name: Name of the protocol. Results under different names are not comparable.
    """

    name: str

    def name_for(self, data: Data | HeteroData) -> str:
        """Name of the protocol on this graph."""
        del data
        return self.name

    @abstractmethod
    def describe(self) -> str:
        """Describes the protocol in words."""

    @abstractmethod
    def draw(self, store: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Masks bool (N,) of train, val and test over a `Data` or a node type's store."""

    def checksums(self, data: Data | HeteroData) -> dict[str, str]:
        """SHA-256 of each file that the split of this graph is read from."""
        del data
        return {}

    def split(self, data: Data | HeteroData) -> NodeIndices:
        """Splits the labelled nodes.

        Raises:
            ValueError: The graph has no labels or lacks what the protocol needs, parts overlap, a part is empty, or a
                class has no training node.
        """
        store: Any = data[data.target_type] if isinstance(data, HeteroData) else data
        labelled = store.y >= 0
        if not labelled.any():
            raise ValueError(
                "data.graph: the graph has no labels, so there are no nodes to classify; give label, the column of "
                "their classes"
            )
        train, val, test = (mask & labelled for mask in self.draw(store))
        for first, second, names in (
            (train, val, "train and val"),
            (train, test, "train and test"),
            (val, test, "val and test"),
        ):
            if (first & second).any():
                node = int((first & second).nonzero()[0])
                raise ValueError(f"data.split: node {node} is in both {names}; correct the masks")
        for part, mask in (("train", train), ("val", val), ("test", test)):
            if not mask.any():
                raise ValueError(
                    f"data.split: {self.name} leaves no labelled node for {part}; "
                    "choose another protocol, e.g. RandomNodeSplit, or label more nodes"
                )
        absent = np.setdiff1d(store.y[labelled].numpy(), store.y[train].numpy())
        if len(absent):
            raise ValueError(
                f"data.split: {class_text(store, int(absent[0]))} has no training node; label more of its nodes, "
                "set the labels of the class to -1 (none), or take a larger training share"
            )
        return NodeIndices(*(mask.nonzero()[:, 0] for mask in (train, val, test)))


class PublicSplit(NodeSplit):
    """The masks of the graph: a published split, or the split column of a table.

    If the graph names its split (`split_name`, e.g. `planetoid_public`), that is the protocol's name.
    """

    name = "public"

    @override
    def name_for(self, data: Data | HeteroData) -> str:
        return _split_name(data, self.name)

    @override
    def describe(self) -> str:
        return "the one split that came with the graph"

    @override
    def draw(self, store: Any) -> tuple[Tensor, Tensor, Tensor]:
        masks = _given_masks(store)
        if masks[0].dim() == 2:
            raise ValueError(
                f"data.split: the graph came with {masks[0].shape[1]} splits; take GivenSplit with an index below that"
            )
        return masks


class GivenSplit(NodeSplit):
    """One of several splits that come with the graph; named as in `PublicSplit`.

    Args:
        index: Index of the split.
    """

    name = "given_splits"

    def __init__(self, *, index: int = 0) -> None:
        self.index = index

    @override
    def name_for(self, data: Data | HeteroData) -> str:
        return _split_name(data, self.name)

    @override
    def describe(self) -> str:
        return f"split {self.index} of those that came with the graph"

    @override
    def draw(self, store: Any) -> tuple[Tensor, Tensor, Tensor]:
        train, val, test = _given_masks(store)
        if train.dim() == 1:
            raise ValueError("data.split: the graph came with a single split; take PublicSplit")
        check_index(self.index, train.shape[1], what="splits")
        return train[:, self.index], val[:, self.index], test[:, self.index]


class RandomNodeSplit(NodeSplit):
    """Random split of the labelled nodes, stratified by class; `random_60_20_20` by default.

    Args:
        train: Fraction of training nodes.
        val: Fraction of validation nodes; the rest are test nodes.
        seed: Random seed.
    """

    def __init__(self, *, train: float = 0.6, val: float = 0.2, seed: int = 0) -> None:
        self.fractions = check_fractions(train, val, key="data.split")
        self.seed = seed
        self.name = f"random_{percentages(self.fractions)}"

    @override
    def describe(self) -> str:
        percent = "/".join(percentages(self.fractions).split("_"))
        return f"{percent} % of the labelled nodes of every class, drawn with seed {self.seed}"

    @override
    def draw(self, store: Any) -> tuple[Tensor, Tensor, Tensor]:
        nodes = (store.y >= 0).nonzero()[:, 0]
        labels = store.y[nodes].numpy()
        train, val, test = stratified_partition(labels, len(nodes), self.fractions, np.random.default_rng(self.seed))
        return as_mask(nodes[train], store.y), as_mask(nodes[val], store.y), as_mask(nodes[test], store.y)


ShareSplit = RandomNodeSplit  # the former name, in old configs, run folders and packages


def check_index(index: int, size: int, *, what: str) -> None:
    """Raises unless the index of a split or fold exists."""
    if not 0 <= index < size:
        raise ValueError(f"data.split.index: {index} given, but there are {size} {what}: 0 to {size - 1}")


def class_text(labels: Any, label: int) -> str:
    """Name of a class in messages: from `class_names` if there are any, else its number."""
    names = getattr(labels, "class_names", None)
    return f"class {label}" if names is None else f"class {names[label]!r}"


def _given_masks(store: Any) -> tuple[Tensor, Tensor, Tensor]:
    missing = [name for name in MASKS if name not in store]
    if missing:
        raise ValueError(
            f"data.split: the graph came without {', '.join(missing)}; take RandomNodeSplit, or a source with a split"
        )
    return store.train_mask, store.val_mask, store.test_mask


def _split_name(data: Data | HeteroData, otherwise: str) -> str:
    store: Any = data[data.target_type] if isinstance(data, HeteroData) else data
    return str(store.split_name) if "split_name" in store else otherwise


def as_mask(nodes: Tensor, like: Tensor) -> Tensor:
    """Converts node indices to a mask bool (N,), with the length of `like`."""
    mask = torch.zeros(len(like), dtype=torch.bool)
    mask[nodes] = True
    return mask
