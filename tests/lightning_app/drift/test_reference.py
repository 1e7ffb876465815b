"""References and sketches: what is watched, how it is counted, what a file may hold."""

import datetime

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_app.drift.reference import Reference, Sketch, build_reference, build_sample


def rows(count=1000, seed=0):
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "amount": random.normal(size=count),
            "visits": random.poisson(2, count),
            "city": random.choice(["Bern", "Basel", "Chur"], count, p=[0.6, 0.3, 0.1]),
            "member": random.random(count) < 0.5,
            "prediction.price": random.normal(size=count).astype(np.float32),
            "outcome": random.integers(0, 2, count),
        }
    )


ROLES = {
    "amount": "input", "visits": "input", "city": "input", "member": "input", "prediction.price": "prediction",
    "outcome": "outcome",
}  # fmt: skip


def one_column(values, dtype=None, **options):
    return build_reference(pl.DataFrame({"x": pl.Series(values, dtype=dtype, strict=False)}), roles={"x": "input"},
                           **options)  # fmt: skip


def test_a_reference_survives_its_file():
    reference = build_reference(rows(), roles=ROLES, importance={"amount": 0.7}, errors={"sd": 1.5})
    again = Reference.from_bytes(reference.to_bytes())
    assert again == reference
    assert again.to_bytes() == reference.to_bytes()
    assert [column.role for column in again.columns] == list(ROLES.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 99}, "schema_version 99 given, .* reads up to 1: update lightning-app"),
        ({"rows": 7}, "counts must add up to 7 rows"),
        ({"bins": "0"}, "digest of its bins"),
        ({"extra": 1}, "unknown field"),
        ({"columns": 3}, "Expected `array`"),
    ],
)
def test_a_file_that_is_no_reference_is_refused(change, message):
    content = msgspec.json.decode(build_reference(rows(), roles=ROLES).to_bytes()) | change
    with pytest.raises(ValueError, match=message):
        Reference.from_bytes(msgspec.json.encode(content))


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"schema_version": "1"}'])
def test_a_broken_file_is_refused_by_its_name(content):
    with pytest.raises(ValueError, match="drift_reference.json: "):
        Reference.from_bytes(content)


def test_a_reference_needs_rows_and_its_columns():
    with pytest.raises(ValueError, match="needs rows"):
        build_reference(rows()[:0], roles=ROLES)
    with pytest.raises(ValueError, match="no column 'colour'; it has amount"):
        build_reference(rows(), roles={"colour": "input"})


def test_what_is_watched_of_each_type():
    table = pl.DataFrame(
        {
            "when": [datetime.datetime(2026, 1, 1)] * 3,
            "lasted": [datetime.timedelta(seconds=2)] * 3,
            "raw": [b"1"] * 3,
            "text": ["a" * 300, "b c", None],
            "probabilities": pl.Series([[0.1, 0.9], [0.3, 0.7], [0.5, 0.5]], dtype=pl.Array(pl.Float32, 2)),
            "history": [[1.0, 2.0], [3.0], []],
            "horizon": [[float(step) for step in range(20)]] * 3,
            "nodes": [[[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.0]], None],
            "words": [["a"], ["b", "c"], None],
            "place": [{"lat": 1.0, "name": "a"}] * 3,
            "empty": [None] * 3,
        }
    )
    reference = build_reference(table, roles=dict.fromkeys(table.columns, "input"))
    assert [(column.plan.name, column.plan.kind, column.plan.source_kind) for column in reference.columns] == [
        ("lasted", "number", "number"),
        ("text.length", "number", "text"), ("text.words", "number", "text"),
        ("probabilities.0", "number", "vector"), ("probabilities.1", "number", "vector"),
        *((f"history.{part}", "number", "list") for part in ("length", "mean", "sd", "last")),
        *((f"horizon.{part}", "number", "vector") for part in ("length", "mean", "sd", "last")),
        *((f"nodes.{part}", "number", "list") for part in ("length", "size", "mean", "sd")),
        ("words.length", "number", "list"),
        ("place.lat", "number", "number"), ("place.name", "category", "category"),
        ("empty", "category", "category"),
    ]  # fmt: skip
    assert reference.left_out == {
        "when": "times are not watched", "raw": "values of the type Binary are not watched"
    }  # fmt: skip
    found = {column.plan.name: column.sketch for column in reference.columns}
    assert (found["nodes.size"].minimum, found["nodes.size"].maximum, found["nodes.size"].missing) == (2, 4, 1)
    assert (found["nodes.mean"].minimum, found["nodes.mean"].maximum) == (1.5, 2.5)
    assert (found["history.length"].mean, found["history.mean"].missing) == (1, 1)
    assert found["history.last"].mean == 2.5
    assert found["text.words"].mean == 1.5
    assert Reference.from_bytes(reference.to_bytes()) == reference


