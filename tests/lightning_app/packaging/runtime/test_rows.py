"""Requests and answers of packages whose rows are samples."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest
from onnx import TensorProto, helper

from lightning_app.packaging import BadRowsError, Package, PackageError, Predictor, RequestError, TensorSpec
from tests.packages import COLUMNS, LABELS, manifest_of, onnx_model, small_package

FEATURES = np.random.default_rng(0).standard_normal((50, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return Package.load(small_package(tmp_path_factory.mktemp("packages") / "price"))


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return Package.load(small_package(tmp_path_factory.mktemp("packages") / "class", labels=LABELS))


@pytest.fixture(scope="module")
def windows() -> Predictor:
    """Takes windows of two channels of any length, and returns their mean over time twice as many."""
    inputs = [TensorSpec("past", "float32", ("batch", "steps", 2)), TensorSpec("scale", "float32", ("batch",))]
    outputs = [TensorSpec("mean", "float32", ("batch", 2)), TensorSpec("scaled", "float32", ("batch", "steps", 2))]
    nodes = [
        helper.make_node("ReduceMean", ["past", "time"], ["mean"], keepdims=0),
        helper.make_node("Unsqueeze", ["scale", "last"], ["column"]),
        helper.make_node("Mul", ["past", "column"], ["scaled"]),
    ]
    model = onnx_model(nodes, inputs, outputs, {"time": np.array([1]), "last": np.array([1, 2])})
    return Predictor(manifest=manifest_of(inputs=inputs, outputs=outputs), model=model)


def test_a_table_and_a_dict_have_the_same_answers(package: Package) -> None:
    of_dict = package.predict({"features": FEATURES})["price"]
    named = pl.DataFrame(dict(zip(COLUMNS, FEATURES.T, strict=True)))
    arrays = pl.DataFrame({"features": FEATURES, "key": range(50)})
    lists = pl.DataFrame({"features": FEATURES.tolist()})
    for table in (named, named.cast(pl.Float64), arrays, lists, named.select(reversed(COLUMNS))):
        answer = package.predict(table)
        assert answer.columns == ["price"]
        np.testing.assert_array_equal(answer["price"].to_numpy(), of_dict)
    np.testing.assert_array_equal(package.predict({"features": FEATURES.tolist()})["price"], of_dict)
    np.testing.assert_array_equal(package.predict(dict(zip(COLUMNS, FEATURES.T, strict=True)))["price"], of_dict)


def test_whole_numbers_and_booleans_are_numbers(package: Package) -> None:
    table = pl.DataFrame({"length": [1, 2], "width": [True, False], "height": [1.5, 2.5], "weight": [3, 4]})
    expected = package.predict({"features": [[1, 1, 1.5, 3], [2, 0, 2.5, 4]]})["price"]
    np.testing.assert_array_equal(package.predict(table)["price"], expected)


def test_a_class_has_a_label_and_its_probability(classifier: Package) -> None:
    answer = classifier.predict(pl.DataFrame({"features": FEATURES}))
    assert answer.columns == ["label", "probability", "probabilities"]
    assert answer.schema["probabilities"] == pl.Array(pl.Float32, 3)
    assert set(answer["label"]) <= set(LABELS)
    of_label = [LABELS.index(label) for label in answer["label"]]
    np.testing.assert_array_equal(answer["probabilities"].to_numpy()[np.arange(50), of_label], answer["probability"])


def test_no_row_is_answered_with_no_row(package: Package, classifier: Package) -> None:
    empty = pl.DataFrame({"features": FEATURES[:0]})
    assert package.predict(empty).shape == (0, 1)
    assert classifier.predict(empty).schema == classifier.predict(pl.DataFrame({"features": FEATURES})).schema
    assert package.predict({"features": FEATURES[:0]})["price"].shape == (0,)


def test_more_rows_than_one_call_takes_keep_their_order(package: Package) -> None:
    features = np.tile(FEATURES, (1000, 1))
    answer = package.predict({"features": features})["price"]
    np.testing.assert_allclose(answer.reshape(1000, 50), np.tile(answer[:50], (1000, 1)), rtol=1e-6)


def test_rows_of_different_lengths_are_answered_in_their_order(windows: Predictor) -> None:
    rng = np.random.default_rng(0)
    past = [rng.standard_normal((length, 2)).astype(np.float32) for length in (3, 5, 3, 1, 5)]
    scale = np.arange(5, dtype=np.float32)
    answers = [
        windows.predict({"past": past, "scale": scale}),
        windows.predict({"past": [window.tolist() for window in past], "scale": scale.tolist()}),
    ]
    table = windows.predict(pl.DataFrame({"past": [window.tolist() for window in past], "scale": scale}))
    answers.append({"mean": table["mean"].to_numpy(), "scaled": [np.array(row) for row in table["scaled"].to_list()]})
    for answer in answers:
        np.testing.assert_allclose(answer["mean"], [window.mean(axis=0) for window in past], rtol=1e-5)
        for scaled, window, factor in zip(answer["scaled"], past, scale, strict=True):
            np.testing.assert_array_equal(scaled, window * factor)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (None, "features: none given, 4 needed"),
        ([1.0, 2.0, 3.0], "features: 3 given, 4 needed"),
        ([1.0, None, 3.0, 4.0], "features: a number is missing or not finite"),
        ([1.0, float("inf"), 3.0, 4.0], "features: a number is missing or not finite"),
        ([1.0, 1e300, 3.0, 4.0], "features: 1e+300 is no float32"),
    ],
)
def test_bad_rows_are_named_with_their_reason(package: Package, row: list[float] | None, reason: str) -> None:
    with pytest.raises(BadRowsError, match="row 1: .*1 of 3 rows") as error:
        package.predict(pl.DataFrame({"features": [[1.0, 2.0, 3.0, 4.0], row, [1.0, 2.0, 3.0, 4.0]]}))
    assert error.value.rows == {1: reason}


def test_a_missing_number_in_a_named_column_is_a_bad_row(package: Package) -> None:
    table = pl.DataFrame({name: [1, None if name == "width" else 2] for name in COLUMNS})
    with pytest.raises(BadRowsError) as error:
        package.predict(table)
    assert list(error.value.rows) == [1]


def test_the_rows_that_are_not_bad_can_be_answered_without_the_others(package: Package) -> None:
    table = pl.DataFrame({"features": [*FEATURES.tolist(), [1.0], None]})
    with pytest.raises(BadRowsError) as error:
        package.predict(table)
    assert list(error.value.rows) == [50, 51]
    left = table.with_row_index().filter(~pl.col("index").is_in(list(error.value.rows)))
    expected = package.predict({"features": FEATURES})["price"]
    np.testing.assert_array_equal(package.predict(left)["price"].to_numpy(), expected)


def test_axes_of_one_name_have_one_size() -> None:
    inputs = [TensorSpec(name, "float32", ("batch", "steps")) for name in ("one", "other")]
    outputs = [TensorSpec("sum", "float32", ("batch", "steps"))]
    model = onnx_model([helper.make_node("Add", ["one", "other"], ["sum"])], inputs, outputs, {})
    predictor = Predictor(manifest=manifest_of(inputs=inputs, outputs=outputs), model=model)
    # A sum of 1 and 3 steps would be broadcast, and answered.
    with pytest.raises(RequestError, match="other"):
        predictor.predict({"one": [[1.0]], "other": [[1.0, 2.0, 3.0]]})
    with pytest.raises(BadRowsError, match="row 1"):
        predictor.predict({"one": [[1.0], [2.0]], "other": [[1.0], [1.0, 2.0]]})


@pytest.mark.parametrize("past", [[[]], [[[1.0, 2.0]], []]])
def test_an_empty_window_is_refused(windows: Predictor, past: list[Any]) -> None:
    with pytest.raises(RequestError, match="past: 0 x 2 given, steps x 2 needed"):
        windows.predict({"past": past, "scale": [1.0] * len(past)})


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({}, "features: not given, the request has nothing"),
        ({"features": [[1, 2, 3, 4]], "feature": 1}, "feature: no such input, allowed: features"),
        ({"features": [[1, 2, 3]]}, "features: 3 given, 4 needed"),
        ({"features": [1, 2, 3, 4]}, "features: a number given, 4 needed"),
        ({"features": 1}, "features: a single number given, one per row needed"),
        ({"features": [["a", "b", "c", "d"]]}, "features: text given, numbers needed"),
        ({"features": [{"a": 1}]}, "features: numbers needed"),
        ({"features": np.array([[1, 2, 3, object()]])}, "features: numbers needed"),
        ({"features": [[1, 2, 3, 1j]]}, "features: values of complex128 given, numbers needed"),
        ([[1, 2, 3, 4]], "request: list given, a table or a dict of arrays needed"),
        (pl.DataFrame({"length": [1.0]}), "width, height, weight: no such column, the table has length"),
        (pl.DataFrame({key: ["a"] for key in COLUMNS}), "length: a column of String given, numbers needed"),
        (pl.DataFrame({"features": [1.0]}), "features: a column of Float64 given, lists of numbers needed"),
        (pl.DataFrame({"features": [["a"]]}), "features: a column of String given, numbers needed"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(package: Package, request_: Any, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        package.predict(request_)


def test_a_request_larger_than_memory_is_refused_before_it_is_read(package: Package) -> None:
    features = np.broadcast_to(np.float64(1), (2**40, 4))
    with pytest.raises(RequestError, match="features: 4,398,046,511,104 numbers given, at most 268,435,456"):
        package.predict({"features": features})


def test_threads_share_a_package(windows: Predictor) -> None:
    rng = np.random.default_rng(0)
    requests = [
        {"past": [rng.standard_normal((length, 2)) for length in rng.integers(1, 9, 20)], "scale": np.ones(20)}
        for _ in range(16)
    ]
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(windows.predict, requests))
    for request, answer in zip(requests, answers, strict=True):
        expected = [window.mean(axis=0) for window in request["past"]]
        np.testing.assert_allclose(answer["mean"], expected, rtol=1e-4, atol=1e-5)


def test_a_float_is_no_whole_number() -> None:
    inputs, outputs = [TensorSpec("node_id", "int64", ("batch",))], [TensorSpec("same", "int64", ("batch",))]
    model = onnx_model([helper.make_node("Identity", ["node_id"], ["same"])], inputs, outputs, {})
    predictor = Predictor(manifest=manifest_of(inputs=inputs, outputs=outputs), model=model)
    assert predictor.predict({"node_id": [1.0, 2.0]})["same"].tolist() == [1, 2]
    for value in (1.5, float("nan"), 1e30):
        with pytest.raises(BadRowsError, match="row 1: node_id"):
            predictor.predict({"node_id": [1.0, value]})
    with pytest.raises(BadRowsError, match="row 0: node_id: a number is missing"):
        predictor.predict(pl.DataFrame({"node_id": [None, 1]}))


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        (
            [helper.make_node("Cast", ["row"], ["kept"], to=TensorProto.BOOL),
             helper.make_node("Compress", ["x", "kept"], ["y"], axis=1)],
            r"y: the graph answers with shape \[3, 1\], the manifest has \['batch', 2\]",
        ),
        ([helper.make_node("Concat", ["x", "x"], ["y"], axis=0)], "y: the graph answers 6 rows to 3"),
    ],
)  # fmt: skip
def test_an_answer_of_another_shape_than_the_manifest_states_is_refused(
    nodes: list[onnx.NodeProto], message: str
) -> None:
    x, y = TensorSpec("x", "float32", ("batch", 2)), TensorSpec("y", "float32", ("batch", 2))
    constants = {"row": np.array([0.0, 1.0], dtype=np.float32)}
    model = onnx_model(nodes, [x], [TensorSpec("y", "float32", ("rows", "width"))], constants)
    predictor = Predictor(manifest=manifest_of(inputs=[x], outputs=[y]), model=model)
    with pytest.raises(PackageError, match=message):
        predictor.predict({"x": np.zeros((3, 2))})


def test_a_table_of_arrow_is_a_table(package: Package, tmp_path: Path) -> None:
    class ArrowTable:
        """Has the interface that tables of pyarrow and others have, and nothing else."""

        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return pl.DataFrame({"features": FEATURES}).__arrow_c_stream__(requested_schema)

    answer = package.predict(ArrowTable())
    assert answer["price"].to_list() == package.predict({"features": FEATURES})["price"].tolist()


def test_rows_of_several_requests_share_a_call(classifier: Package) -> None:
    predictor = classifier.predictor
    requests = [
        predictor.read({"features": FEATURES[:2]}),
        predictor.read({"features": FEATURES[2:5], "time": [1, 2, 3]}),
    ]
    joined = np.concatenate([request.values["features"] for request in requests])
    answer, state = predictor.run({"features": joined}, None)
    assert state == {}
    start = 0
    for request in requests:
        rows = slice(start, start := start + request.num_rows)
        own = {name: values[rows] for name, values in answer.items()}
        finished = predictor.finish(own, request.ids, is_frame=request.is_frame)
        alone = predictor.predict({"features": FEATURES[rows], **request.ids})
        assert finished.keys() == alone.keys()
        for name, values in alone.items():
            np.testing.assert_array_equal(finished[name], values)
