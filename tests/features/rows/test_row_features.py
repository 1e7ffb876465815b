"""Row features: values, missing values, and texts that stay the same for ever."""

import math
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from features.batch import training_table
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
    Given,
    Hash,
    Text,
)

REQUEST = {
    "x": Column(type="float"),
    "n": Column(type="int"),
    "s": Column(type="str"),
    "b": Column(type="bool"),
    "d": Column(type="datetime"),
}


def _values(feature: Feature, *, at: Any = datetime(2024, 3, 3, 23, 30), **columns: Any) -> list[Any]:
    view = FeatureView(features={"f": feature}, request=REQUEST)
    rows = pl.DataFrame(columns, strict=False)
    return training_table(Definitions(views={"v": view}), rows, at=at)["f"].to_list()


@pytest.mark.parametrize(
    ("feature", "columns", "values"),
    [
        (Given(column="x"), {"x": [1.5, None, math.nan]}, [1.5, None, None]),
        (Arithmetic(op="/", columns=("x", "n")), {"x": [6.0, 1.0, None], "n": [4, 0, 1]}, [1.5, None, None]),
        (Arithmetic(op="-", columns=("x", "n", "b")), {"x": [6.0], "n": [4], "b": [True]}, [1.0]),
        (Arithmetic(op="*", columns=("x", "x")), {"x": [1e200]}, [None]),
        (Function(function="log", column="x"), {"x": [math.e, 0.0, -1.0]}, [1.0, None, None]),
        (Function(function="log1p", column="x"), {"x": [0.0, -1.0]}, [0.0, None]),
        (Function(function="sqrt", column="x"), {"x": [4.0, -4.0]}, [2.0, None]),
        (Function(function="exp", column="x"), {"x": [0.0, 1e6]}, [1.0, None]),
        (Function(function="abs", column="n"), {"n": [-3]}, [3.0]),
        (Function(function="sign", column="n"), {"n": [-3, 0]}, [-1.0, 0.0]),
        (Function(function="is_missing", column="s"), {"s": ["a", None]}, [False, True]),
        (Cross(columns=("s", "n", "b")), {"s": ["a", None], "n": [1, 2], "b": [True, False]}, ["a|1|true", None]),
        (Text(column="s"), {"s": [" good\n", "", None, " "]}, ["good", None, None, None]),
        (
            Text(columns=("s", "n"), named=("x", "b"), separator=" / "),
            {"s": ["good", None, ""], "n": [3, None, None], "x": [1.5, 2.0, None], "b": [None, True, None]},
            ["good / 3 / x: 1.5", "x: 2.0 / b: true", None],
        ),
        (Bucket(column="x", edges=(0.0, 10.0)), {"x": [-1.0, 0.0, 9.9, 10.0, None]}, [0, 1, 1, 2, None]),
        (Elapsed(since="d", per="1h"), {"d": ["2024-03-03T21:00", None]}, [2.5, None]),
        (Calendar(part="day_of_week"), {"n": [0]}, [7]),
        (Calendar(part="is_weekend"), {"n": [0]}, [True]),
        (Calendar(part="hour", encoding="sin"), {"n": [0]}, [math.sin(23 / 24 * 2 * math.pi)]),
        (Calendar(part="month", encoding="cos", column="d"), {"d": ["2024-01-31"]}, [1.0]),
    ],
)
def test_values(feature: Feature, columns: dict[str, list[Any]], values: list[Any]) -> None:
    assert _values(feature, **columns) == pytest.approx(values)


def test_hashes_never_change() -> None:
    texts = ["a", "é", "17850", None]
    assert _values(Hash(column="s", buckets=1000), s=texts) == [928, 963, 662, None]
    assert _values(Hash(column="n", buckets=1000), n=[17850]) == [662]
    many = [f"{number % 50}" for number in range(1000)]
    assert _values(Hash(column="s", buckets=7, salt=3), s=many)[:2] == [
        *_values(Hash(column="s", buckets=7, salt=3), s=["0"]),
        *_values(Hash(column="s", buckets=7, salt=3), s=["1"]),
    ]


def test_hours_are_of_the_zone_that_is_asked_for() -> None:
    at = datetime(2024, 7, 1, 22, 30, tzinfo=UTC)
    assert _values(Calendar(part="hour"), at=at, n=[0]) == [22]
    assert _values(Calendar(part="hour", time_zone="Europe/Berlin"), at=at, n=[0]) == [0]
    with pytest.raises(ValueError, match=r"views\.v\.features\.f\.time_zone: the times have no zone"):
        _values(Calendar(part="hour", time_zone="Europe/Berlin"), n=[0])


@pytest.mark.parametrize(
    ("feature", "columns", "message"),
    [
        (Given(column="x"), {"xx": [1.0]}, "views.v.features.f: the rows have no column 'x'; did you mean 'xx'?"),
        (Given(column="n"), {"n": ["1", "two"]}, "rows: column 'n' holds 'two' in row 2; its type is declared as int"),
        (Given(column="n"), {"n": [1.5]}, "rows: column 'n' holds 1.5 in row 1; its type is declared as int"),
        (Function(function="log", column="s"), {"s": ["a"]}, "views.v.features.f: 's' is String; numbers are needed"),
        (Elapsed(since="n"), {"n": [1]}, "views.v.features.f: 'n' is Int64; datetimes are needed"),
        (
            Elapsed(since="d"),
            {"d": ["2024-01-01T00:00Z"]},
            "views.v.features.f: one of ['d', 'time'] has a time zone, the other has none",
        ),
    ],
)
def test_messages(feature: Feature, columns: dict[str, list[Any]], message: str) -> None:
    with pytest.raises(ValueError) as error:
        _values(feature, **columns)
    assert str(error.value) == message
