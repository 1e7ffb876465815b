"""Texts of a pipeline: left out of arrays, empty where missing; layouts without a text keep their digests."""

import numpy as np
import polars as pl
import pytest

from features.definitions import Column, Definitions, Feature, FeatureView, Given, Text, Vocabulary
from features.pipeline import AskedRows, FeaturePipeline
from features.sources import Notes

DIGEST_BEFORE_TEXTS = "e8a105cb2564a7f9a99114a581645ba887fe665cb194d50525349e3fb18f6b6a"


def fitted(**features: Feature) -> tuple[FeaturePipeline, pl.DataFrame]:
    table = pl.DataFrame({"x": [1.0, 2.0, None], "kind": ["a", "b", None], "title": ["Good", None, " "]})
    request = {"x": Column(type="float"), "kind": Column(type="str"), "title": Column(type="str")}
    definitions = Definitions(views={"v": FeatureView(features=features, request=request)})
    pipeline = FeaturePipeline(definitions=definitions, features=definitions.select(), rows=AskedRows())
    rows = pipeline.ask(table, notes=Notes())
    pipeline = pipeline.fit(rows, {}, train=np.arange(3), notes=Notes())
    return FeaturePipeline.from_json(pipeline.to_json()), pipeline.features_of(rows, {}, notes=Notes())


def test_texts_stand_beside_the_arrays() -> None:
    pipeline, table = fitted(x=Given(column="x"), words=Text(columns=("title", "kind"), named=("x",)))
    assert pipeline.layout is not None
    assert pipeline.layout.texts == ("words",)
    assert pipeline.arrays(table).keys() == {"numbers"}
    assert pipeline.texts(table) == ["Good a x: 1.0", "b x: 2.0", ""]


def test_a_text_alone_is_enough() -> None:
    pipeline, table = fitted(words=Text(column="title"))
    assert pipeline.arrays(table) == {}
    assert pipeline.texts(table) == ["Good", "", ""]


def test_several_texts_are_refused() -> None:
    with pytest.raises(ValueError, match=r"features 'v.a', 'v.b' are texts, a network takes one; join .* `columns"):
        fitted(a=Text(column="title"), b=Text(column="kind"))


def test_a_column_of_text_as_it_is_points_to_the_kinds() -> None:
    with pytest.raises(ValueError, match=r"'v.title' is String.*`kind: vocabulary` .*`kind: text`"):
        fitted(title=Given(column="title"))


def test_pipelines_without_a_text_have_the_digest_that_they_had() -> None:
    table = pl.DataFrame({"x": [1.0, 2.0, None], "kind": ["a", "b", "a"]})
    view = FeatureView(
        features={"x": Given(column="x"), "kind_number": Vocabulary(column="kind")},
        request={"x": Column(type="float"), "kind": Column(type="str")},
    )
    definitions = Definitions(views={"v": view})
    pipeline = FeaturePipeline(definitions=definitions, features=definitions.select(), rows=AskedRows())
    pipeline = pipeline.fit(pipeline.ask(table, notes=Notes()), {}, train=np.arange(3), notes=Notes())
    assert pipeline.digest == DIGEST_BEFORE_TEXTS
    assert b"texts" not in pipeline.to_json()
