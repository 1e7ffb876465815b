"""LightGBM: leaf-wise gradient-boosted trees with set splits of categories."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from typing_extensions import override

from models.trees.booster import Booster, FittedTrees, Rounds, TreeTable
from models.trees.objective import Objective
from models.trees.tree_arrays import Tree, TreeArrays, join_trees

_OBJECTIVES = {
    "binary": "binary",
    "multiclass": "multiclass",
    "squared": "regression",
    "absolute": "regression_l1",
    "huber": "huber",
    "poisson": "poisson",
}
_CATEGORICAL, _DEFAULT_LEFT, _MISSING = 1, 2, 12
_NAN = 8
_ZERO = float(np.float32(1e-35))
"""Numbers up to this size count as 0 when LightGBM predicts (kZeroThreshold)."""
_BELOW_ZERO = float(np.nextafter(np.float32(-_ZERO), np.float32(-np.inf)))


class LightGBM(Booster):
    """LightGBM.

    Args:
        num_leaves: Leaves of a tree at most.
        rounds: Rounds at most.
        learning_rate: Share of each tree that is added.
        patience: See `Booster`.
        max_depth: Depth of a tree at most; None for any.
        min_rows: Rows of a leaf at least.
        row_share: Share of the rows that a tree sees.
        column_share: Share of the columns that a tree sees.
        l1: Penalty on the absolute values of leaves.
        l2: Penalty on their squares.
        seed: See `Booster`.
        threads: See `Booster`.
        parameters: Further parameters of LightGBM, by its own names.
    """

    requirement = "lightgbm"
    reserved = frozenset(
        {
            "objective", "num_leaves", "learning_rate", "max_depth", "min_data_in_leaf", "bagging_fraction",
            "feature_fraction", "lambda_l1", "lambda_l2", "seed", "num_threads", "num_iterations",
            "early_stopping_round", "monotone_constraints", "metric", "boosting", "linear_tree", "num_class",
            "verbose", "deterministic", "zero_as_missing", "use_missing", "sigmoid",
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
        row_share: float = 1.0,
        column_share: float = 1.0,
        l1: float = 0.0,
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
        self.row_share = row_share
        self.column_share = column_share
        self.l1 = l1
        self.l2 = l2

    def settings(self, objective: Objective, monotone: np.ndarray, *, seed: int, threads: int) -> dict[str, Any]:
        """Parameters by LightGBM's names.

        Args:
            objective: The loss.
            monotone: Constraint of each column, (columns,).
            seed: Of random numbers.
            threads: To fit with.
        """
        given = {
            "objective": self.loss_name(objective, _OBJECTIVES),
            "num_leaves": self.num_leaves,
            "learning_rate": self.learning_rate,
            "max_depth": -1 if self.max_depth is None else self.max_depth,
            "min_data_in_leaf": self.min_rows,
            "bagging_fraction": self.row_share,
            "bagging_freq": int(self.row_share < 1.0),
            "feature_fraction": self.column_share,
            "lambda_l1": self.l1,
            "lambda_l2": self.l2,
            "seed": seed,
            "num_threads": threads,
            "deterministic": True,
            "force_row_wise": True,  # else it is chosen by a race of the two ways
            "verbose": -1,
        }
        if objective.name == "multiclass":
            given["num_class"] = objective.num_outputs
        if objective.name == "huber":
            given["alpha"] = objective.delta
        if objective.name == "poisson":
            given["metric"] = "poisson"
        if monotone.any():
            given["monotone_constraints"] = monotone.tolist()
        return {**given, **self.parameters}

    @override
    def fit(
        self, train: TreeTable, val: TreeTable, *, objective: Objective, rounds: Rounds, seed: int, threads: int
    ) -> FittedTrees:
        lightgbm = self.library()
        settings = self.settings(objective, train.monotone, seed=seed, threads=threads)
        data = lightgbm.Dataset(
            train.columns,
            train.targets,
            weight=train.weights,
            categorical_feature=sorted(train.cardinalities),
            params=settings,
        )
        booster = lightgbm.Booster(settings, data)
        booster.add_valid(data.create_valid(val.columns, val.targets, weight=val.weights), "val")
        while True:
            no_split = booster.update()
            if rounds.ends_with(booster.eval_valid()[0][2]) or no_split:
                break
        trees = read_trees(booster.model_to_string(num_iteration=rounds.best), num_outputs=objective.num_outputs)
        best = rounds.best

        def outputs(columns: np.ndarray) -> np.ndarray:
            answered = booster.predict(columns, raw_score=True, num_iteration=best, num_threads=threads)
            return np.asarray(answered).reshape(len(columns), -1)

        gain = booster.feature_importance("gain", iteration=best)
        return FittedTrees(trees=trees, gain=gain, outputs=outputs)


def read_trees(text: str, *, num_outputs: int) -> TreeArrays:
    """Reads the trees of a LightGBM model.

    Args:
        text: The model as LightGBM writes it (`model_to_string`).
        num_outputs: Outputs per row.
    """
    parts = text.split("\nend of trees")[0].split("\nTree=")[1:]
    trees = [_read_tree(dict(line.split("=", 1) for line in part.splitlines() if "=" in line)) for part in parts]
    return join_trees(trees, targets=[index % num_outputs for index in range(len(trees))], base=np.zeros(num_outputs))


def _read_tree(fields: dict[str, str]) -> Tree:
    values = _numbers(fields["leaf_value"], np.float64)
    if int(fields["num_leaves"]) == 1:
        nothing = np.zeros(0, dtype=np.int64)
        return Tree(
            features=nothing, thresholds=np.zeros(0), missing_left=np.zeros(0, dtype=bool), left=nothing, right=nothing,
            values=values[:1], sets={},
        )  # fmt: skip
    decisions = _numbers(fields["decision_type"], np.int64)
    thresholds = _numbers(fields["threshold"], np.float64)
    sets: dict[int, np.ndarray] = {}
    if int(fields.get("num_cat", 0)):
        bounds, words = _numbers(fields["cat_boundaries"], np.int64), _numbers(fields["cat_threshold"], np.int64)
        for node in np.flatnonzero(decisions & _CATEGORICAL).tolist():
            which = int(thresholds[node])
            sets[node] = words[bounds[which] : bounds[which + 1]].astype("<u4").view(np.uint8)
    # Where training had no missing number, LightGBM takes a missing one for 0.
    has_missing = (decisions & _MISSING) == _NAN
    near_zero = np.abs(thresholds) <= _ZERO
    return Tree(
        features=_numbers(fields["split_feature"], np.int64),
        thresholds=np.where(near_zero, np.where(thresholds < 0, _BELOW_ZERO, _ZERO), thresholds),
        missing_left=np.where(has_missing, (decisions & _DEFAULT_LEFT) > 0, thresholds >= 0.0),
        left=_numbers(fields["left_child"], np.int64),
        right=_numbers(fields["right_child"], np.int64),
        values=values,
        sets=sets,
    )


def _numbers(text: str, dtype: Any) -> np.ndarray:
    return np.fromstring(text, dtype=dtype, sep=" ")
