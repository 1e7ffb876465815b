"""Version report: drift, quality and causes of one version over the window that is judged."""

import polars as pl
from msgspec.structs import replace

from lightning_app.drift.multivariate import multivariate_drift
from lightning_app.drift.report import drift_report
from lightning_app.drift.result import DriftResult, MultivariateDrift
from lightning_app.monitoring.causes.root_cause import causes, slice_changes
from lightning_app.monitoring.causes.timeline import version_label
from lightning_app.monitoring.config.monitor_config import MonitoredModel
from lightning_app.monitoring.observation.package_facts import PackageFacts
from lightning_app.monitoring.observation.slice_drift import slice_drift
from lightning_app.monitoring.observation.watched_rows import (
    settings_for,
    unread_columns,
    watched_rows,
    with_unwatched,
)
from lightning_app.monitoring.quality.delays import DelayModel
from lightning_app.monitoring.quality.quality import quality_results
from lightning_app.monitoring.report.structs import VersionReport, Window
from lightning_app.monitoring.windows.rows import WindowRows
from lightning_app.monitoring.windows.traffic import Traffic


def version_report(
    model: MonitoredModel,
    answered: Traffic,
    rows: WindowRows,
    facts: PackageFacts,
    delays: DelayModel,
    *,
    window: Window,
    now: float,
) -> VersionReport:
    """Judges a version.

    Args:
        model: How it is monitored.
        answered: Its traffic.
        rows: Rows of the window, of all versions.
        facts: What its package says.
        delays: How long outcomes take.
        window: The window.
        now: Present time, Unix seconds.
    """
    label = version_label(model.model, answered)
    own = rows.of_version(answered.digest)
    report = VersionReport(
        label=label, version=answered.version, digest=answered.digest, requests=answered.requests, rows=answered.rows,
        degraded=answered.degraded, notes=facts.notes,
    )  # fmt: skip
    if own.table.is_empty():  # none of a sample
        return report
    quality = quality_results(
        own.table, version=label, facts=facts.quality, settings=model.quality, window=window, now=now, delays=delays,
        slices=model.slices,
    )  # fmt: skip
    p50, p99 = _latencies(own.table)
    drift: DriftResult | None = None
    by_slice: dict[str, DriftResult] = {}
    changes: dict[str, float] = {}
    if facts.reference is not None:
        watched = watched_rows(own, facts, delays, now=now)
        settings = settings_for(model.drift, watched, facts.reference)
        together: tuple[MultivariateDrift, ...] = ()
        if facts.sample is not None:
            together = multivariate_drift(facts.reference, facts.sample, watched, settings=settings)
        drift = drift_report(facts.reference, watched, settings=settings, multivariate=together)
        unread = unread_columns(own.monitored, facts)
        drift = with_unwatched(drift, unread, set(model.drift.ignore) - {*settings.ignore, *unread})
        if facts.sample is not None:
            by_slice = slice_drift(facts.reference, facts.sample, watched, model.slices, settings, facts.quality)
        for column in drift.columns:
            if column.column in model.slices and column.kind == "category":
                changes |= slice_changes(column)
    return replace(
        report, latency_ms_p50=p50, latency_ms_p99=p99, drift=drift, slices=by_slice, quality=tuple(quality),
        causes=causes(drift, changes, quality) if drift is not None else (),
    )  # fmt: skip


def _latencies(table: pl.DataFrame) -> tuple[float | None, float | None]:
    """Median and 99 % quantile of the latencies of the requests, in milliseconds."""
    first = table.filter(pl.col("journal.row") == 0)["journal.latency_ms"]
    return first.quantile(0.5), first.quantile(0.99)
