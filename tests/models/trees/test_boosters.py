"""Boosting libraries: the trees read back answer as the library does, whatever a row holds."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from lightning_app.packaging.export.families.tree_graph import TreeNode, num_words
from models.tasks import BinaryClassification, Counts, MulticlassClassification, Regression, TabularTask
from models.trees import Booster, HistGradientBoosting, LightGBM, Objective, TreeEnsemble, XGBoost
from models.trees.booster import FittedTrees, Rounds, TreeTable

SMALL = {"rounds": 10, "learning_rate": 0.3, "patience": None, "threads": 1, "seed": 0}
CARDINALITIES = {2: 5, 3: 70}
LIBRARIES = ("lightgbm", "xgboost", "sklearn")
TASKS: dict[str, TabularTask] = {
    "binary": BinaryClassification(),
    "multiclass": MulticlassClassification(num_classes=3),
    "squared": Regression(),
    "absolute": Regression(loss=nn.L1Loss()),
    "huber": Regression(loss=nn.HuberLoss()),
    "poisson": Counts(),
}


def booster(name: str, **settings: Any) -> Booster:
    kinds: dict[str, tuple[Any, dict[str, Any]]] = {
        "lightgbm": (LightGBM, {"num_leaves": 7, "min_rows": 3, "parameters": {"min_data_per_group": 3}}),
        "xgboost": (XGBoost, {"max_depth": 3, "parameters": {"max_cat_to_onehot": 1}}),
        "sklearn": (HistGradientBoosting, {"num_leaves": 7, "min_rows": 3}),
    }
    pytest.importorskip(name, reason=f"{name} is not installed")
    kind, own = kinds[name]
    made: Booster = kind(**{**SMALL, **own, **settings})
    return made


def table(objective: Objective, *, seed: int, rows: int = 200, missing: bool = True) -> TreeTable:
    """Two numbers, of which the second may be missing, and categories of 5 and of 70 values."""
    rng = np.random.default_rng(seed)
    columns = np.column_stack(
        [
            rng.normal(size=rows).round(1),
            np.where(rng.random(rows) < 0.2, np.nan, rng.normal(size=rows)) if missing else rng.normal(size=rows),
            rng.integers(0, 5, rows),
            rng.integers(0, 70, rows),
        ]
    ).astype(np.float32)
    signal = columns[:, 0] + np.nan_to_num(columns[:, 1], nan=1.5) + (columns[:, 2] == 3) + (columns[:, 3] % 3 == 0)
    targets = {
        "binary": (signal > 1).astype(np.float64),
        "multiclass": np.digitize(signal, [0.5, 1.5]).astype(np.float64),
        "poisson": rng.poisson(np.exp(signal / 3)).astype(np.float64),
    }.get(objective.name, signal.astype(np.float64))
    return TreeTable(
        columns=columns,
        targets=targets,
        weights=None,
        cardinalities=CARDINALITIES,
        monotone=np.zeros(4, dtype=np.int64),
    )


def fitted(kind: Booster, objective: Objective, *, missing: bool = True) -> FittedTrees:
    rounds = Rounds(most=kind.rounds, patience=kind.patience, on_round=lambda number, loss: False)
    train, val = table(objective, seed=0, missing=missing), table(objective, seed=1, missing=missing)
    return kind.fit(train, val, objective=objective, rounds=rounds, seed=0, threads=1)


def questions(fit: FittedTrees) -> np.ndarray:
    """Rows of every kind: seen, missing, huge, categories never seen, and numbers at and beside each threshold."""
    rows = table(Objective(name="squared"), seed=2).columns
    rows[:20, 0] = np.nan
    rows[20:30, 0] = 3e38
    rows[30:40, 0] = -3e38
    rows[40:60, 2] = 0
    compared = (fit.trees.left != np.arange(len(fit.trees.left))) & (fit.trees.sets < 0)
    edges: list[np.ndarray] = []
    for feature, threshold in zip(fit.trees.features[compared], fit.trees.thresholds[compared], strict=True):
        for value in (
            threshold,
            np.nextafter(threshold, np.float32(np.inf)),
            np.nextafter(threshold, np.float32(-np.inf)),
        ):
            row = rows[len(edges) % len(rows)].copy()
            row[feature] = value
            edges.append(row)
    return np.concatenate([rows, np.array(edges, dtype=np.float32)])


def ensemble(fit: FittedTrees) -> TreeEnsemble:
    network = TreeEnsemble(num_outputs=len(fit.trees.base), num_columns=4)
    network.set_trees(fit.trees, gain=fit.gain)
    return network


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_curve_of_squared_errors_ends_at_the_mean_squared_error(library: str) -> None:
    losses: list[float] = []
    rounds = Rounds(most=10, patience=None, on_round=lambda number, loss: losses.append(loss) or False)  # type: ignore[func-returns-value]
    objective = Objective(name="squared")
    train, val = table(objective, seed=0), table(objective, seed=1)
    fit = booster(library).fit(train, val, objective=objective, rounds=rounds, seed=0, threads=1)
    error = float(np.square(fit.outputs(val.columns)[:, 0] - val.targets).mean())
    assert losses[-1] == pytest.approx(error, rel=1e-4)


@pytest.mark.parametrize("missing", [True, False], ids=["missing", "never_missing"])
@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("library", LIBRARIES)
def test_trees_answer_as_their_library_does(library: str, name: str, missing: bool) -> None:
    if name == "huber" and library != "lightgbm":
        with pytest.raises(ValueError, match="has no huber loss"):
            fitted(booster(library), Objective.of(TASKS[name]))
        return
    fit = fitted(booster(library), Objective.of(TASKS[name]), missing=missing)
    rows = questions(fit)
    answered = ensemble(fit)(torch.from_numpy(rows)).numpy()
    np.testing.assert_allclose(answered, fit.outputs(rows), rtol=1e-5, atol=1e-5)
    assert np.ptp(answered) > 0.1
    assert fit.gain.shape == (4,)
    assert fit.gain.sum() > 0


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_operator_answers_as_the_trees_do(library: str) -> None:
    onnx, runtime = (
        pytest.importorskip("onnx", reason="extra export"),
        pytest.importorskip("onnxruntime", reason="extra export"),
    )
    fit = fitted(booster(library), Objective.of(TASKS["multiclass"]))
    rows = questions(fit)
    words = {3: [3, 4, 5]}
    assert num_words(70) == 3
    node = TreeNode(fit.trees, cardinalities=CARDINALITIES, words=words).write("columns", "sums")
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph([node], "trees", [info("columns", 1, ["batch", 6])], [info("sums", 1, ["batch", 3])])
    opsets = [onnx.helper.make_opsetid("", 20), onnx.helper.make_opsetid("ai.onnx.ml", 3)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    wide = np.column_stack([rows, rows[:, 3] - 32, rows[:, 3] - 64]).astype(np.float32)
    expected = ensemble(fit)(torch.from_numpy(rows)).numpy()
    np.testing.assert_allclose(session.run(None, {"columns": wide})[0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_same_seed_fits_the_same_trees(library: str) -> None:
    drawn = {"column_share": 0.6} if library == "sklearn" else {"column_share": 0.6, "row_share": 0.6}
    first, again = (fitted(booster(library, **drawn), Objective(name="binary")) for _ in range(2))
    np.testing.assert_array_equal(first.trees.values, again.trees.values)


def test_trees_of_any_size_load_strictly() -> None:
    fit = fitted(booster("lightgbm"), Objective(name="binary"))
    first, loaded = ensemble(fit), TreeEnsemble(num_outputs=1, num_columns=4)
    loaded.load_state_dict(first.state_dict())
    rows = torch.from_numpy(questions(fit))
    torch.testing.assert_close(loaded(rows), first(rows))


def test_fitting_stops_after_the_patience_and_keeps_the_best_round() -> None:
    losses = iter([3.0, 2.0, 2.5, 2.1, 9.0])
    rounds = Rounds(most=100, patience=2, on_round=lambda number, loss: False)
    while not rounds.ends_with(next(losses)):
        pass
    assert (rounds.best, rounds.best_loss, rounds.last) == (2, 2.0, 4)


def test_a_loss_that_trees_are_not_fitted_to_is_refused() -> None:
    with pytest.raises(ValueError, match="SmoothL1Loss given; trees are fitted for"):
        Objective.of(Regression(loss=nn.SmoothL1Loss()))


def test_settings_out_of_range_and_given_twice_are_refused() -> None:
    with pytest.raises(ValueError, match="rounds: 0 given"):
        LightGBM(rounds=0)
    with pytest.raises(ValueError, match="num_leaves given, which other settings decide"):
        LightGBM(parameters={"num_leaves": 3})
