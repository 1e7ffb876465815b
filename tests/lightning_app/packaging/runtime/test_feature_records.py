"""A few raw rows of a package with features, as plain Python values: answered as their table is, refused as it is."""

import warnings
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from onnx import helper
from polars.testing import assert_frame_equal

from features.contracts import Allowed, Contract, ContractColumn, Range
from features.definitions import (
    Calendar,
    Column,
    CsvFormat,
    Definitions,
    Entity,
    FeatureView,
    Function,
    Given,
    Vocabulary,
)
from features.pipeline import AskedRows, FeaturePipeline
from features.sources import Notes
from lightning_app.packaging import BadRowsError, Package, RequestError, TensorSpec
from lightning_app.packaging.runtime.raw_kinds.features_spec import raw_input_spec
from tests.packages import manifest_of, onnx_model, package_of

ROW = {"shop": "a", "when": "2024-05-04T12:30", "price": 2.5, "weather": "rain", "pieces": 3}
VIEW = FeatureView(
    entity="shop",
    request={
        "price": Column(type="float"),
        "weather": Column(type="str"),
        "pieces": Column(type="int"),
    },
    features={
        "price": Given(column="price"),
        "log_pieces": Function(function="log1p", column="pieces"),
        "weekend": Calendar(part="is_weekend"),
        "weather_class": Vocabulary(column="weather"),
        "shop_class": Vocabulary(column="shop"),
    },
)


NAMED = AskedRows(time="when", csv=CsvFormat(null_values=("?",)))
"""Rows of a file that is not read in parts: their answers have names."""


def pipeline_of(rows: AskedRows) -> FeaturePipeline:
    definitions = Definitions(views={"day": VIEW}, entities={"shop": Entity(keys={"shop": "str"})})
    pipeline = FeaturePipeline(
        definitions=definitions, features=tuple(f"day.{name}" for name in VIEW.features), rows=rows
    )
    train = pl.DataFrame(
        {
            "shop": ["a", "b", "a"],
            "when": ["2024-05-01", "2024-05-02", "2024-05-03"],
            "price": [1.0, 2.0, 3.0],
            "weather": ["sun", "rain", "sun"],
            "pieces": [1, 2, 3],
        }
    )
    asked = pipeline.ask(train, notes=Notes())
    return pipeline.fit(asked, {}, train=np.arange(3), notes=Notes())


def summing(folder: Path, *, rows: AskedRows, contract: Contract | None = None) -> Package:
    """A package that answers with the sums of its inputs of a row."""
    pipeline = pipeline_of(rows)
    inputs = (
        TensorSpec("numbers", "float32", ("batch", 3)),
        TensorSpec("missing", "bool", ("batch", 3)),
        TensorSpec("categories", "int64", ("batch", 2), num_values=9),
    )
    outputs = (TensorSpec("prediction", "float32", ("batch",)), TensorSpec("gone", "float32", ("batch",)))
    nodes = [
        helper.make_node("Cast", ["categories"], ["classes"], to=1),
        helper.make_node("Cast", ["missing"], ["empty"], to=1),
        helper.make_node("Concat", ["numbers", "classes"], ["all"], axis=1),
        helper.make_node("ReduceSum", ["all", "last"], ["prediction"], keepdims=0),
        helper.make_node("ReduceSum", ["empty", "last"], ["gone"], keepdims=0),
    ]
    model = onnx_model(nodes, inputs, outputs, {"last": np.array([1])})
    manifest = manifest_of(inputs=inputs, outputs=outputs, raw_input=raw_input_spec(pipeline))
    request = {
        "numbers": np.zeros((2, 3), dtype=np.float32),
        "missing": np.zeros((2, 3), dtype=bool),
        "categories": np.ones((2, 2), dtype=np.int64),
    }
    package = Package.load(package_of(folder, manifest, model, request, raw_input=pipeline.to_json()))
    content = None if contract is None else contract.to_json()
    return Package(path=package.path, digest=package.digest, predictor=package.predictor, contract=content)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return summing(tmp_path_factory.mktemp("features") / "package", rows=NAMED)


