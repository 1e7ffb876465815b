"""Fitted features: learned on training rows alone, stored as JSON, the same for one row and for many."""

import math
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from features.batch import fit, training_table
from features.definitions import (
    Arithmetic,
    Bucket,
    Calendar,
    Column,
    Cross,
    Definitions,
    Elapsed,
    Feature,
    FeatureView,
    Function,
    Hash,
    Impute,
    LabelColumn,
    QuantileBins,
    Scale,
    TargetEncoding,
    Tfidf,
    Vocabulary,
)
from features.fitted import Fitted

REQUEST = {"x": Column(type="float"), "s": Column(type="str"), "c": Column(type="int")}
ROOT = math.sqrt(1.5)
TRAIN = [True, True, True, True, False]


def _definitions(**features: Feature) -> Definitions:
    view = FeatureView(features=features, request=REQUEST)
    return Definitions(views={"v": view}, labels={"y": LabelColumn(column="y")})


def _rows(**columns: list[Any]) -> pl.DataFrame:
    times = [datetime(2024, 1, 1) + timedelta(days=day) for day in range(len(next(iter(columns.values()))))]
    return pl.DataFrame({**columns, "time": times})


@pytest.mark.parametrize(
    ("feature", "columns", "values"),
    [
        (Scale(column="x"), {"x": [1.0, 3.0, None, 2.0, 2.0]}, [-ROOT, ROOT, None, 0.0, 0.0]),
        (Scale(column="x"), {"x": [0.1, 0.1, 0.1, 0.1, 1.1]}, [0.0, 0.0, 0.0, 0.0, 1.0]),
        (Scale(column="x", method="minmax"), {"x": [0.0, 4.0, 1.0, 2.0, 8.0]}, [0.0, 1.0, 0.25, 0.5, 2.0]),
        (Scale(column="x", method="robust"), {"x": [0.0, 1.0, 2.0, 3.0, 4.5]}, [-1.0, -1 / 3, 1 / 3, 1.0, 2.0]),
        (Impute(column="x", by="median"), {"x": [1.0, None, 5.0, 6.0, None]}, [1.0, 5.0, 5.0, 6.0, 5.0]),
        (Impute(column="s", by="most_frequent"), {"s": ["b", "a", "a", "b", None]}, ["b", "a", "a", "b", "a"]),
        (QuantileBins(column="x", bins=2), {"x": [1.0, 2.0, 3.0, 4.0, 2.5]}, [0, 0, 1, 1, 1]),
        (QuantileBins(column="x", bins=4), {"x": [1.0, 1.0, 1.0, 1.0, 0.0]}, [1, 1, 1, 1, 0]),
        (Vocabulary(column="s"), {"s": ["b", "b", "a", None, "new"]}, [2, 2, 3, 1, 0]),
        (Vocabulary(column="c", max_size=1), {"c": [7, 7, 5, 5, 7]}, [0, 0, 2, 2, 0]),
        (Vocabulary(column="s", min_count=2), {"s": ["b", "b", "a", "c", "b"]}, [2, 2, 0, 0, 2]),
    ],
)  # fmt: skip
def test_values(feature: Feature, columns: dict[str, list[Any]], values: list[Any], tmp_path: Path) -> None:
    definitions, rows = _definitions(f=feature), _rows(**columns)
    fitted = fit(definitions, rows, train=TRAIN)
    assert training_table(definitions, rows, fitted=fitted)["f"].to_list() == pytest.approx(values)
    fitted.save(tmp_path / "state.json")
    loaded = Fitted.load(tmp_path / "state.json")
    one_by_one = [training_table(definitions, rows[row], fitted=loaded)["f"][0] for row in range(rows.height)]
    assert one_by_one == pytest.approx(values)


@pytest.mark.parametrize("hashed", [False, True])
def test_tfidf_vectors_have_length_one(hashed: bool) -> None:
    definitions = _definitions(f=Tfidf(column="s", max_terms=64, hashed=hashed))
    rows = _rows(s=["Red mug", "red lamp lamp", "blue lamp", "mug", None, "unseen"])
    fitted = fit(definitions, rows, train=[True] * 4 + [False] * 2)
    table = training_table(definitions, rows, fitted=fitted)["f"]
    assert table.dtype == pl.Array(pl.Float32, 64 if hashed else 4)
    vectors = table.head(4).to_numpy()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)
    assert table[4] is None
    idf = math.log(5 / 3) + 1
    blue = math.log(5 / 2) + 1
    assert sorted(vectors[2][vectors[2] > 0]) == pytest.approx(sorted(np.array([idf, blue]) / math.hypot(idf, blue)))
    if not hashed:
        assert table[5].to_list() == [0, 0, 0, 0]


def test_training_rows_never_see_their_own_label() -> None:
    rng = np.random.default_rng(0)
    rows = _rows(s=[f"{one}" for one in rng.integers(0, 20, 200)], y=rng.normal(size=200).tolist())
    for order in ("folds", "time"):
        definitions = _definitions(f=TargetEncoding(columns=("s",), label="y", order=order, smoothing=2.0))
        train = [True] * 150 + [False] * 50
        fitted = fit(definitions, rows, train=train)
        table = training_table(definitions, rows, fitted=fitted, train=train)["f"].to_numpy()
        full = training_table(definitions, rows, fitted=fitted)["f"].to_numpy()
        np.testing.assert_array_equal(table[150:], full[150:])
        for row in (0, 70, 149):
            changed = rows.with_columns(y=pl.Series([*rows["y"][:row], 1e6, *rows["y"][row + 1 :]]))
            state = fit(definitions, changed, train=train)
            again = training_table(definitions, changed, fitted=state, train=train)["f"].to_numpy()
            np.testing.assert_allclose(again[row], table[row], rtol=1e-9)
            assert not np.allclose(again[150:], table[150:])
            if order == "time":
                np.testing.assert_allclose(again[:row], table[:row], rtol=1e-9)


