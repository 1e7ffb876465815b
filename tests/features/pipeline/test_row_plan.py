"""The plan of rows in plain Python against the table form: the same bits, or the rows are left to the table form."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from features.definitions import (
    Arithmetic,
    Bucket,
    Calendar,
    Column,
    Cross,
    Definitions,
    Elapsed,
    Entity,
    Feature,
    FeatureView,
    Function,
    Given,
    Hash,
    Impute,
    LabelColumn,
    QuantileBins,
    Scale,
    Source,
    TargetEncoding,
    Text,
    Vocabulary,
)
from features.definitions.cells import TableNeededError
from features.pipeline import AskedRows, FeaturePipeline, PlainRows, RowPlan
from features.sources import Notes

REQUEST = {
    "x": Column(type="float"),
    "z": Column(type="float"),
    "n": Column(type="int"),
    "s": Column(type="str"),
    "t": Column(type="str"),
    "b": Column(type="bool"),
    "d": Column(type="datetime"),
}
PARTS = ("minute", "hour", "day_of_week", "day_of_month", "day_of_year", "week", "month", "quarter")
START = datetime(2023, 12, 20)
TEXTS = st.sampled_from(["a", "b", "é", "", "a|b", "7", "never seen", " \u00a0\tb\x1f c\n", " "])
FLOATS = st.one_of(
    st.floats(-1e3, 1e3),
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 1e-300, 1e300, float("nan")]),
    st.integers(-(2**55), 2**55),
)
TIMES = st.integers(0, 40_000_000).map(lambda seconds: START + timedelta(seconds=seconds, microseconds=seconds))
CELLS: dict[str, st.SearchStrategy[Any]] = {
    "x": FLOATS,
    "z": FLOATS,
    "n": st.one_of(st.integers(-5, 5), st.integers(-(2**62), 2**62)),
    "s": TEXTS,
    "t": TEXTS,
    "b": st.booleans(),
    "d": st.one_of(TIMES, TIMES.map(datetime.isoformat), TIMES.map(lambda time: f"{time:%Y-%m-%d %H:%M}")),
}


@st.composite
def features(draw: st.DrawFn) -> dict[str, Feature]:
    """Features that read columns, and each other."""
    numbers, any_kind, categories = ["x", "z", "n", "b"], ["x", "n", "s", "b", "d"], []
    drawn: dict[str, Feature] = {}
    for index in range(draw(st.integers(1, 8))):
        name = f"f{index}"
        number, column = draw(st.sampled_from(numbers)), draw(st.sampled_from(any_kind))
        several = tuple(draw(st.lists(st.sampled_from(numbers), min_size=2, max_size=4)))
        edges = tuple(sorted(draw(st.sets(st.floats(-10, 10), min_size=1, max_size=4))))
        column_of_times = draw(st.sampled_from([None, "d"]))
        function: Any = draw(st.sampled_from(["log", "log1p", "exp", "sqrt", "abs", "sign", "is_missing"]))
        encoding: Any = draw(st.sampled_from(["number", "sin", "cos"]))
        feature: Any = draw(
            st.sampled_from(
                [
                    Given(column=number),
                    Calendar(part=draw(st.sampled_from(PARTS)), encoding=encoding, column=column_of_times),
                    Calendar(part=draw(st.sampled_from(["year", "is_weekend"]))),
                    Arithmetic(op=draw(st.sampled_from("+-*/")), columns=several),
                    Function(function=function, column=number),
                    Elapsed(since="d", per=draw(st.sampled_from(["1h", "1d", "3s"]))),
                    Elapsed(since="time", until="d"),
                    Bucket(column=number, edges=edges),
                    Hash(column=column, buckets=50, salt=index),
                    Scale(column=number, method=draw(st.sampled_from(["standard", "minmax", "robust"]))),
                    Impute(column=number, by=draw(st.sampled_from(["mean", "median", "min", "max", "most_frequent"]))),
                    QuantileBins(column=number, bins=4),
                    Vocabulary(column=column),
                    TargetEncoding(columns=tuple(draw(st.sets(st.sampled_from(any_kind), min_size=1))), label="y"),
                    Cross(columns=("s", column)),
                ]
            )
        )  # fmt: skip
        drawn[name] = feature
        if isinstance(feature, Cross):
            categories.append(name)
            any_kind.append(name)
        else:
            numbers.append(name)
            any_kind.append(name)
    taken = {name: feature for name, feature in drawn.items() if name not in categories}
    if draw(st.booleans()):
        drawn["words"] = Text(
            columns=("s", "t"),
            named=(draw(st.sampled_from([name for name in any_kind if name not in ("s", "t")])),),
            separator=" - ",
        )
    return drawn if taken else {**drawn, "last": Given(column="x")}


def rows_of(draw: Any, count: int, *, complete: bool) -> list[dict[str, Any]]:
    def cell(name: str) -> Any:
        return draw(CELLS[name] if complete else st.one_of(st.none(), CELLS[name]))

    return [{name: cell(name) for name in CELLS} | {"when": draw(TIMES)} for _ in range(count)]


@st.composite
def fitted_pipelines(draw: st.DrawFn) -> FeaturePipeline:
    drawn = draw(features())
    definitions = Definitions(
        views={"v": FeatureView(features=drawn, request=REQUEST)}, labels={"y": LabelColumn(column="y")}
    )
    names = tuple(f"v.{name}" for name, feature in drawn.items() if not isinstance(feature, Cross))
    pipeline = FeaturePipeline(definitions=definitions, features=names, rows=AskedRows(time="when"))
    rng = np.random.default_rng(draw(st.integers(0, 100)))
    train = pl.DataFrame(
        {
            "x": rng.normal(0, 3, 12).round(1),
            "z": rng.uniform(0.5, 3, 12),
            "n": rng.integers(1, 6, 12),
            "s": rng.choice(["a", "b", "7"], 12),
            "t": rng.choice(["a", "b"], 12),
            "b": rng.random(12) < 0.5,
            "d": [START + timedelta(hours=int(hour)) for hour in rng.integers(0, 90, 12)],
            "when": [START + timedelta(days=100, minutes=7 * minute) for minute in range(12)],
            "y": rng.normal(size=12),
        }
    )
    try:
        return pipeline.fit(pipeline.ask(train, notes=Notes()), {}, train=np.arange(12), notes=Notes())
    except ValueError as error:  # such as the scale of a logarithm of negative numbers
        if "has no value in any training row" not in str(error):
            raise
        reject()


def table_form(pipeline: FeaturePipeline, rows: list[dict[str, Any]]) -> PlainRows:
    table = pl.DataFrame({name: [row[name] for row in rows] for name in rows[0]})
    asked = pipeline.ask(table, notes=Notes())
    assert len(asked) == len(rows)
    table = pipeline.features_of(asked, {}, notes=Notes())
    has_text = pipeline.layout is not None and pipeline.layout.texts
    return PlainRows(pipeline.arrays(table), pipeline.texts(table) if has_text else [])


@given(pipeline=fitted_pipelines(), data=st.data())
@settings(max_examples=40, deadline=None)
def test_random_features_of_random_rows_have_the_bits_of_the_table_form(
    pipeline: FeaturePipeline, data: st.DataObject
) -> None:
    plan = RowPlan.of(pipeline)
    assert plan is not None
    rows = rows_of(data.draw, data.draw(st.integers(1, 3)), complete=False)
    same_types = all(len({type(row[name]) for row in rows} - {type(None)}) <= 1 for name in CELLS)
    if not same_types:
        rows = rows[:1]
    try:
        arrays, texts = plan.features(rows, plan.times_asked(rows, None), [()] * len(rows))
    except TableNeededError:
        return
    expected, expected_texts = table_form(pipeline, rows)
    assert texts == expected_texts
    assert arrays.keys() == expected.keys()
    for name, values in expected.items():
        assert arrays[name].dtype == values.dtype
        np.testing.assert_array_equal(arrays[name], values)


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("x", "1.5"), ("x", float("inf")), ("x", True), ("x", 2**70), ("n", 1.5), ("n", "7"), ("s", True), ("s", 1.5),
        ("b", 2), ("b", "true"), ("d", "2024-13-01"), ("d", "yesterday"), ("d", 5), ("x", [1.0]),
    ],
)  # fmt: skip
def test_odd_cells_are_left_to_the_table_form(column: str, cell: Any) -> None:
    view = FeatureView(
        features={"f": Function(function="is_missing", column=column)}, request={column: REQUEST[column]}
    )
    plan = plan_of(view)
    with pytest.raises(TableNeededError):
        plan.arrays([{column: cell}], plan.times_asked([{}], None), [()])
    with pytest.raises(TableNeededError):
        plan.arrays([{}], plan.times_asked([{}], None), [()])


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-05-01", datetime(2024, 5, 1)),
        ("2024-05-01 13:45", datetime(2024, 5, 1, 13, 45)),
        ("2024-05-01T13:45:10.250", datetime(2024, 5, 1, 13, 45, 10, 250_000)),
        ("2024-05-01T13:45:10Z", datetime(2024, 5, 1, 13, 45, 10, tzinfo=UTC)),
        ("2024-05-01T23:45-02:00", datetime(2024, 5, 2, 1, 45, tzinfo=UTC)),
    ],
)
def test_times_are_those_of_the_table_form(text: str, moment: datetime) -> None:
    view = FeatureView(features={"f": Calendar(part="hour"), "g": Calendar(part="day_of_month")})
    plan = plan_of(view, rows=AskedRows(time="when"))
    assert plan.times_asked([{"when": text}], None) == [moment]
    pipeline = pipeline_of(view, rows=AskedRows(time="when"))
    arrays = plan.arrays([{}], [moment], [()])
    np.testing.assert_array_equal(arrays["numbers"], table_form(pipeline, [{"when": text}]).arrays["numbers"])


@given(
    seconds=st.integers(-(10**9), 4 * 10**9),
    zone=st.sampled_from(["Europe/Berlin", "Asia/Kolkata", "America/St_Johns", "Australia/Lord_Howe", "UTC"]),
)
@settings(max_examples=25, deadline=None)
def test_parts_of_times_in_a_zone_are_those_of_the_table_form(seconds: int, zone: str) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    parts: tuple[Any, ...] = (*PARTS, "year", "is_weekend")
    view = FeatureView(features={part: Calendar(part=part, time_zone=zone) for part in parts})
    pipeline = pipeline_of(view, rows=AskedRows(time="when"), when=START.replace(tzinfo=UTC))
    plan, row = RowPlan.of(pipeline), {"when": moment.isoformat()}
    assert plan is not None
    arrays = plan.arrays([row], plan.times_asked([row], None), [()])
    np.testing.assert_array_equal(arrays["numbers"], table_form(pipeline, [row]).arrays["numbers"])
    with pytest.raises(TableNeededError):
        plan.arrays([row], [START], [()])


@pytest.mark.parametrize("hour", [0, 23, -5, 1.0, None, 0.5])
def test_hours_are_added_to_dates_as_in_the_table_form(hour: float | None) -> None:
    source = Source(time="date", time_plus={"hour": "1h"}, columns={"hour": Column(type="int")}, keys={"shop": "store"})
    view = FeatureView(
        entity="shop",
        features={"f": Calendar(part="hour"), "g": Calendar(part="year"), "h": Hash(column="shop", buckets=9)},
    )
    definitions = Definitions(
        views={"v": view}, sources={"log": source}, entities={"shop": Entity(keys={"shop": "str"})}
    )
    pipeline = FeaturePipeline(definitions=definitions, features=("v.f", "v.g", "v.h"), rows=AskedRows(history="log"))
    train = pl.DataFrame({"date": ["2023-12-31"], "hour": [1], "store": ["a"]})
    pipeline = pipeline.fit(pipeline.ask(train, notes=Notes()), {"log": train}, train=np.arange(1), notes=Notes())
    plan, row = RowPlan.of(pipeline), {"date": "2023-12-31", "hour": hour, "store": "b"}
    assert plan is not None
    rows = plan.with_keys([row])
    if hour is None or hour == 0.5:
        with pytest.raises(TableNeededError):
            plan.times_asked(rows, None)
        return
    arrays = plan.arrays(rows, plan.times_asked(rows, None), [()])
    for name, values in table_form(pipeline, [row]).arrays.items():
        np.testing.assert_array_equal(arrays[name], values)


def pipeline_of(view: FeatureView, *, rows: AskedRows | None = None, when: datetime = START) -> FeaturePipeline:
    rows = rows or AskedRows()
    pipeline = FeaturePipeline(
        definitions=Definitions(views={"v": view}), features=tuple(f"v.{name}" for name in view.features), rows=rows
    )
    cells = {"x": 1.0, "n": 1, "s": "a", "b": True, "d": START, "when": when}
    columns = {name: [cells[name]] for name in (*view.request, *([rows.time] if rows.time else []))}
    asked = pipeline.ask(pl.DataFrame(columns), notes=Notes())
    return pipeline.fit(asked, {}, train=np.arange(1), notes=Notes())


def plan_of(view: FeatureView, *, rows: AskedRows | None = None) -> RowPlan:
    plan = RowPlan.of(pipeline_of(view, rows=rows))
    assert plan is not None
    return plan
