"""Packages of one graph are asked by the ids of the user's nodes, and answer with them."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from lightning_app.__main__ import main
from lightning_app.packaging import BadRowsError, Manifest, Package, PackageError, Predictor, RequestError, TensorSpec
from lightning_app.packaging.format.node_ids import NODE_IDS, NodeIds
from tests.lightning_app.packaging.format.test_refusals import sign
from tests.packages import manifest_of, onnx_model, package_of

LABELS = ("red", "green")
TEXTS = ["bob", "é", "7", "", "anna", "07"]
WHOLE = [5, 2**60 + 1, -7, 0, 12, 3]


def table_of(size: int) -> np.ndarray:
    """What each node is answered, another for each (N, 2)."""
    share = np.linspace(0.01, 0.99, size, dtype=np.float32)
    return np.stack([share, 1 - share], axis=1)


def model_of(probabilities: np.ndarray) -> tuple[Manifest, bytes]:
    """A table of nodes as a graph, without ids."""
    inputs = [TensorSpec("node_id", "int64", ("batch",), num_values=len(probabilities))]
    outputs = [TensorSpec("probabilities", "float32", ("batch", 2))]
    model = onnx_model(
        [helper.make_node("Gather", ["table", "node_id"], ["probabilities"])], inputs, outputs, {"table": probabilities}
    )
    manifest = manifest_of(
        inputs=inputs, outputs=outputs, name="nodes", family="graph", task="node_classification", labels=LABELS
    )
    return manifest, model


def predictor_of(names: list[Any], probabilities: np.ndarray) -> Predictor:
    manifest, model = model_of(probabilities)
    ids = NodeIds.of(np.array(names))
    spec = None if ids is None else ids.spec(("node_id",))
    return Predictor(manifest=replace(manifest, node_ids=spec), model=model, node_ids=ids)


def written(folder: Path, names: list[Any] | None) -> Path:
    manifest, model = model_of(table_of(6))
    ids = None if names is None else NodeIds.of(np.array(names))
    manifest = replace(manifest, node_ids=None if ids is None else ids.spec(("node_id",)))
    return package_of(folder, manifest, model, {"node_id": (names or [0, 1, 2])[:3]}, node_ids=ids)


@pytest.fixture(params=[TEXTS, WHOLE], ids=["texts", "whole numbers"])
def names(request: pytest.FixtureRequest) -> list[Any]:
    return list(request.param)


@pytest.mark.parametrize("ask", [pl.DataFrame, pd.DataFrame, dict, lambda request: pl.DataFrame(request).to_arrow()])
def test_each_id_gets_the_answer_of_its_node(names: list[Any], ask: Callable[..., Any], tmp_path: Path) -> None:
    package = Package.load(written(tmp_path / "package", names))
    order = [4, 0, 2, 2, 5, 1, 3]
    asked = [names[place] for place in order]
    answer = package.predict(ask({"node_id": asked}))
    assert list(answer if isinstance(answer, dict) else answer.columns)[:2] == ["node_id", "label"]
    assert list(answer["node_id"]) == asked
    np.testing.assert_allclose(np.stack(list(answer["probabilities"])), table_of(6)[order])
    assert list(answer["label"]) == [LABELS[row.argmax()] for row in table_of(6)[order]]


@settings(deadline=None, max_examples=20)
@given(
    names=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2, max_size=8, unique=True)
    | st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8")), min_size=2, max_size=8, unique=True),
    data=st.data(),
)
def test_a_permutation_of_the_nodes_changes_no_answer(names: list[Any], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(names))))
    probabilities = table_of(len(names))
    one, other = predictor_of(names, probabilities), predictor_of([names[i] for i in order], probabilities[list(order)])
    table = pl.DataFrame({"node_id": names})
    assert one.predict(table).equals(other.predict(table))
    shuffled = one.predict(table[list(order)])
    assert shuffled.equals(one.predict(table)[list(order)])


def test_numbers_and_texts_are_one_id_where_they_are_written_alike() -> None:
    texts, whole = predictor_of(TEXTS, table_of(6)), predictor_of(WHOLE, table_of(6))
    assert texts.predict({"node_id": [7]})["node_id"].tolist() == ["7"]
    assert whole.predict({"node_id": ["-7", str(2**60 + 1)]})["node_id"].tolist() == [-7, 2**60 + 1]
    assert whole.predict({"node_id": np.array([5.0, 12.0])})["node_id"].tolist() == [5, 12]
    with pytest.raises(BadRowsError, match="'05' is none of the 6 ids"):
        whole.predict({"node_id": ["05"]})


@pytest.mark.parametrize(
    ("asked", "reasons"),
    [
        (["bob", "eve", None], {1: "'eve' is none of the 6 ids", 2: "missing"}),
        ([7, 8], {1: "8 is none"}),
        ([7.0, 7.5, float("nan")], {1: "7.5 is none", 2: "missing"}),
    ],
)
def test_an_unknown_id_rejects_its_row_by_name(asked: list[Any], reasons: dict[int, str]) -> None:
    for request in ({"node_id": asked}, pl.DataFrame({"node_id": asked}), pd.DataFrame({"node_id": asked})):
        with pytest.raises(BadRowsError) as error:
            predictor_of(TEXTS, table_of(6)).predict(request)
        assert {row: reason.startswith(f"node_id: {reasons[row]}") for row, reason in error.value.rows.items()} == (
            dict.fromkeys(reasons, True)
        )


@pytest.mark.parametrize("asked", [[True], [["bob"]], "bob", ["bob", 1], {"bob": 1}, None, 3])
def test_what_is_no_id_is_refused_in_a_line(asked: Any) -> None:
    with pytest.raises(RequestError, match="node_id: ") as error:
        predictor_of(TEXTS, table_of(6)).predict({"node_id": asked})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_score_keeps_ids_and_rejects_unknown_ones(names: list[Any], ending: str, tmp_path: Path) -> None:
    package = written(tmp_path / "package", names)
    asked = [*reversed(names), "nobody" if isinstance(names[0], str) else 999_999]
    table = pl.DataFrame({"node_id": asked, "note": range(7)})
    table.write_csv(f"ask.{ending}", quote_style="always") if ending == "csv" else table.write_parquet(f"ask.{ending}")
    assert main(["score", str(package), f"ask.{ending}", "--output", "out.parquet", "--max-rejected", "1"]) == 0
    found = pl.read_parquet("out.parquet")
    expected = Package.load(package).predict(table[:-1])
    assert found.select(expected.columns).equals(expected)
    (rejected,) = (path for path in tmp_path.glob("*rejected.parquet"))
    assert str(asked[-1]) in pl.read_parquet(rejected)["reason"].item()
    assert main(["score", str(package), f"ask.{ending}", "--output", "o.parquet", "--keys", "node_id,note"]) == 1
    args = ("--output", "o.parquet", "--keys", "node_id,note", "--max-rejected", "1", "--overwrite")
    assert main(["score", str(package), f"ask.{ending}", *args]) == 0
    assert pl.read_parquet("o.parquet")["node_id"].to_list() == asked[:-1]


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ([0, -1], "-1 given, whole numbers from 0 to 5 are allowed"),
        ([0, 6], "6 given, whole numbers from 0 to 5"),
        ([0, 999_999], "999999 given"),
        (np.array([0, 2**64 - 1], dtype=np.uint64), "is no int64"),
        ([0.0, 0.5], "0.5 is no int64"),
        ([0, None], "a number is missing"),
    ],
)
def test_a_number_that_is_no_node_rejects_its_row(asked: Any, reason: str, tmp_path: Path) -> None:
    package = Package.load(written(tmp_path / "package", None))
    for request in ({"node_id": asked}, pl.DataFrame({"node_id": asked})):
        with pytest.raises(BadRowsError) as error:
            package.predict(request)
        assert list(error.value.rows) == [1]
        assert reason in error.value.rows[1]
    assert package.predict({"node_id": [5, 0]})["node_id"].tolist() == [5, 0]


def test_a_package_of_the_first_schema_answers_by_number(tmp_path: Path) -> None:
    folder = written(tmp_path / "package", None)
    golden = json.loads((folder / "golden.json").read_bytes())
    del golden["answer"]["node_id"]
    (folder / "golden.json").write_text(json.dumps(golden))

    def as_before(manifest: dict[str, Any]) -> None:
        manifest["schema_version"] = 1
        del manifest["node_ids"]
        for spec in (*manifest["inputs"], *manifest["outputs"]):
            del spec["num_values"]

    sign(folder, as_before)
    answer = Package.load(folder).predict(pl.DataFrame({"node_id": [5, 0]}))
    assert answer["node_id"].to_list() == [5, 0]
    np.testing.assert_allclose(answer["probabilities"].to_numpy(), table_of(6)[[5, 0]])
    with pytest.raises(BadRowsError) as error:
        Package.load(folder).predict({"node_id": [-1, 0]})
    assert list(error.value.rows) == [0]
    with pytest.raises(BadRowsError) as error:  # the manifest does not say how many nodes there are
        Package.load(folder).predict({"node_id": [0, 999_999, *range(6), 6]})
    assert list(error.value.rows) == [1, 8]
    assert "the model fails on it" in error.value.rows[1]
    asked = pl.DataFrame({"node_id": [5, -1, 0, 999_999, 3]})  # one is wrong to read, another to answer
    asked.write_parquet("ask.parquet")
    assert main(["score", str(folder), "ask.parquet", "--output", "out.parquet", "--max-rejected", "2"]) == 0
    assert pl.read_parquet("out.parquet")["node_id"].to_list() == [5, 0, 3]
    rejected = pl.read_parquet(next(Path().glob("*rejected.parquet")))
    assert rejected["row"].to_list() == [1, 3]
    assert "-1" in rejected["reason"][0]
    assert "the model fails on it" in rejected["reason"][1]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (pl.DataFrame({"id": TEXTS[:5]}), "5 rows given, the manifest says 6"),
        (pl.DataFrame({"id": [*TEXTS[:5], "bob"]}), "occurs twice"),
        (pl.DataFrame({"id": [*TEXTS[:5], None]}), "missing"),
        (pl.DataFrame({"id": WHOLE}), "'id' of text needed"),
        (pl.DataFrame({"name": TEXTS}), "'id' of text needed"),
        (None, "cannot be read"),
    ],
)
def test_ids_that_are_not_as_the_manifest_says_are_refused(
    ids: pl.DataFrame | None, message: str, tmp_path: Path
) -> None:
    folder = written(tmp_path / "package", TEXTS)
    (folder / NODE_IDS).write_bytes(b"no table") if ids is None else ids.write_parquet(folder / NODE_IDS)
    sign(folder)
    with pytest.raises(PackageError, match=message):
        Package.load(folder)


def test_more_ids_than_the_model_can_know_are_refused_before_they_are_read(tmp_path: Path) -> None:
    folder = written(tmp_path / "package", TEXTS)

    def many(manifest: dict[str, Any]) -> None:
        manifest["node_ids"]["num_nodes"] = manifest["inputs"][0]["num_values"] = 10**8

    sign(folder, many)
    with pytest.raises(PackageError, match="node_ids.num_nodes: 100000000 given, at most"):
        Package.load(folder)


def test_rows_are_called_what_the_request_calls_them() -> None:
    manifest, model = model_of(table_of(6))
    inputs = [TensorSpec("place", "int64", ("batch",), num_values=6)]
    model = onnx_model(
        [helper.make_node("Gather", ["table", "place"], ["probabilities"])],
        inputs, manifest.outputs, {"table": table_of(6)},
    )  # fmt: skip
    predictor = Predictor(manifest=replace(manifest, inputs=tuple(inputs)), model=model)
    days = pl.date_range(pl.date(2026, 1, 1), pl.date(2026, 1, 2), eager=True)
    answer = predictor.predict(
        pl.DataFrame({"note": ["x", "y"], "origin": days, "series": ["a", "b"], "place": [0, 1]})
    )
    assert answer.columns == ["series", "origin", "label", "probability", "probabilities"]
    assert answer["origin"].to_list() == days.to_list()
    as_dict = predictor.predict({"place": [0, 1], "series": ["a", "b"]})
    assert as_dict["series"].tolist() == ["a", "b"]
    for wrong in (["a"], "a", [["a"], ["b"]], [["a"], ["b", "c"]], None):
        with pytest.raises(RequestError, match="series: one id per row needed"):
            predictor.predict({"place": [0, 1], "series": wrong})
