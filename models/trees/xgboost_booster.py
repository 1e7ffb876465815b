"""XGBoost: gradient-boosted trees by histograms, with set splits of categories."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from typing_extensions import override

from models.trees.booster import Booster, FittedTrees, Rounds, TreeTable
from models.trees.objective import Objective
from models.trees.tree_arrays import Tree, TreeArrays, join_trees, set_bits

_OBJECTIVES = {
    "binary": ("binary:logistic", "logloss"),
    "multiclass": ("multi:softprob", "mlogloss"),
    "squared": ("reg:squarederror", "rmse"),
    "absolute": ("reg:absoluteerror", "mae"),
    "poisson": ("count:poisson", "poisson-nloglik"),
}


class XGBoost(Booster):
    """XGBoost, by histograms.

    Args:
        max_depth: Depth of a tree at most.
        rounds: Rounds at most.
        learning_rate: Share of each tree that is added.
        patience: See `Booster`.
        min_weight: Sum of second derivatives of a leaf at least (`min_child_weight`).
        row_share: Share of the rows that a tree sees.
        column_share: Share of the columns that a tree sees.
        l1: Penalty on the absolute values of leaves.
        l2: Penalty on their squares.
        min_gain: Decrease of the loss by a split at least (`gamma`).
        seed: See `Booster`.
        threads: See `Booster`.
        parameters: Further parameters of XGBoost, by its own names.
    """

    requirement = "xgboost"
    reserved = frozenset(
        {
            "objective", "eval_metric", "max_depth", "eta", "learning_rate", "min_child_weight", "subsample",
            "colsample_bytree", "alpha", "reg_alpha", "lambda", "reg_lambda", "gamma", "min_split_loss", "seed",
            "nthread", "monotone_constraints", "num_class", "booster", "tree_method", "base_score", "multi_strategy",
        }
    )  # fmt: skip

    def __init__(
        self,
        *,
        max_depth: int = 6,
        rounds: int = 2000,
        learning_rate: float = 0.05,
        patience: int | None = 50,
        min_weight: float = 1.0,
        row_share: float = 1.0,
        column_share: float = 1.0,
        l1: float = 0.0,
        l2: float = 1.0,
        min_gain: float = 0.0,
        seed: int | None = None,
        threads: int | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            rounds=rounds,
            learning_rate=learning_rate,
            patience=patience,
            seed=seed,
            threads=threads,
            parameters=parameters,
        )
        self.max_depth = max_depth
        self.min_weight = min_weight
        self.row_share = row_share
        self.column_share = column_share
        self.l1 = l1
        self.l2 = l2
        self.min_gain = min_gain

    @override
    def fit(
        self, train: TreeTable, val: TreeTable, *, objective: Objective, rounds: Rounds, seed: int, threads: int
    ) -> FittedTrees:
        xgboost = self.library()
        loss, metric = self.loss_name(objective, _OBJECTIVES)
        settings = {
            "objective": loss,
            "eval_metric": metric,
            "max_depth": self.max_depth,
            "eta": self.learning_rate,
            "min_child_weight": self.min_weight,
            "subsample": self.row_share,
            "colsample_bytree": self.column_share,
            "alpha": self.l1,
            "lambda": self.l2,
            "gamma": self.min_gain,
            "seed": seed,
            "nthread": threads,
            "tree_method": "hist",
            "verbosity": 0,
            **({"num_class": objective.num_outputs} if objective.num_outputs > 1 else {}),
            **({"monotone_constraints": tuple(train.monotone.tolist())} if train.monotone.any() else {}),
            **self.parameters,
        }
        # The base is ours, given as a margin of every row: the file has XGBoost's own in a few digits.
        base = objective.base(train.targets, train.weights)

        def matrix(columns: np.ndarray, targets: np.ndarray | None = None, weights: np.ndarray | None = None) -> Any:
            kinds = ["c" if column in train.cardinalities else "q" for column in range(columns.shape[1])]
            margin = np.tile(base, (len(columns), 1))
            return xgboost.DMatrix(
                columns,
                targets,
                weight=weights,
                base_margin=margin if objective.num_outputs > 1 else margin[:, 0],
                feature_types=kinds,
                enable_categorical=True,
                nthread=threads,
            )

        data = matrix(train.columns, train.targets, train.weights)
        held = matrix(val.columns, val.targets, val.weights)
        booster = xgboost.Booster(settings, [data, held])
        while True:
            booster.update(data, rounds.last)
            value = float(booster.eval_set([(held, "val")], rounds.last).rsplit(":", 1)[1])
            if rounds.ends_with(value**2 if metric == "rmse" else value):
                break
        best = rounds.best
        model = json.loads(bytes(booster.save_raw("json")))["learner"]["gradient_booster"]["model"]
        count = best * objective.num_outputs
        trees = read_trees(
            model["trees"][:count], model["tree_info"][:count], base=base, cardinalities=train.cardinalities
        )

        def outputs(columns: np.ndarray) -> np.ndarray:
            answered = booster.predict(matrix(columns), output_margin=True, iteration_range=(0, best))
            return np.asarray(answered).reshape(len(columns), -1)

        gain = np.zeros(train.columns.shape[1])
        for tree in model["trees"][:count]:
            inner = np.asarray(tree["left_children"]) >= 0
            np.add.at(gain, np.asarray(tree["split_indices"])[inner], np.asarray(tree["loss_changes"])[inner])
        return FittedTrees(trees=trees, gain=gain, outputs=outputs)


def read_trees(
    trees: list[dict[str, Any]], targets: list[int], *, base: np.ndarray, cardinalities: Mapping[int, int]
) -> TreeArrays:
    """Reads the trees of an XGBoost model.

    Args:
        trees: As XGBoost writes them into JSON.
        targets: Output of each.
        base: What every row starts from, (C,).
        cardinalities: Number of categories by column.
    """
    return join_trees([_read_tree(tree, cardinalities) for tree in trees], targets=targets, base=base)


def _read_tree(tree: dict[str, Any], cardinalities: Mapping[int, int]) -> Tree:
    left, right = np.array(tree["left_children"]), np.array(tree["right_children"])
    conditions = np.array(tree["split_conditions"], dtype=np.float32)
    inner = left >= 0
    # Its nodes come in any order: those that compare are numbered first, a leaf is ~its place among the leaves.
    numbers = np.where(inner, np.cumsum(inner) - 1, ~(np.cumsum(~inner) - 1))
    features = np.array(tree["split_indices"])[inner]
    sets: dict[int, np.ndarray] = {}
    for node, start, size in zip(
        tree["categories_nodes"], tree["categories_segments"], tree["categories_sizes"], strict=True
    ):
        goes_right = tree["categories"][start : start + size]
        column_size = cardinalities[int(tree["split_indices"][node])]
        sets[int(numbers[node])] = set_bits(np.setdiff1d(np.arange(column_size), goes_right), column_size)
    return Tree(
        features=features,
        # Less than, where ours is at most.
        thresholds=np.nextafter(conditions[inner], np.float32(-np.inf)).astype(np.float64),
        missing_left=np.array(tree["default_left"])[inner].astype(bool),
        left=numbers[left[inner]],
        right=numbers[right[inner]],
        values=conditions[~inner].astype(np.float64),
        sets=sets,
    )
