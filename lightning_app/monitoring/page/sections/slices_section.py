"""Slices: drift and quality of parts of the rows."""

from lightning_app.monitoring.page import words
from lightning_app.monitoring.page.markup import Child, Markup, joined, table
from lightning_app.monitoring.page.sections.section import badge, section
from lightning_app.monitoring.page.verdict import is_worse, overall
from lightning_app.monitoring.report.structs import MetricEstimate, MonitorReport, QualityResult, VersionReport

_MOST_NAMES = 4


def slices_section(report: MonitorReport) -> Markup | None:
    """The section; None if no slices are configured.

    Args:
        report: The report.
    """
    rows = [row for version in report.versions for row in _rows(version, len(report.versions) > 1)]
    if not rows:
        return None
    head = [("Slice", "broad"), ("Rows", "number"), ("Drift", None), ("Columns that drifted", "broad"),
            ("Metric", None), ("Value", "number"), ("Interval", "number"), ("All rows", "number")]  # fmt: skip
    return section(report, "slices", "Slices", table(head, rows, caption=f"Slices of {report.model}"))


def _rows(version: VersionReport, several: bool) -> list[list[Child]]:
    qualities = {one.slice: one for one in version.quality if one.slice is not None and one.arm is None}
    rows = []
    for name in dict.fromkeys([*version.slices, *qualities]):
        assert name is not None
        drift, quality = version.slices.get(name), qualities.get(name)
        drifted = [column.column for column in drift.columns if column.drifted] if drift is not None else []
        size = drift.rows if drift is not None else quality.rows if quality is not None else 0
        rows.append([
            f"{name} ({version.label})" if several else name,
            f"{size:,}",
            _drift(version, name),
            words.listed(drifted, _MOST_NAMES) if drifted else words.NOTHING,
            *_metric(version, quality),
        ])  # fmt: skip
    return rows


def _drift(version: VersionReport, name: str) -> Child:
    drift = version.slices.get(name)
    if drift is None:
        return words.NOTHING
    if drift.rows_needed is not None:
        return badge("quiet", f"{drift.rows_needed:,} rows needed")
    return badge("watch", "drifted") if drift.drifted else badge("quiet", "no drift")


def _metric(version: VersionReport, quality: QualityResult | None) -> list[Child]:
    if quality is None or not quality.metrics:
        return [words.NOTHING] * 4
    metric = quality.metrics[0]
    of_all = _of_all(version, metric.metric)
    value: Child = words.number(metric.value)
    if quality.is_mature and is_worse(metric, of_all):
        value = joined([value, " ", badge("watch", "worse")])
    beside = words.number(None if of_all is None else of_all.value)
    return [metric.metric, value, words.interval(metric.low, metric.high), beside]


def _of_all(version: VersionReport, name: str) -> MetricEstimate | None:
    quality = overall(version)
    return None if quality is None else next((one for one in quality.metrics if one.metric == name), None)