def test_target_encoding_is_the_smoothed_mean() -> None:
    definitions = _definitions(f=TargetEncoding(columns=("c", "s"), label="y", smoothing=1.0))
    rows = _rows(s=["a", "a", None, "b"], c=[1, 1, 1, 2], y=[1.0, 0.0, 1.0, None])
    fitted = fit(definitions, rows)
    mean = 2 / 3
    expected = [(1 + mean) / 3, (1 + mean) / 3, (1 + mean) / 2, mean]
    assert training_table(definitions, rows, fitted=fitted)["f"].to_list() == pytest.approx(expected)


def test_a_null_and_an_empty_text_are_two_categories_of_a_target_encoding() -> None:
    definitions = _definitions(f=TargetEncoding(columns=("s",), label="y", smoothing=0.0))
    rows = _rows(s=["a", "", None, ""], y=[1.0, 2.0, 7.0, 4.0])
    fitted = fit(definitions, rows)
    assert training_table(definitions, rows, fitted=fitted)["f"].to_list() == [1.0, 3.0, 7.0, 3.0]


def test_features_are_fitted_in_the_order_in_which_they_read_each_other() -> None:
    definitions = _definitions(b=Scale(column="a"), a=Impute(column="x", by="max"))
    rows = _rows(x=[0.0, None, 4.0, 4.0, None])
    fitted = fit(definitions, rows, train=TRAIN)
    scale = math.sqrt(3)
    assert training_table(definitions, rows, fitted=fitted)["b"].to_list() == pytest.approx(
        [-3 / scale, *[1 / scale] * 4]
    )


def test_states_of_other_definitions_formats_and_rows_are_refused(tmp_path: Path) -> None:
    definitions = _definitions(f=TargetEncoding(columns=("s",), label="y"))
    rows = _rows(s=["a", "b"], y=[1.0, 0.0])
    fitted = fit(definitions, rows)
    other = _definitions(g=Scale(column="x"))
    with pytest.raises(ValueError, match=rf"definitions {definitions.digest[:12]}.*it has no 'v.g'.*fit again"):
        training_table(other, _rows(x=[1.0]), fitted=fitted)
    with pytest.raises(ValueError, match=r"views\.v\.features\.f: it is learned from training rows"):
        training_table(definitions, rows)
    with pytest.raises(ValueError, match="the training rows are not those"):
        training_table(definitions, rows.with_columns(y=pl.lit(3.0)), fitted=fitted, train=[True, True])
    (tmp_path / "new.json").write_bytes(fitted.to_json().replace(b'"format":1', b'"format":2'))
    with pytest.raises(ValueError, match="its format is 2, this version reads 1"):
        Fitted.load(tmp_path / "new.json")
    (tmp_path / "bad.json").write_text("[1")
    with pytest.raises(ValueError, match="is no fitted state"):
        Fitted.load(tmp_path / "bad.json")
    with pytest.raises(ValueError, match="has no value in any training row"):
        fit(_definitions(f=Scale(column="x")), _rows(x=[None, 1.0]), train=[True, False])


def test_many_rows_are_the_rows_one_by_one_to_the_last_bit() -> None:
    rng = np.random.default_rng(0)
    words = np.array(["red", "blue", "lamp", "mug", "große"])
    rows = pl.DataFrame(
        {
            "x": [None if one < -1.5 else one for one in rng.normal(size=300).tolist()],
            "c": rng.integers(0, 9, 300),
            "s": [" ".join(rng.choice(words, 4)) for _ in range(300)],
            "d": [datetime(2024, 1, 1) + timedelta(seconds=int(one)) for one in rng.integers(0, 10**7, 300)],
            "time": [datetime(2024, 6, 1) + timedelta(seconds=int(one)) for one in rng.integers(0, 10**7, 300)],
            "y": rng.normal(size=300),
        }
    )
    features: dict[str, Feature] = {
        "ratio": Arithmetic(op="/", columns=("x", "c")),
        "log": Function(function="log1p", column="ratio"),
        "exp": Function(function="exp", column="x"),
        "sine": Calendar(part="day_of_year", encoding="sin"),
        "elapsed": Elapsed(since="d", per="7d"),
        "bucket": Bucket(column="x", edges=(-0.3, 0.1)),
        "hash": Hash(column="s", buckets=13),
        "cross": Cross(columns=("c", "x")),
        "scaled": Scale(column="elapsed"),
        "imputed": Impute(column="x"),
        "bins": QuantileBins(column="imputed"),
        "words": Vocabulary(column="s", min_count=2),
        "vector": Tfidf(column="s", hashed=True, max_terms=7),
        "target": TargetEncoding(columns=("c", "s"), label="y"),
    }
    view = FeatureView(features=features, request={**REQUEST, "d": Column(type="datetime")})
    definitions = Definitions(views={"v": view}, labels={"y": LabelColumn(column="y")})
    fitted = Fitted.from_json(fit(definitions, rows, train=[True] * 200 + [False] * 100).to_json())
    many = training_table(definitions, rows, fitted=fitted).select(*features)
    one_by_one = pl.concat([training_table(definitions, row, fitted=fitted) for row in rows.iter_slices(1)])
    assert one_by_one.select(*features).equals(many)
