"""Samples: the numbers of a report by name, for alert rules and for Prometheus."""

import time
from collections import Counter
from collections.abc import Iterator

from lightning_app.drift.result import DriftResult
from lightning_app.monitoring.report.metric_names import METRICS
from lightning_app.monitoring.report.structs import (
    MetricEstimate,
    MetricSample,
    MonitorReport,
    QualityResult,
    VersionReport,
)


def metric_samples(report: MonitorReport) -> list[MetricSample]:
    """The numbers of a report.

    Args:
        report: The report.
    """
    samples = [
        MetricSample(name=name, labels={"model": report.model, **labels}, value=value, time=report.window.until)
        for version in report.versions
        for name, labels, value in _of_version(report, version)
    ]
    last = max((point.window.until for point in report.history), default=report.window.until)
    broken: dict[str, int] = {}
    for finding in report.contract:
        if finding.window.until == last:
            broken[finding.rule] = broken.get(finding.rule, 0) + finding.violations
    rows: list[tuple[str, dict[str, str], float]] = [
        ("monitor_contract_violations", {"rule": rule}, count) for rule, count in sorted(broken.items())
    ]
    rows.append(("monitor_report_seconds", {}, max(0.0, time.time() - report.made)))
    rows.append(("monitor_report_timestamp_seconds", {}, report.made))
    alerts = Counter((alert.rule, alert.severity, alert.status) for alert in report.alerts)
    for (rule, severity, status), number in sorted(alerts.items()):
        rows.append(("monitor_alerts", {"alert": rule, "severity": severity, "status": status}, number))
    if report.last_answer is not None:
        rows.append(("monitor_last_answer_seconds", {}, max(0.0, report.window.until - report.last_answer)))
    samples += [
        MetricSample(name=name, labels={"model": report.model, **labels}, value=value, time=report.window.until)
        for name, labels, value in rows
    ]
    for sample in samples:
        assert set(sample.labels) == set(METRICS[sample.name].labels), sample
    return samples


_Number = tuple[str, dict[str, str], float]


def _of_version(report: MonitorReport, version: VersionReport) -> Iterator[_Number]:
    own = {"version": version.label}
    yield "monitor_requests", own, version.requests
    yield "monitor_rows", own, version.rows
    yield "monitor_degraded_share", own, version.degraded / max(1, version.requests)
    if version.latency_ms_p50 is not None and version.latency_ms_p99 is not None:
        yield "monitor_latency_p50_ms", own, version.latency_ms_p50
        yield "monitor_latency_p99_ms", own, version.latency_ms_p99
    if version.drift is not None:
        yield from _of_drift(version.drift, own)
        yield "monitor_drifted_windows", own, _drifted_windows(report, version.label)
    for name, drift in version.slices.items():
        yield "monitor_slice_drifted", {**own, "slice": name}, float(drift.drifted)
    for quality in version.quality:
        yield from _of_quality(quality, own)
    if version.error_changes:
        last = version.error_changes[-1]
        yield "monitor_error_change_seconds", own, max(0.0, report.window.until - last.known)
        if last.before > 0:
            yield "monitor_error_change_ratio", own, last.after / last.before


def _of_drift(drift: DriftResult, own: dict[str, str]) -> Iterator[_Number]:
    if drift.rows_needed is None:  # else nothing was judged
        yield "monitor_drifted", own, float(drift.drifted)
        yield "monitor_drifted_columns", own, sum(column.drifted for column in drift.columns)
    for column in drift.columns:
        labels = {**own, "column": column.column}
        yield "monitor_column_missing", labels, column.missing
        if column.unknown is not None:
            yield "monitor_column_unknown", labels, column.unknown
        if column.psi is not None:
            yield "monitor_column_psi", labels, column.psi
        if column.adjusted_p is not None:
            yield "monitor_column_p_value", labels, column.adjusted_p
            yield "monitor_column_drifted", labels, float(column.drifted)


def _of_quality(quality: QualityResult, own: dict[str, str]) -> Iterator[_Number]:
    place = {"arm": quality.arm or "", "slice": quality.slice or ""}
    for metric in quality.metrics:
        yield from _of_metric(metric, {**own, **place, "metric": metric.metric})
    if quality.arm is not None or quality.slice is not None:
        return
    for metric in quality.estimated:
        if metric.value is not None:
            yield "monitor_estimated", {**own, "metric": metric.metric}, metric.value
    if quality.estimate_error is not None:
        yield "monitor_estimate_error", own, quality.estimate_error
    for test in quality.tests:
        yield "monitor_outcome_p_value", {**own, "test": test.name}, test.p_value
    yield "monitor_quality_mature", own, float(quality.is_mature)
    yield "monitor_labelled_share", own, quality.labelled / max(1, quality.rows)
    yield "monitor_waiting_rows", own, quality.waiting
    yield "monitor_overdue_share", own, quality.overdue / max(1, quality.rows)


def _of_metric(metric: MetricEstimate, labels: dict[str, str]) -> Iterator[_Number]:
    for name, value in (
        ("monitor_quality", metric.value),
        ("monitor_quality_low", metric.low),
        ("monitor_quality_high", metric.high),
    ):
        if value is not None:
            yield name, labels, value


def _drifted_windows(report: MonitorReport, label: str) -> int:
    """Windows with drift up to the last one that was judged."""
    count = 0
    for point in reversed(report.history):
        if point.label != label or point.drifted is None:
            continue
        if not point.drifted:
            break
        count += 1
    return count
