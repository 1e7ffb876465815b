from typing import Any

from lightning_app.drift.result import ColumnDrift, DriftResult
from lightning_app.monitoring.causes.root_cause import causes, slice_changes
from lightning_app.monitoring.report.structs import MetricEstimate, QualityResult, Window

SPAN = Window(since=0, until=1)


def column(name: str, **fields: Any) -> ColumnDrift:
    return ColumnDrift(column=name, role="input", kind="number", rows=1000, drifted=True, **fields)


def drift(*columns: ColumnDrift) -> DriftResult:
    return DriftResult(rows=1000, rows_reference=1000, columns=columns, alpha=0.05, drifted=True)


def quality(name: str | None, value: float) -> QualityResult:
    metric = MetricEstimate(metric="mae", better="lower", value=value, rows=100)
    return QualityResult(
        version="bikes@1", window=SPAN, rows=100, labelled=100, waiting=0, overdue=0, is_mature=True, slice=name,
        metrics=(metric,),
    )  # fmt: skip


def test_a_small_shift_of_a_column_that_matters_comes_before_a_large_one_of_a_column_that_does_not() -> None:
    found = causes(drift(column("wind", psi=0.9, importance=0.001), column("hour", psi=0.2, importance=0.6)), {}, [])
    assert [one.name for one in found] == ["hour", "wind"]
    assert "60% of the model's skill" in found[0].text


def test_columns_that_did_not_drift_and_answers_are_no_causes() -> None:
    still = ColumnDrift(column="temp", role="input", kind="number", rows=1000, psi=0.01)
    answer = ColumnDrift(
        column="prediction.rentals", role="prediction", kind="number", rows=1000, psi=2.0, drifted=True
    )
    assert causes(drift(still, answer), {}, []) == ()


def test_a_column_that_went_missing_is_a_cause_however_its_values_are() -> None:
    (found,) = causes(drift(column("age", psi=0.0, missing=0.8, missing_reference=0.0, importance=0.5)), {}, [])
    assert found.score == 0.4
    assert "80.0% missing, was 0.0%" in found.text


def test_what_was_found_of_a_column_comes_before_what_else_is_known_of_it() -> None:
    fields = {"mean": 2.0, "mean_reference": 1.9, "missing": 0.2, "unknown": 0.1}
    for finding, text in (("missing", "20.0% missing"), ("unknown", "10.0% unknown"), ("distribution", "mean 2")):
        (found,) = causes(drift(column("age", finding=finding, **fields)), {}, [])
        assert found.text.startswith(f"age: {text}")


def test_a_slice_that_grew_says_how_good_the_model_is_in_it() -> None:
    changes = slice_changes(
        column("region", psi=0.5, labels=("north", "south"), reference_counts=(90, 10), current_counts=(60, 40))
    )
    assert {name: round(change, 6) for name, change in changes.items()} == {"region=north": -0.3, "region=south": 0.3}
    found = causes(drift(), changes, [quality(None, 10.0), quality("region=south", 18.0), quality("region=north", 9.0)])
    assert [one.name for one in found] == ["region=south", "region=north"]
    assert found[0].text == "region=south: 30.0% of all rows more than in the reference; mae 18, of all rows 10"
