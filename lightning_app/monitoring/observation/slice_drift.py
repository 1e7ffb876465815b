"""Slice drift: whether the rows of a slice have moved within it."""

from collections.abc import Sequence

import polars as pl
from msgspec.structs import replace

from lightning_app.drift.reference import Reference, build_reference
from lightning_app.drift.report import drift_report
from lightning_app.drift.result import DriftResult, DriftSettings
from lightning_app.monitoring.quality.model_facts import ModelFacts
from lightning_app.monitoring.quality.slices import slices_of

_LEAST_ROWS = 100
"""Rows that a slice needs in the sample of the reference."""


def slice_drift(
    reference: Reference,
    sample: pl.DataFrame,
    current: pl.DataFrame,
    columns: Sequence[str],
    settings: DriftSettings,
    facts: ModelFacts,
) -> dict[str, DriftResult]:
    """Drift within slices; the error rate is divided among them.

    Slices with too few rows in the sample of the reference are left out.

    Args:
        reference: Reference of the package.
        sample: Some of its held-out rows.
        current: Monitored columns of the window.
        columns: Columns whose values are slices.
        settings: How drift is judged.
        facts: What is known of the version.
    """
    known = [name for name in columns if name in sample.columns and name in current.columns]
    before = {one.name: one.chosen for one in slices_of(sample, known, edges=facts.slice_edges)[0]}
    now = {one.name: one.chosen for one in slices_of(current, known, edges=facts.slice_edges)[0]}
    judged = [name for name, chosen in before.items() if name in now and chosen.sum() >= _LEAST_ROWS]
    roles = {column.plan.source: column.role for column in reference.columns if column.plan.source in sample.columns}
    results = {}
    for name in judged:
        column = name.partition("=")[0]
        own = replace(settings, alpha=settings.alpha / len(judged), multivariate=False)
        others = {source: role for source, role in roles.items() if source != column}
        base = build_reference(sample.filter(before[name]), roles=others).with_dependence_of(reference)
        own = replace(own, ignore=tuple(one for one in own.ignore if one in {each.plan.name for each in base.columns}))
        watched = [source for source in current.columns if source in others]
        results[name] = drift_report(base, current.filter(now[name]).select(watched), settings=own)
    return results
