"""Tree graph: fitted trees as the TreeEnsembleRegressor operator of ONNX (ai.onnx.ml 3)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from models.trees.tree_arrays import TreeArrays

ML_OPSET = 3
"""Not TreeEnsemble of version 5, which has set membership: ONNX Runtime 1.31 refuses shared children there
(tree_ensemble_attribute.h), and a set of more than 32 categories needs them."""
WORD = 32
"""Categories of a set that ONNX Runtime tests at once: it joins a chain of equalities with whole numbers 1 to 32 to the
same child into one test of a bit mask (`AddNodes` in tree_ensemble_common.h)."""


def num_words(cardinality: int) -> int:
    """Columns that a category needs, each for 32 of its values from 1; 0, the unknown one, is in no set."""
    return max(1, -(-(cardinality - 1) // WORD))


class TreeNode:
    """Writer of the operator for some trees.

    A category column has as many columns of the operator as `num_words` says, the j-th less by 32 j. A set is a chain
    of equalities. It never contains 0: otherwise its node has its children exchanged and the set of the others, so that
    an unknown category, and any index that the column does not have, goes one way.

    Args:
        trees: The trees.
        cardinalities: Number of categories by column of the trees, for those that are categories.
        words: Columns of the operator by column of the trees, for categories of several words; other columns stay.
    """

    def __init__(
        self, trees: TreeArrays, *, cardinalities: Mapping[int, int], words: Mapping[int, Sequence[int]]
    ) -> None:
        self.trees = trees
        self.cardinalities = cardinalities
        self.words = words
        self._tree_ids: list[int] = []
        self._node_ids: list[int] = []
        self._features: list[int] = []
        self._values: list[float] = []
        self._modes: list[str] = []
        self._missing: list[int] = []
        self._true: list[int] = []
        self._false: list[int] = []
        self._leaves: list[tuple[int, int, int, float]] = []

    def write(self, source: str, result: str) -> Any:
        """The operator, with one output (B, num_outputs).

        Args:
            source: Name of its input, float32 (B, columns).
            result: Name of its output.
        """
        from onnx import helper

        trees = self.trees
        for tree, (root, target) in enumerate(zip(trees.roots.tolist(), trees.targets.tolist(), strict=True)):
            self._add_tree(tree, root, target)
        tree_ids, node_ids, targets, weights = zip(*self._leaves, strict=True)
        attributes: dict[str, Any] = {
            "n_targets": len(trees.base),
            "base_values": trees.base.tolist(),
            "aggregate_function": "SUM",
            "post_transform": "NONE",
            "nodes_treeids": self._tree_ids,
            "nodes_nodeids": self._node_ids,
            "nodes_featureids": self._features,
            "nodes_values": self._values,
            "nodes_modes": self._modes,
            "nodes_truenodeids": self._true,
            "nodes_falsenodeids": self._false,
            "target_treeids": tree_ids,
            "target_nodeids": node_ids,
            "target_ids": targets,
            "target_weights": weights,
        }
        if any(self._missing):
            attributes["nodes_missing_value_tracks_true"] = self._missing
        return helper.make_node("TreeEnsembleRegressor", [source], [result], domain="ai.onnx.ml", **attributes)

    def _add_tree(self, tree: int, root: int, target: int) -> None:
        trees, start = self.trees, len(self._features)

        # A stack, not recursion: a tree may be as deep as it has leaves.
        waiting: list[tuple[int, list[tuple[list[int], int]]]] = [(root, [])]
        while waiting:
            node, parents = waiting.pop()
            first = len(self._features)
            for children, parent in parents:
                children[parent] = first - start
            if trees.left[node] == node:
                self._leaves.append((tree, first - start, target, float(trees.values[node])))
                self._add(tree, start, mode="LEAF")
                continue
            left, right = int(trees.left[node]), int(trees.right[node])
            if trees.sets[node] < 0:
                self._add(
                    tree,
                    start,
                    mode="BRANCH_LEQ",
                    feature=int(trees.features[node]),
                    value=float(trees.thresholds[node]),
                    missing=int(trees.missing_left[node]),
                )
            elif self._add_set(tree, start, node):
                left, right = right, left
            last = len(self._features) - 1
            for number in range(first, last):
                self._false[number] = number + 1 - start
            waiting.append((left, [(self._true, number) for number in range(first, last + 1)]))
            waiting.append((right, [(self._false, last)]))

    def _add(self, tree: int, start: int, *, mode: str, feature: int = 0, value: float = 0.0, missing: int = 0) -> None:
        self._tree_ids.append(tree)
        self._node_ids.append(len(self._features) - start)
        self._features.append(feature)
        self._values.append(value)
        self._modes.append(mode)
        self._missing.append(missing)
        self._true.append(0)
        self._false.append(0)

    def _add_set(self, tree: int, start: int, node: int) -> bool:
        """Adds the equalities of a set; whether it is the set of those that go right."""
        trees, column = self.trees, int(self.trees.features[node])
        size = self.cardinalities[column]
        inside = np.unpackbits(trees.members[trees.sets[node]], bitorder="little", count=size).astype(bool)
        swapped = bool(inside[0])
        members = np.flatnonzero(~inside if swapped else inside).tolist()
        columns = self.words.get(column, (column,))
        for member in members or [-1]:
            word, value = (0, -1) if member < 0 else ((member - 1) // WORD, (member - 1) % WORD + 1)
            self._add(tree, start, mode="BRANCH_EQ", feature=columns[word], value=float(value))
        return swapped