@pytest.mark.parametrize(
    ("reference", "window", "expected"),
    [
        ([1.0, 2.0], pl.Series([1.0, None, float("nan"), float("inf"), -float("inf")]), (1, 0, 3)),
        ([1.0, 2.0], pl.Series(["1", "1e3", "much", None]), (1, 1, 0)),
        ([1.0, 2.0], pl.Series([True, False, None]), (1, 0, 0)),
        ([1.0, 2.0], pl.Series([[1.0], [2.0]]), (0, 2, 0)),
        ([1, 2], pl.Series([2**63, 2**64 - 1], dtype=pl.UInt64), (0, 0, 0)),
        ([1, 2], pl.Series([10**30, None], dtype=pl.Int128), (1, 0, 0)),
        ([1.0, 2.0], pl.Series([None, None]), (2, 0, 0)),
        ([1.0, 2.0], pl.Series([datetime.date(2026, 1, 1)]), (0, 1, 0)),
        (["a", "b"], pl.Series(["a", "z", None]), (1, 0, 0)),
        (["1", "2"], pl.Series([1.0, 2.0, None]), (1, 0, 0)),
        ([True, False], pl.Series([True, None]), (1, 0, 0)),
        (["a", "b"], pl.Series([["a"]]), (0, 1, 0)),
        ([[1.0], [2.0, 3.0]], pl.Series([3.0, None]), (1, 1, 0)),
    ],
)
def test_rows_that_cannot_be_counted_are_told_apart(reference, window, expected):
    sketch = one_column(reference).sketch(pl.DataFrame({"x": window})).columns
    column = next(iter(sketch.values()))
    assert (column.missing, column.wrong_type, column.non_finite) == expected
    assert column.count + column.unusable == column.rows == len(window)
    assert msgspec.json.decode(msgspec.json.encode(column), type=type(column)) == column


def test_unknown_categories_are_counted_where_all_are_known():
    assert one_column(["a", "b"]).sketch(pl.DataFrame({"x": ["a", "c", "d"]})).columns["x"].unknown == 2
    many = one_column([f"c{number}" for number in range(150)] * 4)
    sketch = many.sketch(pl.DataFrame({"x": ["c0", "c99", "new"]})).columns["x"]
    assert not many.columns[0].bins.complete
    assert (sketch.unknown, sketch.counts[-1]) == (0, 2)


def test_columns_that_vanished_or_are_new():
    reference = build_reference(rows(), roles=ROLES)
    sketch = reference.sketch(rows(10).drop("amount").with_columns(pl.lit("x").alias("colour")))
    assert sketch.columns["amount"].absent == 10
    assert {name: (column.rows, column.kind) for name, column in sketch.new.items()} == {"colour": (10, "String")}


@pytest.mark.parametrize(
    ("values", "num_bins"),
    [
        ([3.0] * 100, 3),
        ([0.0, 1.0] * 50, 4),
        (np.arange(60), 62),
        (np.random.default_rng(0).normal(size=10_000), 64),
        ([float("nan")] * 5, 1),
        ([1e308, -1e308, 5e-324] * 10, 5),
    ],
)
def test_bins(values, num_bins):
    column = one_column(values).columns[0]
    assert column.bins.count == num_bins
    assert sum(map(sum, column.blocks)) == column.sketch.count


def test_a_frequent_value_has_a_bin_of_its_own():
    random = np.random.default_rng(0)
    values = np.where(random.random(5000) < 0.6, 0.1, random.exponential(size=5000) + 0.2)
    column = one_column(values).columns[0]
    assert column.sketch.counts[1] == np.sum(values == 0.1)
    rounded = column.sketch.counts == one_column(values).sketch(
        pl.DataFrame({"x": values.astype(np.float32)})).columns["x"].counts  # fmt: skip
    assert rounded  # 0.1 in single precision is in the same bin


def test_rows_are_put_in_time_order():
    table = pl.DataFrame({"time": np.arange(1000)[::-1], "x": np.arange(1000)})
    column = build_reference(table, roles={"x": "input"}, order="time").columns[0]
    assert column.blocks[0][1] == 0
    assert column.blocks[0][1] == 0
    assert len(column.blocks) == 32


def test_a_sample_keeps_the_order():
    sample = build_sample(pl.DataFrame({"x": np.arange(20_000)}))
    assert sample.height == 5000
    assert sample["x"].is_sorted()


floats = st.one_of(
    st.none(), st.floats(allow_nan=True, allow_infinity=True), st.floats(-3, 3), st.sampled_from([0.0, 0.1])
)


@given(
    st.lists(floats, min_size=1, max_size=300), st.lists(floats, max_size=300), st.lists(floats, max_size=300),
    st.randoms(),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_sketches_add_up_to_that_of_both_windows(values, first, second, random):
    reference = one_column(values, pl.Float64)

    def sketch(column):
        return reference.sketch(pl.DataFrame({"x": pl.Series(column, dtype=pl.Float64)}))

    added, whole = sketch(first) + sketch(second), sketch(first + second)
    shuffled = [*first, *second]
    random.shuffle(shuffled)
    for other in (added, sketch(shuffled)):
        assert other.rows == whole.rows
        one, another = other.columns["x"], whole.columns["x"]
        for name in ("rows", "missing", "non_finite", "counts", "minimum", "maximum"):
            assert getattr(one, name) == getattr(another, name)
        scale = max([abs(value) for value in (another.minimum, another.maximum) if value is not None], default=0)
        if scale < 1e100:
            assert one.mean == pytest.approx(another.mean, rel=1e-9, abs=1e-9 * scale)
            assert one.squares == pytest.approx(another.squares, rel=1e-6, abs=1e-9 * scale**2)
    assert msgspec.json.decode(msgspec.json.encode(added), type=Sketch) == added


def test_sketches_of_different_references_do_not_add_up():
    table = pl.DataFrame({"x": [1.0, 2.0]})
    with pytest.raises(ValueError, match="different references"):
        one_column([1.0, 2.0]).sketch(table) + one_column([1.0, 2.5]).sketch(table)


def test_a_sample_takes_the_dependence_of_all_rows():
    series = pl.DataFrame({"x": np.sin(np.arange(5000) / 50)})
    whole = build_reference(series, roles={"x": "input"})
    sample = build_reference(series.sample(500, seed=0), roles={"x": "input"})
    assert not sample.columns[0].dependence.leading[0].dependent
    assert sample.with_dependence_of(whole).columns[0].dependence == whole.columns[0].dependence
