"""drift_report: a window beside the reference, with a stated rate of false alarms."""

from collections.abc import Sequence

import polars as pl
from msgspec.structs import replace

from lightning_app.drift.reference.reference import ColumnReference, Reference
from lightning_app.drift.reference.sketch import ColumnSketch, Sketch
from lightning_app.drift.report import column_tests
from lightning_app.drift.report.bin_labels import picture
from lightning_app.drift.report.column_distances import column_distances
from lightning_app.drift.report.column_tests import ColumnTest
from lightning_app.drift.report.findings import finding_without_test, new_column, note_of
from lightning_app.drift.result import ColumnDrift, DriftResult, DriftSettings, MultivariateDrift
from lightning_app.drift.statistics.multiple_testing import benjamini_hochberg, families


def drift_report(
    reference: Reference,
    current: pl.DataFrame | Sketch,
    *,
    settings: DriftSettings,
    multivariate: Sequence[MultivariateDrift] = (),
) -> DriftResult:
    """Compares a window with the reference, column by column.

    Each column has a test of its distribution, and tests of missing values and unknown categories where these occur.
    All tests are corrected together (Benjamini-Hochberg), so that a share `alpha` of undrifted windows is called
    drifted.

    Args:
        reference: Held-out rows of the model's package.
        current: The window: a table with monitored columns alone, or its sketch.
        settings: How drift is judged.
        multivariate: Tests of columns together, whose p-values are corrected here.

    Raises:
        ValueError: A sketch of another reference, or a column to ignore that is not watched.
    """
    sketch = reference.sketch(current) if isinstance(current, pl.DataFrame) else current
    if sketch.bins != reference.bins:
        raise ValueError(f"the sketch is of another reference ({sketch.bins}, this one is {reference.bins})")
    watched = _watched(reference, sketch, settings)
    notes = [f"{name}: {reason}" for name, reason in reference.left_out.items()]
    notes += [f"{name}: ignored by the settings" for name in settings.ignore]
    needed = rows_needed(reference, settings)
    enough = sketch.rows >= (settings.minimum_rows or column_tests.LEAST_ROWS)
    drifts, tests = [], []
    for column in watched:
        counts = sketch.columns[column.plan.name]
        drifts.append(_column(column, counts, reference.importance, settings))
        decided = drifts[-1].finding is not None or not enough
        tests.append([] if decided else column_tests.column_tests(column, counts, alpha=settings.alpha))
    tests = _without_repeated(watched, sketch, tests)
    together = [one for one in multivariate if one.p_value is not None] if enough else []
    univariate = benjamini_hochberg([test.p_value for found in tests for test in found])
    joint = benjamini_hochberg([one.p_value for one in together if one.p_value is not None])
    univariate, joint = families(univariate, joint)
    adjusted = iter(univariate)
    columns = [
        _judged(drift, found, [next(adjusted) for _ in found], settings)
        for drift, found in zip(drifts, tests, strict=True)
    ]
    columns += [
        new_column(name, column, sketch.rows)
        for name, column in sketch.new.items()
        if column.rows and name not in settings.ignore
    ]
    by_name = {
        one.name: replace(one, adjusted_p=value, drifted=value <= settings.alpha)
        for one, value in zip(together, joint, strict=True)
    }
    joined = tuple(by_name.get(one.name, one) for one in multivariate)
    columns.sort(key=lambda column: (not column.drifted, -(column.psi if column.psi is not None else _FIRST)))
    return DriftResult(
        rows=sketch.rows,
        rows_reference=reference.rows,
        columns=tuple(columns),
        multivariate=joined,
        alpha=settings.alpha,
        drifted=any(column.drifted for column in columns) or any(one.drifted for one in joined),
        rows_needed=None if sketch.rows >= needed else needed,
        notes=tuple(notes),
    )


_FIRST = float("inf")


def rows_needed(reference: Reference, settings: DriftSettings) -> int:
    """Rows of a window below which no distribution is tested.

    Args:
        reference: The reference; the column whose test needs the fewest rows counts.
        settings: May say another number.
    """
    if settings.minimum_rows is not None:
        return settings.minimum_rows
    return min((column_tests.rows_needed(column) for column in reference.columns), default=column_tests.LEAST_ROWS)


def _watched(reference: Reference, sketch: Sketch, settings: DriftSettings) -> list[ColumnReference]:
    names = {column.plan.name for column in reference.columns}
    sources = {column.plan.source for column in reference.columns}
    for name in settings.ignore:
        if name not in names | sources | set(sketch.new) | set(reference.left_out):
            raise ValueError(f"ignore: no column {name!r} is watched; there are {', '.join(sorted(names))}")
    return [column for column in reference.columns if not {column.plan.name, column.plan.source} & set(settings.ignore)]


def _column(
    reference: ColumnReference, current: ColumnSketch, importance: dict[str, float] | None, settings: DriftSettings
) -> ColumnDrift:
    """Everything but the tests."""
    before, plan = reference.sketch, reference.plan
    finding = finding_without_test(reference, current)
    distances = column_distances(reference, current, seed=settings.seed)
    drawn = picture(reference, current)
    leading = reference.dependence.leading
    needed = column_tests.rows_needed(reference)
    constant = sum(1 for one, other in zip(before.counts, current.counts, strict=True) if one or other) < 2
    return ColumnDrift(
        column=plan.name,
        role=reference.role,
        kind=plan.kind,
        rows=current.rows,
        missing=current.unusable / current.rows if current.rows else 0.0,
        missing_reference=before.unusable / before.rows,
        unknown=current.unknown / max(current.rows, 1) if reference.bins.categories is not None else None,
        psi=distances.psi.found,
        psi_expected=distances.psi.expected,
        js=distances.js.found,
        js_expected=distances.js.expected,
        ks=distances.ks.found,
        ks_expected=distances.ks.expected,
        wasserstein=distances.wasserstein.found,
        wasserstein_expected=distances.wasserstein.expected,
        mean=current.mean if current.minimum is not None else None,
        mean_reference=before.mean if before.minimum is not None else None,
        sd=current.sd,
        sd_reference=before.sd,
        design_effect=leading[0].design_effect(current.count) if leading and current.count else None,
        drifted=finding is not None,
        finding=finding,
        importance=(importance or {}).get(plan.source),
        note=note_of(reference, current, finding=finding, needed=needed, constant=constant),
        labels=drawn.labels,
        edges=drawn.edges,
        reference_counts=drawn.reference,
        current_counts=drawn.current,
    )


def _without_repeated(
    watched: list[ColumnReference], sketch: Sketch, tests: list[list[ColumnTest]]
) -> list[list[ColumnTest]]:
    """Parts of one list are missing together, which is tested once."""
    seen: set[tuple[str, int, int]] = set()
    kept = []
    for column, found in zip(watched, tests, strict=True):
        current = sketch.columns[column.plan.name]
        key = (column.plan.source, column.sketch.unusable, current.unusable)
        kept.append([test for test in found if test.finding != "missing" or key not in seen])
        seen.add(key)
    return kept


def _judged(drift: ColumnDrift, tests: list[ColumnTest], adjusted: list[float], settings: DriftSettings) -> ColumnDrift:
    if not tests:
        return drift
    best = min(range(len(tests)), key=lambda place: (adjusted[place], tests[place].p_value))
    finding = tests[best].finding
    small = finding == "distribution" and drift.psi is not None and drift.psi < settings.minimum_psi
    drifted = adjusted[best] <= settings.alpha and not small
    return replace(
        drift, p_value=tests[best].p_value, adjusted_p=adjusted[best], drifted=drifted,
        finding=finding if drifted else None,
    )  # fmt: skip
