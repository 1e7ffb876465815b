"""Plain requests, read in one step, have the values and the refusals of the general way."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_app.packaging import Package
from lightning_app.packaging.format.errors import RequestError
from lightning_app.packaging.runtime.predictor import Predictor
from tests.packages import COLUMNS, small_package

CELLS = st.one_of(
    st.floats(),
    st.integers(-(2**70), 2**70),
    st.booleans(),
    st.none(),
    st.sampled_from(["1.5", "x", [1.0], []]),
    st.floats(-9, 9),
    st.floats(-9, 9),
)


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return Package.load(small_package(tmp_path_factory.mktemp("dense") / "p")).predictor


def read(predictor: Predictor, request: dict[str, Any], *, plainly: bool) -> Any:
    kept = predictor._dense
    predictor._dense = kept if plainly else None
    try:
        return {name: value.tolist() for name, value in predictor.read(request).values.items()}
    except RequestError as error:
        return str(error)
    finally:
        predictor._dense = kept


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_plain_requests_are_read_as_others(predictor: Predictor, data: st.DataObject) -> None:
    num_rows = data.draw(st.integers(0, 3))
    cells = data.draw(st.sampled_from([CELLS, st.floats(-9, 9), st.integers(-9, 9)]))
    rows = [[data.draw(cells) for _ in COLUMNS] for _ in range(num_rows)]
    if data.draw(st.booleans()):
        request: dict[str, Any] = {"features": data.draw(st.sampled_from([rows, rows[:1], rows and rows[0]]))}
    else:
        names = data.draw(st.sampled_from([COLUMNS, COLUMNS[::-1], (*COLUMNS[:3], "series"), COLUMNS[:3]]))
        request = {name: [row[place] for row in rows] for place, name in enumerate(names)}
    assert read(predictor, request, plainly=True) == read(predictor, request, plainly=False)


def test_a_plain_request_takes_the_short_way(predictor: Predictor) -> None:
    assert predictor._dense is not None
    assert predictor._dense.read({"features": [[1.0, 2.0, 3.0, 4.0]]}) is not None
    assert predictor._dense.read({name: [1.0, 2.0] for name in COLUMNS}) is not None
    assert predictor._dense.read({"features": np.ones((2, 4))}) is not None
