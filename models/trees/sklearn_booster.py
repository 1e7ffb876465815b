"""HistGradientBoosting: the histogram-based gradient-boosted trees of scikit-learn."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from typing_extensions import override

from models.trees.booster import Booster, FittedTrees, Rounds, TreeTable
from models.trees.objective import Objective
from models.trees.tree_arrays import Tree, TreeArrays, join_trees, set_bits

_LOSSES = {
    "binary": "log_loss",
    "multiclass": "log_loss",
    "squared": "squared_error",
    "absolute": "absolute_error",
    "poisson": "poisson",
}
_MOST_CATEGORIES = 255


class HistGradientBoosting(Booster):
    """HistGradientBoostingClassifier and HistGradientBoostingRegressor.

    The library fits all rounds in one call: the learning curve is there when it ends, and a sweep cannot prune it.

    Args:
        num_leaves: Leaves of a tree at most.
        rounds: Rounds at most.
        learning_rate: Share of each tree that is added.
        patience: See `Booster`.
        max_depth: Depth of a tree at most; None for any.
        min_rows: Rows of a leaf at least.
        column_share: Share of the columns that a split sees.
        l2: Penalty on the squares of leaves.
        seed: See `Booster`.
        threads: See `Booster`.
        parameters: Further parameters of scikit-learn, by its own names.
    """

    requirement = "sklearn"
    reserved = frozenset(
        {
            "loss", "learning_rate", "max_iter", "max_leaf_nodes", "max_depth", "min_samples_leaf", "l2_regularization",
            "max_features", "categorical_features", "monotonic_cst", "early_stopping", "n_iter_no_change", "tol",
            "scoring", "warm_start", "random_state", "validation_fraction", "verbose",
        }
    )  # fmt: skip

    def __init__(
        self,
        *,
        num_leaves: int = 31,
        rounds: int = 2000,
        learning_rate: float = 0.05,
        patience: int | None = 50,
        max_depth: int | None = None,
        min_rows: int = 20,
        column_share: float = 1.0,
        l2: float = 0.0,
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
        self.num_leaves = num_leaves
        self.max_depth = max_depth
        self.min_rows = min_rows
        self.column_share = column_share
        self.l2 = l2

    @override
    def fit(
        self, train: TreeTable, val: TreeTable, *, objective: Objective, rounds: Rounds, seed: int, threads: int
    ) -> FittedTrees:
        ensemble = self.library("sklearn.ensemble")
        loss = self.loss_name(objective, _LOSSES)
        classifies = objective.name in ("binary", "multiclass")
        kind = ensemble.HistGradientBoostingClassifier if classifies else ensemble.HistGradientBoostingRegressor
        columns = sorted(train.cardinalities)
        for column in columns:
            if (size := len(np.unique(train.columns[:, column]))) > _MOST_CATEGORIES:
                raise ValueError(
                    f"model.booster: a category of {size:,} values in the training rows, HistGradientBoosting takes "
                    f"{_MOST_CATEGORIES}; take LightGBM, or a vocabulary with max_size or min_count"
                )
        model = kind(
            loss=loss,
            learning_rate=self.learning_rate,
            max_iter=rounds.most,
            max_leaf_nodes=self.num_leaves,
            max_depth=self.max_depth,
            min_samples_leaf=self.min_rows,
            max_features=self.column_share,
            l2_regularization=self.l2,
            categorical_features=columns or None,
            monotonic_cst=train.monotone.tolist() if train.monotone.any() else None,
            early_stopping=True,  # else it keeps no losses of the validation rows
            n_iter_no_change=rounds.most if rounds.patience is None else rounds.patience,
            tol=0.0,
            random_state=seed,
            **self.parameters,
        )
        with self.library("threadpoolctl").threadpool_limits(threads, user_api="openmp"):
            model.fit(
                train.columns,
                train.targets,
                sample_weight=train.weights,
                X_val=val.columns,
                y_val=val.targets,
                sample_weight_val=val.weights,
            )
        scale = 2.0 if objective.name == "squared" else 1.0  # it takes half of the squared error
        for score in model.validation_score_[1:]:  # the first is that of the base alone
            if rounds.ends_with(-float(score) * scale):
                break
        trees, gain = read_trees(
            model, rounds.best, num_columns=train.columns.shape[1], cardinalities=train.cardinalities
        )

        def outputs(rows: np.ndarray) -> np.ndarray:
            staged = model.staged_decision_function(rows) if classifies else model._staged_raw_predict(rows)
            for number, answered in enumerate(staged, start=1):
                if number == rounds.best:
                    return np.asarray(answered).reshape(len(rows), -1)
            raise AssertionError(f"no round {rounds.best}")

        return FittedTrees(trees=trees, gain=gain, outputs=outputs)


def read_trees(
    model: Any, rounds: int, *, num_columns: int, cardinalities: Mapping[int, int]
) -> tuple[TreeArrays, np.ndarray]:
    """Reads the trees of a fitted estimator, and the gain by column.

    scikit-learn puts columns of categories first, and counts the categories that it saw.

    Args:
        model: The estimator.
        rounds: Rounds to read.
        num_columns: Columns of a row.
        cardinalities: Number of categories by column.
    """
    categories = sorted(cardinalities)
    order = np.array([*categories, *(column for column in range(num_columns) if column not in cardinalities)])
    seen: list[np.ndarray] = []
    if categories:
        seen = [known.astype(np.int64) for known in model._preprocessor.named_transformers_["encoder"].categories_]
    gain = np.zeros(num_columns)
    trees: list[Tree] = []
    targets: list[int] = []
    for stage in model._predictors[:rounds]:
        for target, predictor in enumerate(stage):
            nodes = predictor.nodes
            inner = nodes["is_leaf"] == 0
            np.add.at(gain, order[nodes["feature_idx"][inner]], nodes["gain"][inner])
            trees.append(_read_tree(predictor, order, seen, cardinalities))
            targets.append(target)
    base = np.asarray(model._baseline_prediction, dtype=np.float64).reshape(-1)
    return join_trees(trees, targets=targets, base=base), gain


def _read_tree(predictor: Any, order: np.ndarray, seen: list[np.ndarray], cardinalities: Mapping[int, int]) -> Tree:
    nodes = predictor.nodes
    inner = nodes["is_leaf"] == 0
    numbers = np.where(inner, np.cumsum(inner) - 1, ~(np.cumsum(~inner) - 1))
    sets: dict[int, np.ndarray] = {}
    for node in np.flatnonzero(inner & (nodes["is_categorical"] == 1)).tolist():
        place = int(nodes["feature_idx"][node])
        words = predictor.raw_left_cat_bitsets[nodes["bitset_idx"][node]]
        bits = np.unpackbits(words.astype("<u4").view(np.uint8), bitorder="little").astype(bool)
        size = cardinalities[int(order[place])]
        goes_left = np.full(size, bool(nodes["missing_go_to_left"][node]))  # a category never seen counts as missing
        goes_left[seen[place]] = bits[: len(seen[place])]
        sets[int(numbers[node])] = set_bits(np.flatnonzero(goes_left), size)
    return Tree(
        features=order[nodes["feature_idx"][inner]],
        thresholds=nodes["num_threshold"][inner],
        missing_left=nodes["missing_go_to_left"][inner].astype(bool),
        left=numbers[nodes["left"][inner]],
        right=numbers[nodes["right"][inner]],
        values=nodes["value"][~inner],
        sets=sets,
    )
