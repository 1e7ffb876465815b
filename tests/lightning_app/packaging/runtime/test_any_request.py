"""Whatever is asked, it is answered or refused by name."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing.parametric import series

from lightning_app.packaging import Package, RequestError
from tests.lightning_app.packaging.runtime.test_graphs import package as graphs  # noqa: F401
from tests.lightning_app.packaging.runtime.test_streams import stream_package
from tests.packages import small_package

NUMBERS = st.integers() | st.floats() | st.booleans() | st.none() | st.text(max_size=3)
LISTS = st.recursive(NUMBERS, lambda inner: st.lists(inner, max_size=4), max_leaves=12)
ANYTHING = st.recursive(
    NUMBERS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner)
)
ROWS = st.lists(st.lists(st.integers(-3, 3) | st.floats(), min_size=3, max_size=5), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def price(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return Package.load(small_package(tmp_path_factory.mktemp("packages") / "price"))


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return Package.load(stream_package(tmp_path_factory.mktemp("packages") / "text"))


def is_answered_or_refused(package: Package, request: Any) -> None:
    try:
        answer = package.predict(request)
    except RequestError:
        return
    assert len({len(rows) for rows in (answer.values() if isinstance(answer, dict) else answer)}) == 1


@settings(deadline=None, max_examples=60)
@given(features=LISTS | ANYTHING | ROWS)
def test_anything_as_numbers(price: Package, features: Any) -> None:
    is_answered_or_refused(price, {"features": features})
    if isinstance(features, list):
        is_answered_or_refused(price, dict.fromkeys(("length", "width", "height", "weight"), features))


@settings(deadline=None, max_examples=60)
@given(asked=st.dictionaries(st.sampled_from(["features", "length", "text", ""]), ANYTHING) | ANYTHING)
def test_anything_as_a_request(price: Package, asked: Any) -> None:
    is_answered_or_refused(price, asked)


@settings(deadline=None, max_examples=60)
@given(column=series(name="features", max_size=4))
def test_a_column_of_any_kind(price: Package, column: pl.Series) -> None:
    is_answered_or_refused(price, column.to_frame())
    names = ("length", "width", "height", "weight")
    is_answered_or_refused(price, pl.DataFrame([column.alias(name) for name in names]))


@settings(deadline=None, max_examples=60)
@given(column=series(name="text", max_size=4))
def test_a_column_of_any_kind_as_text(text: Package, column: pl.Series) -> None:
    is_answered_or_refused(text, column.to_frame())
    is_answered_or_refused(text, column.rename("tokens").to_frame())


@settings(deadline=None, max_examples=60)
@given(x=ROWS | LISTS, edges=LISTS | st.lists(st.lists(st.lists(st.integers(-2, 5), min_size=2, max_size=2))))
def test_anything_as_graphs(graphs: Package, x: Any, edges: Any) -> None:  # noqa: F811
    is_answered_or_refused(graphs, {"x": x, "edge_index": edges})
    try:
        table = pl.DataFrame({"x": [x], "edge_index": [edges]})
    except (TypeError, ValueError, pl.exceptions.PolarsError):
        return
    is_answered_or_refused(graphs, table)


def test_what_is_wrong_is_said_in_a_line_of_bounded_length(price: Package) -> None:
    with pytest.raises(RequestError) as error:
        price.predict({f"feature_{number}": 0 for number in range(10_000)})
    assert len(str(error.value)) < 1100
    assert str(error.value).startswith("features: not given, the request has feature_0")
