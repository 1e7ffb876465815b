"""GraphSplit: protocols that split a set of graphs."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from typing_extensions import override

from datamodules.graph.sources.flat_graphs import FlatGraphs
from datamodules.graph.splits.node_split import check_index, class_text
from datamodules.graph.splits.random_split import check_fractions, percentages, stratified_partition


@dataclass(frozen=True)
class GraphIndices:
    """Graph indices of each part, int64, ascending."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray


class GraphSplit(ABC):
    """A protocol that splits the labelled graphs of a set.

    Attributes:
        name: Name of the protocol. Results under different names are not comparable.
    """

    name: str

    def name_for(self, graphs: FlatGraphs) -> str:
        """Name of the protocol on this set; regression targets have no classes to stratify by."""
        return self.name.removeprefix("stratified_") if graphs.y.is_floating_point() else self.name

    @abstractmethod
    def describe(self) -> str:
        """Describes the protocol in words."""

    @abstractmethod
    def draw(self, graphs: FlatGraphs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Indices of the training, validation and test graphs."""

    def checksums(self, graphs: FlatGraphs) -> dict[str, str]:
        """SHA-256 of each file that the split of these graphs is read from."""
        del graphs
        return {}

    def split(self, graphs: FlatGraphs) -> GraphIndices:
        """Splits the labelled graphs.

        Raises:
            ValueError: There is only one class, a class has no training graph, a part is empty, or published folds are
                of other graphs.
        """
        labelled = graphs.labelled
        if not graphs.y.is_floating_point() and len(np.unique(graphs.y.numpy()[labelled])) < 2:
            raise ValueError(
                f"data.split: {graphs.source_name} has {len(labelled)} labelled graphs of fewer than two classes; "
                "classification needs at least two"
            )
        parts = {
            part: np.sort(indices) for part, indices in zip(("train", "val", "test"), self.draw(graphs), strict=True)
        }
        for part, indices in parts.items():
            if not len(indices):
                raise ValueError(
                    f"data.split: {self.name} leaves no graph for {part}, of {len(labelled)} labelled ones; "
                    "give more graphs or other shares"
                )
        if not graphs.y.is_floating_point():
            classes = graphs.y.numpy()
            absent = np.setdiff1d(classes[labelled], classes[parts["train"]])
            if len(absent):
                raise ValueError(
                    f"data.split: {class_text(graphs, int(absent[0]))} has no training graph; give more of its graphs, "
                    "leave the class out, or take a larger training share"
                )
        return GraphIndices(**parts)


class StratifiedFolds(GraphSplit):
    """Stratified cross-validation: one fold is the test set, a fraction of the others the validation set.

    Models are selected on validation graphs, and the test fold is used once, as Errica et al. (ICLR 2020) require.
    Regression targets are split into plain folds.

    Args:
        index: Index of the test fold.
        num_folds: Number of folds.
        val_share: Fraction of the other folds used for validation.
        seed: Random seed of the folds and of the validation set.
    """

    def __init__(self, *, index: int = 0, num_folds: int = 10, val_share: float = 0.1, seed: int = 0) -> None:
        _check_folds(index, num_folds)
        if not 0 < val_share < 1:
            raise ValueError(f"data.split.val_share: {val_share} given, must be between 0 and 1")
        self.index = index
        self.num_folds = num_folds
        self.val_share = val_share
        self.seed = seed
        self.name = f"stratified_{num_folds}_folds"

    @override
    def describe(self) -> str:
        return (
            f"fold {self.index} of {self.num_folds} tests; {100 * self.val_share:g} % of the others validate and "
            f"choose the model; seed {self.seed}"
        )

    @override
    def draw(self, graphs: FlatGraphs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rest, test = _fold(graphs, self.index, self.num_folds, self.seed)
        generator = np.random.default_rng([self.seed, self.index])
        fractions = (1 - self.val_share, self.val_share)
        train, val = stratified_partition(_classes(graphs, rest), len(rest), fractions, generator)
        return rest[train], rest[val], test


class XuFolds(GraphSplit):
    """The folds of Xu et al. (How powerful are graph neural networks?, ICLR 2019): validation is the test fold.

    They select the epoch with the best mean test accuracy over the folds. That uses the test graphs, so results are
    upper bounds and do not belong in a table with those of `StratifiedFolds` or `ErricaFolds`. The result is that of
    all folds together, by `lightning-app compare --splits`: a test of a single fold raises.

    Args:
        index: Index of the fold for both validation and test.
        num_folds: Number of folds.
        seed: Random seed of the folds.
    """

    def __init__(self, *, index: int = 0, num_folds: int = 10, seed: int = 0) -> None:
        _check_folds(index, num_folds)
        self.index = index
        self.num_folds = num_folds
        self.seed = seed
        self.name = f"xu_{num_folds}_folds"

    @override
    def describe(self) -> str:
        return (
            f"fold {self.index} of {self.num_folds} both validates and tests, the epoch is chosen on the folds' mean "
            "test curve: an upper bound, not comparable with protocols that hold the test graphs out; "
            f"seed {self.seed}"
        )

    @override
    def draw(self, graphs: FlatGraphs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        train, test = _fold(graphs, self.index, self.num_folds, self.seed)
        return train, test, test


class RandomGraphSplit(GraphSplit):
    """Random split of the graphs, stratified by class if there are classes; `stratified_random_80_10_10`.

    Args:
        train: Fraction of training graphs.
        val: Fraction of validation graphs; the rest are test graphs.
        seed: Random seed.
    """

    def __init__(self, *, train: float = 0.8, val: float = 0.1, seed: int = 0) -> None:
        self.fractions = check_fractions(train, val, key="data.split")
        self.seed = seed
        self.name = f"stratified_random_{percentages(self.fractions)}"

    @override
    def describe(self) -> str:
        return f"{'/'.join(percentages(self.fractions).split('_'))} % of the graphs, drawn with seed {self.seed}"

    @override
    def draw(self, graphs: FlatGraphs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        chosen = graphs.labelled
        generator = np.random.default_rng(self.seed)
        train, val, test = stratified_partition(_classes(graphs, chosen), len(chosen), self.fractions, generator)
        return chosen[train], chosen[val], chosen[test]


GraphShareSplit = RandomGraphSplit  # the former name, in old configs, run folders and packages


def _check_folds(index: int, num_folds: int) -> None:
    if num_folds < 2:
        raise ValueError(f"data.split.num_folds: {num_folds} given, at least 2 are needed")
    check_index(index, num_folds, what="folds")


def _classes(graphs: FlatGraphs, chosen: np.ndarray) -> np.ndarray | None:
    return None if graphs.y.is_floating_point() else graphs.y.numpy()[chosen]


def _fold(graphs: FlatGraphs, index: int, num_folds: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the labelled graphs outside and inside one fold."""
    chosen = graphs.labelled
    classes = _classes(graphs, chosen)
    advice = "give data.split.num_folds a smaller number, or more graphs"
    if len(chosen) < num_folds:
        raise ValueError(f"data.split: {len(chosen)} labelled graphs do not fill {num_folds} folds; {advice}")
    from sklearn.model_selection import KFold, StratifiedKFold  # imported here: takes a second, half of it scipy.stats

    if classes is None:
        folds = KFold(num_folds, shuffle=True, random_state=seed).split(chosen)
    else:
        labels, sizes = np.unique(classes, return_counts=True)
        if sizes.min() < num_folds:
            small = class_text(graphs, int(labels[sizes.argmin()]))
            raise ValueError(f"data.split: {small} has {sizes.min()} graphs, too few for {num_folds} folds; {advice}")
        folds = StratifiedKFold(num_folds, shuffle=True, random_state=seed).split(chosen, classes)
    rest, inside = list(folds)[index]
    return chosen[rest], chosen[inside]