def as_table(package: Package, rows: list[dict[str, Any]]) -> pl.DataFrame:
    """The answer of the table form: a table of more rows than are computed in plain Python."""
    table = pl.concat([pl.DataFrame({name: [row[name] for row in rows] for name in rows[0]})] * 100)
    answer: pl.DataFrame = package.predict(table)
    return answer.head(len(rows))


@pytest.mark.parametrize(
    "rows",
    [
        [ROW],
        [{**ROW, "price": None, "weather": None, "note": "not read"}],
        [{**ROW, "pieces": 3.0, "shop": "new"}],
        [ROW, {**ROW, "price": -1.0, "when": "2024-02-29"}],
        [{**ROW, "when": "2024-05-04T23:30:00+02:00"}],
        [{**ROW, "when": datetime(2024, 5, 4) + timedelta(microseconds=1)}],
    ],
)
def test_rows_are_answered_as_their_table(package: Package, rows: list[dict[str, Any]]) -> None:
    assert package.read_records(rows) is not None
    expected = as_table(package, rows)
    answer = package.predict({name: [row[name] for row in rows] for name in rows[0]})
    assert list(answer) == expected.columns
    for name, values in answer.items():
        column = expected[name].to_numpy()
        assert values.dtype == column.dtype
        np.testing.assert_array_equal(values, column)
    small = package.predict(pl.DataFrame({name: [row[name] for row in rows] for name in rows[0]}))
    assert_frame_equal(small, expected)
    if len(rows) == 1:
        single = package.predict(rows[0])
        np.testing.assert_array_equal(single["prediction"], expected["prediction"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"price": "dear"}, "price: 'dear' is no number"),
        ({"price": 1e39}, "feature 'price' is 1e\\+39, a finite number within float32 is needed"),
        ({"pieces": 2.5}, "pieces: 2.5 is no whole number"),
        ({"when": None}, "the row has no time"),
    ],
)
def test_rows_that_a_table_refuses_are_refused_in_its_words(
    package: Package, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadRowsError, match=message):
        package.predict({**ROW, **change})


def test_requests_that_do_not_fit_are_refused(package: Package) -> None:
    with pytest.raises(RequestError, match="price: no such column"):
        package.predict({name: cell for name, cell in ROW.items() if name != "price"})
    with pytest.raises(RequestError, match="'yesterday' in row 1"):
        package.predict({**ROW, "when": "yesterday"})
    with pytest.raises(RequestError, match="at: "):
        package.predict(ROW, at=["2024-05-01", "2024-05-02"])
    later = package.predict(ROW, at="2024-05-06T00:00")
    assert later["time"] == np.datetime64("2024-05-06")


def test_a_contract_is_kept(tmp_path: Path) -> None:
    columns = {"price": ContractColumn(type="float"), "weather": ContractColumn(type="str")}
    warned = Range(column="pieces", max=5, severity="warn")
    rules = (Range(column="price", min=0), Allowed(column="weather", values=("sun", "rain")), warned)
    package = summing(tmp_path / "package", rows=NAMED, contract=Contract(columns=columns, rules=rules))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        package.predict(ROW)
    with pytest.raises(BadRowsError, match=r"range\(price\)|from|at least 0"):
        package.predict({**ROW, "price": -1.0})
    with pytest.warns(UserWarning, match="at most 5"):
        package.predict({**ROW, "pieces": 7})
    assert package.read_records([ROW]) is not None
    assert package.read_records([{**ROW, "pieces": 7}]) is None


def test_rows_that_are_read_in_parts_have_no_names(tmp_path: Path) -> None:
    package = summing(tmp_path / "package", rows=AskedRows())
    assert package.read_records([ROW]) is not None
    row = {**ROW, "when": "not read"}
    assert package.read_records([row]) is not None
    expected = as_table(package, [row])
    assert list(package.predict(row)) == expected.columns == ["prediction", "gone"]
