"""Packages whose rows are graphs."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from onnx import helper

from lightning_app.__main__ import main
from lightning_app.packaging import BadRowsError, Package, PackageError, Predictor, RequestError, TensorSpec
from tests.packages import manifest_of, onnx_model, package_of

LABELS = ("chain", "star")
INPUTS = [
    TensorSpec("x", "float32", ("nodes", 2)),
    TensorSpec("edge_index", "int64", (2, "edges")),
    TensorSpec("batch", "int64", ("nodes",)),
    TensorSpec("graph_id", "int64", ("graphs",)),
]
OUTPUTS = [
    TensorSpec("probabilities", "float32", ("graphs", 2)),
    TensorSpec("neighbors", "float32", ("nodes", 2)),
    TensorSpec("weight", "float32", ("edges",)),
]


def graph_model() -> bytes:
    """Sums what the neighbours have, then over each graph; no node sees another graph."""
    nodes = [
        helper.make_node("Gather", ["edge_index", "zero"], ["source"], axis=0),
        helper.make_node("Gather", ["edge_index", "one"], ["target"], axis=0),
        helper.make_node("Gather", ["x", "source"], ["sent"]),
        helper.make_node("Sub", ["x", "x"], ["nothing"]),
        helper.make_node("Unsqueeze", ["target", "last"], ["target_column"]),
        helper.make_node("ScatterND", ["nothing", "target_column", "sent"], ["neighbors"], reduction="add"),
        helper.make_node("ReduceSum", ["sent", "last"], ["weight"], keepdims=0),
        helper.make_node("Shape", ["graph_id"], ["count"]),
        helper.make_node("Concat", ["count", "two"], ["size"], axis=0),
        helper.make_node("ConstantOfShape", ["size"], ["zeros"]),
        helper.make_node("Unsqueeze", ["batch", "last"], ["batch_column"]),
        helper.make_node("ScatterND", ["zeros", "batch_column", "neighbors"], ["sums"], reduction="add"),
        helper.make_node("Softmax", ["sums"], ["probabilities"], axis=-1),
    ]
    constants = {"zero": np.array(0), "one": np.array(1), "last": np.array([1]), "two": np.array([2])}
    return onnx_model(nodes, INPUTS, OUTPUTS, constants)


def random_graphs(count: int) -> dict[str, list[Any]]:
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 6, count)
    x = [rng.standard_normal((size, 2)).astype(np.float32) for size in sizes]
    edges = [rng.integers(0, size, (int(rng.integers(0, 8)), 2)) for size in sizes]
    return {"x": x, "edge_index": edges}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    manifest = manifest_of(
        inputs=INPUTS, outputs=OUTPUTS, layout="graphs", labels=LABELS, family="graph", task="graph_classification"
    )
    folder = tmp_path_factory.mktemp("packages") / "graphs"
    return Package.load(package_of(folder, manifest, graph_model(), random_graphs(5)))


def expected(graphs: dict[str, list[Any]]) -> list[np.ndarray]:
    """What the neighbours of each node have in sum, graph by graph."""
    found = []
    for x, edges in zip(graphs["x"], graphs["edge_index"], strict=True):
        sums = np.zeros_like(x)
        np.add.at(sums, edges[:, 1], x[edges[:, 0]])
        found.append(sums)
    return found


def test_each_graph_is_answered_as_if_it_were_alone(package: Package) -> None:
    graphs = random_graphs(30)
    answer = package.predict(graphs)
    for row, sums in enumerate(expected(graphs)):
        np.testing.assert_allclose(answer["neighbors"][row], sums, rtol=1e-5, atol=1e-6)
        scores = np.exp(sums.sum(axis=0) - sums.sum(axis=0).max())
        np.testing.assert_allclose(answer["probabilities"][row], scores / scores.sum(), rtol=1e-5)
        assert len(answer["weight"][row]) == len(graphs["edge_index"][row])
        assert answer["label"][row] == LABELS[scores.argmax()]


def test_a_table_of_graphs_is_answered_as_a_dict_of_them(package: Package) -> None:
    graphs = random_graphs(12)
    nodes, edges = pl.Array(pl.Float32, 2), pl.Array(pl.Int64, 2)
    table = pl.DataFrame(
        {name: [array.tolist() for array in arrays] for name, arrays in graphs.items()},
        schema={"x": pl.List(nodes), "edge_index": pl.List(edges)},
    )
    loose = table.cast({"x": pl.List(pl.List(pl.Float64)), "edge_index": pl.List(pl.List(pl.Int32))})
    of_dict = package.predict(graphs)
    for given in (table, loose):
        answer = package.predict(given)
        assert answer.columns == ["label", "probability", "probabilities", "neighbors", "weight"]
        np.testing.assert_array_equal(answer["probabilities"].to_numpy(), of_dict["probabilities"])
        assert answer.schema["neighbors"] == pl.List(nodes)
        assert answer["neighbors"].list.len().to_list() == [len(x) for x in graphs["x"]]


def test_graphs_in_many_calls_are_answered_as_in_one(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = random_graphs(30)
    whole = package.predict(graphs)
    monkeypatch.setattr("lightning_app.packaging.runtime.graphs.VALUES_PER_CALL", 40)
    parts = package.predict(graphs)
    np.testing.assert_array_equal(parts["probabilities"], whole["probabilities"])
    assert all((one == other).all() for one, other in zip(parts["neighbors"], whole["neighbors"], strict=True))


def test_graphs_without_edges_or_nodes_are_answered(package: Package) -> None:
    graphs = {"x": [[[1.0, 2.0]], [[0.5, 0.5], [1.0, 1.0]], []], "edge_index": [[], [[0, 1]], []]}
    answer = package.predict(graphs)
    assert [len(rows) for rows in answer["neighbors"]] == [1, 2, 0]
    np.testing.assert_allclose(answer["probabilities"][[0, 2]], 0.5)
    assert package.predict({"x": [[[1.0, 2.0]]], "edge_index": [[]]})["probabilities"].tolist() == [[0.5, 0.5]]
    assert package.predict({"x": [], "edge_index": []})["probabilities"].shape == (0, 2)


@pytest.mark.parametrize("node", [-1, 2, 2**40])
def test_an_edge_to_a_node_of_another_graph_is_a_bad_row(package: Package, node: int) -> None:
    graphs = {"x": [[[1.0, 2.0]] * 2] * 3, "edge_index": [[[0, 1]], [[1, node]], [[1, 0]]]}
    with pytest.raises(BadRowsError) as error:
        package.predict(graphs)
    assert error.value.rows == {1: f"edge_index: node {node} given, the graph has 2 from 0"}


def test_rows_that_are_no_graph_are_bad_rows(package: Package) -> None:
    table = pl.DataFrame(
        {
            "x": [[[1.0, 2.0]], None, [[1.0, None]], [[1.0, 2.0], [3.0]], [[1.0, 2.0, 3.0]]],
            "edge_index": [[[0, 0]]] * 5,
        }
    )
    with pytest.raises(BadRowsError) as error:
        package.predict(table)
    assert error.value.rows == {
        1: "x: missing",
        2: "x: a number is missing or not finite",
        3: "x: its lists have different lengths",
        4: "x: 1 x 3 given, nodes x 2 needed",
    }


def test_everything_that_is_wrong_with_a_table_is_said_at_once(package: Package) -> None:
    table = pl.DataFrame({"x": [None, [[1.0, 2.0]], [[1.0, 2.0]]], "edge_index": [[[0, 0]], [[0, 1]], [[0, 0]]]})
    with pytest.raises(BadRowsError) as error:
        package.predict(table)
    assert list(error.value.rows) == [0, 1]
    # The last row of a table may stand alone: it is bad, the table is not.
    with pytest.raises(BadRowsError):
        package.predict(pl.DataFrame({"x": [[[1.0, 2.0, 3.0]]], "edge_index": [[[0, 0]]]}))


def test_graphs_have_no_state(package: Package) -> None:
    with pytest.raises(RequestError, match="state: given, graphs have none"):
        package.advance(random_graphs(2), {"state_0": np.zeros(2)})


def test_each_node_of_a_graph_can_have_a_label() -> None:
    inputs = [INPUTS[0]]
    outputs = [TensorSpec("probabilities", "float32", ("nodes", 2))]
    model = onnx_model([helper.make_node("Softmax", ["x"], ["probabilities"], axis=-1)], inputs, outputs, {})
    manifest = manifest_of(inputs=inputs, outputs=outputs, layout="graphs", labels=LABELS)
    predictor = Predictor(manifest=manifest, model=model)
    x = [[[1.0, 2.0], [2.0, 1.0]], [], [[0.0, 3.0]]]
    answer = predictor.predict({"x": x})
    assert [row.tolist() for row in answer["label"]] == [["star", "chain"], [], ["star"]]
    table = predictor.predict(pl.DataFrame({"x": x}))
    assert table["label"].to_list() == [["star", "chain"], [], ["star"]]
    assert table["probability"].list.len().to_list() == [2, 0, 1]


def test_an_output_along_an_unknown_axis_is_refused() -> None:
    outputs = [*OUTPUTS[:2], TensorSpec("weight", "float32", ("pairs",))]
    manifest = manifest_of(inputs=INPUTS, outputs=outputs, layout="graphs")
    with pytest.raises(PackageError, match="weight: its first axis is neither 'graphs' nor one of the inputs"):
        Predictor(manifest=manifest, model=graph_model())


NO_GRAPHS = {
    "null": (None, "edge_index: missing"),
    "a null edge": ([None], "edge_index: "),
    "an edge without ends": ([[]], "edge_index: 1 x 0 given, edges x 2 needed"),
    "a null end": ([[0, None]], "edge_index: a number is missing"),
    "half a node": ([[0.5, 1]], "edge_index: 0.5 is no int64"),
    "a node below 0": ([[-1, 0]], "edge_index: node -1 given"),
    "a node that is not there": ([[0, 999_999]], "edge_index: node 999999 given"),
}


@pytest.mark.parametrize(("edges", "reason"), NO_GRAPHS.values(), ids=NO_GRAPHS)
def test_edges_that_are_none_reject_their_row(package: Package, edges: Any, reason: str) -> None:
    nodes = [[1.0, 2.0], [0.5, 1.0]]
    rows = {"x": [nodes, nodes], "edge_index": [[[0, 1]], edges]}
    requests = [rows, pd.DataFrame(rows)]
    if edges != [[0.5, 1]]:  # polars itself makes whole numbers of them
        requests += [pl.DataFrame(rows), pl.DataFrame(rows).to_arrow()]
    for request in requests:
        with pytest.raises(BadRowsError) as error:
            package.predict(request)
        assert list(error.value.rows) == [1]
        assert error.value.rows[1].startswith(reason)
    with pytest.raises(BadRowsError):
        package.predict({name: values[1:] for name, values in rows.items()})


@pytest.mark.parametrize("nodes", [None, [None], [[]], [[1.0, None]]])
def test_nodes_that_are_none_reject_their_row(package: Package, nodes: Any) -> None:
    rows = {"x": [[[1.0, 2.0]], nodes], "edge_index": [[], []]}
    for request in (rows, pl.DataFrame(rows)):
        with pytest.raises(BadRowsError) as error:
            package.predict(request)
        assert list(error.value.rows) == [1]


def test_truth_values_are_no_nodes(package: Package) -> None:
    nodes = [[1.0, 2.0], [0.5, 1.0]]
    with pytest.raises(RequestError, match="edge_index: true or false given"):
        package.predict({"x": [nodes, nodes], "edge_index": [[[0, 1]], [[True, False]]]})
    table = pl.DataFrame({"x": [nodes], "edge_index": [[[True, False]]]})
    with pytest.raises(RequestError, match="edge_index: a column of Boolean given"):
        package.predict(table)


def test_an_answer_has_the_id_of_its_graph(package: Package) -> None:
    request = {"x": [[[1.0, 2.0]]], "edge_index": [[]], "graph_id": ["g7"]}
    assert package.predict(request)["graph_id"].tolist() == ["g7"]
    assert package.predict(pl.DataFrame(request)).columns[:2] == ["graph_id", "label"]


def test_a_table_of_graphs_is_scored(package: Package) -> None:
    table = pl.DataFrame({"graph_id": ["a", "b"], "x": [[[1.0, 2.0]]] * 2, "edge_index": [[[0, 0]], [[0, 3]]]})
    table.write_parquet("graphs.parquet")
    args = ("--output", "found.parquet", "--max-rejected", "1")
    assert main(["score", str(package.path), "graphs.parquet", *args]) == 0
    found = pl.read_parquet("found.parquet")
    assert found.columns[:3] == ["graph_id", "label", "probability"]
    assert found["graph_id"].to_list() == ["a"]


def test_a_pandas_table_may_hold_arrays_or_lists(package: Package) -> None:
    graphs = random_graphs(4)
    expected = package.predict(graphs)["probabilities"]
    lists = {name: [array.tolist() for array in arrays] for name, arrays in graphs.items()}
    objects = {name: np.array([*arrays, None], dtype=object)[:-1] for name, arrays in graphs.items()}
    for request in (pd.DataFrame(graphs), pd.DataFrame(lists), pl.DataFrame(lists).to_pandas(), objects):
        found = np.stack(list(package.predict(request)["probabilities"]))
        np.testing.assert_allclose(found, expected, rtol=1e-6)
