"""Rows that a drift reference is made of: what is kept of a walk, their order, and the importance of their columns."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lightning_app.drift.answers.answer_form import answer_form
from lightning_app.drift.reference import build_reference
from lightning_app.errors import UsageError
from lightning_app.packaging import Package
from lightning_app.packaging.export.batches import TestBatch
from lightning_app.packaging.export.held_out import MOST_ROWS, MOST_VALUES, HeldOut, HeldOutRows
from lightning_app.packaging.export.input_rows import rows_of_inputs
from lightning_app.packaging.monitored.build import drift_files, drift_reference
from lightning_app.packaging.monitored.importance import column_importance
from lightning_app.packaging.monitored.lists import listed, ranges
from lightning_app.packaging.monitored.rows import MonitoredRows
from lightning_app.packaging.monitored.table_rows import is_export, rows_of_export, rows_of_table
from tests.packages import LABELS, small_package


def walked(held_out: HeldOut, *, batches: int, size: int, width: int) -> HeldOutRows:
    for number in range(batches):
        rows = np.arange(number * size, (number + 1) * size)
        request = {"x": np.zeros((size, width), dtype=np.float32)}
        held_out.add(TestBatch(rows, request, {}, step=None, batch=None), {"y": rows.astype(float)})  # type: ignore[arg-type]
    return held_out.rows()


@pytest.mark.parametrize(("size", "width"), [(5_000, 1), (100, 4_000)])
def test_of_a_large_split_whole_batches_from_all_over_it_are_kept(size: int, width: int) -> None:
    held_out = HeldOut(layout="rows", outputs=["y"], targets=lambda batch: {})
    kept = walked(held_out, batches=101, size=size, width=width)
    assert MOST_ROWS / 4 < len(kept) <= MOST_ROWS or MOST_VALUES / 4 < kept.num_values <= MOST_VALUES
    batches = kept.rows.reshape(-1, size)
    assert (np.diff(batches, axis=1) == 1).all()
    assert batches[0, 0] == 0
    assert len(np.unique(np.diff(batches[:, 0]))) == 1
    assert batches[-1, 0] > 90 * size
    assert np.array_equal(kept.answer["y"], kept.rows)


def test_requests_of_streams_are_not_those_of_their_rows() -> None:
    held_out = HeldOut(layout="stream", outputs=["y"], targets=lambda batch: {"t": batch.rows})
    kept = walked(held_out, batches=2, size=3, width=1)
    assert kept.request == {}
    assert np.array_equal(kept.targets["t"], np.arange(6))


def held_out_of(package: Package, *, count: int = 300) -> HeldOutRows:
    features = np.random.default_rng(0).standard_normal((count, 4)).astype(np.float32)
    features[:, 2] = 1.0  # says nothing
    answer = package.predict({"features": features})
    truth = answer["label"] if "label" in answer else answer["price"]
    outputs = {spec.name: answer[spec.name] for spec in package.manifest.outputs}
    return HeldOutRows(np.arange(count), {"features": features}, outputs, {"target": truth})


@pytest.mark.parametrize("labels", [None, LABELS])
def test_a_package_without_raw_rows_is_watched_by_its_named_columns(tmp_path: Path, labels: tuple[str, ...]) -> None:
    package = Package.load(small_package(tmp_path / "small", labels=labels, noise=0.0))
    rows = rows_of_inputs(package.predictor, held_out_of(package))
    assert rows.requests.columns == ["length", "width", "height", "weight"]
    reference = drift_reference(rows, package.manifest)
    assert set(drift_files(rows, reference)) == {"drift_reference.json", "drift_sample.parquet"}
    assert reference.importance is not None
    assert reference.importance["height"] == 0
    assert sum(reference.importance.values()) == pytest.approx(1)
    assert min(share for name, share in reference.importance.items() if name != "height") > 0.01
    known, other = (reference.errors, reference.calibration)[:: 1 if labels is None else -1]
    assert known is not None
    assert known["points"] == 300
    assert other is None
    watched = {column.plan.name for column in reference.columns}
    assert watched >= ({"prediction.label", "prediction.probabilities.2"} if labels else {"prediction.price"})


def test_rows_are_put_in_the_order_of_their_time_before_they_are_counted(tmp_path: Path) -> None:
    package = Package.load(small_package(tmp_path / "small", noise=0.0))
    held_out = held_out_of(package)
    times = np.datetime64("2026-01-01", "us") + np.arange(300)[::-1] * np.timedelta64(1, "h")
    rows = rows_of_inputs(package.predictor, held_out)
    timed = MonitoredRows(
        requests=rows.requests, answers=rows.answers, outcome=rows.outcome, times=times,
        shuffled=rows.shuffled, ask_changed=rows.ask_changed,
    )  # fmt: skip
    ordered = timed.in_order()
    assert ordered.requests["length"].to_list() == rows.requests["length"].to_list()[::-1]
    form = answer_form(package.manifest.outputs, None)
    assert form is not None
    importance, before = column_importance(ordered, form), column_importance(rows, form)
    assert importance is not None
    assert importance == pytest.approx(before, abs=0.1)  # the answers still belong to their requests


def test_lists_hold_the_rows_of_their_group() -> None:
    table = pl.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]})
    assert listed(table, np.array([2, 0, 1])).to_dict(as_series=False) == {
        "a": [[1, 2], [], [3]],
        "b": [["x", "y"], [], ["z"]],
    }
    assert ranges(np.array([5, 0, 2]), np.array([7, 0, 3])).tolist() == [5, 6, 2]


def test_lists_of_one_are_watched_as_what_they_hold() -> None:
    table = pl.DataFrame({"label": [["a"], ["b"], ["a"]], "probabilities": [[[0.9, 0.1]], [[0.2, 0.8]], [[0.7, 0.3]]]})
    reference = build_reference(table, roles={"label": "prediction", "probabilities": "prediction"})
    columns = {column.plan.name: column for column in reference.columns}
    assert list(columns) == ["label.0", "probabilities.0", "probabilities.1"]
    assert columns["label.0"].bins.categories == ["a", "b"]
    counted = reference.sketch(pl.DataFrame({"label": [["a"], ["c"]], "probabilities": [[[0.5, 0.5]], [[0.1, 0.9]]]}))
    assert counted.columns["label.0"].unknown == 1
    assert counted.columns["probabilities.1"].mean == pytest.approx(0.7)


def test_labelled_rows_are_asked_and_exports_are_taken_as_they_are(tmp_path: Path) -> None:
    package = Package.load(small_package(tmp_path / "small", noise=0.0))
    features = np.random.default_rng(1).standard_normal((100, 4))
    table = pl.DataFrame(features, schema=["length", "width", "height", "weight"]).with_columns(paid=pl.lit(2.0))
    asked = rows_of_table(package.predictor, table, outcome="paid")
    expected = package.predict(table.drop("paid"))
    assert asked.answers["price"].to_list() == expected["price"].cast(pl.Float64).to_list()
    assert asked.outcome is not None
    assert drift_reference(asked, package.manifest).importance is not None
    with pytest.raises(UsageError, match="no column 'outcome', it has length"):
        rows_of_table(package.predictor, table, outcome="outcome")
    export = table.rename({"paid": "outcome"}).hstack([asked.answers["price"].alias("prediction.price")])
    export = export.with_columns(request_id=pl.lit("a"), row=pl.lit(0), reward=pl.lit(None))
    assert is_export(export)
    assert not is_export(table)
    taken = rows_of_export(export, journal_columns=["request_id", "row", "reward"], outcome="outcome")
    assert taken.requests.columns == asked.requests.columns
    assert taken.table().equals(asked.table())
