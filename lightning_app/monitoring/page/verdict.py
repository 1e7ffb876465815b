"""Verdict: one sentence on a model - what is wrong, since when, and what the likely cause is."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

from lightning_app.drift.result import ColumnDrift, DriftResult
from lightning_app.monitoring.page import words
from lightning_app.monitoring.report.structs import (
    MetricEstimate,
    MonitorReport,
    QualityResult,
    TimelineEvent,
    VersionReport,
    WindowPoint,
)

Status: TypeAlias = Literal["bad", "watch", "good", "unknown"]
Holds: TypeAlias = Callable[[WindowPoint], bool | None]
STATUS_WORDS: dict[Status, str] = {
    "bad": "act now",
    "watch": "look at it",
    "good": "as expected",
    "unknown": "not known",
}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A judgement.

    Attributes:
        status: How urgent it is.
        text: One sentence or a few short ones.
        since: When it began, Unix seconds; None if nothing is wrong or the start is not known.
    """

    status: Status
    text: str
    since: float | None = None


def verdict(report: MonitorReport) -> Verdict:
    """The verdict on a model.

    Args:
        report: Its report.
    """
    if not report.versions:
        return Verdict(status="unknown", text=f"No answer of {report.model} in the window, so nothing can be judged.")
    main = report.versions[0]
    quality, quality_since = _quality(report, main)
    drift, drift_since = _drift(report, main)
    rise, rise_since = _rise(report, main)
    firing = [alert for alert in report.alerts if alert.status == "firing" and alert.silenced is None]
    parts = [part for part in (quality, rise, drift) if part]
    since = min((time for time in (quality_since, rise_since, drift_since) if time is not None), default=None)
    if firing and not parts:
        parts = [
            f"{words.count(len(firing), 'alert fires', 'alerts fire')}: {words.listed([one.rule for one in firing])}"
        ]
        since = min(one.since for one in firing)
    if not parts:
        return _quiet(main)
    parts += _cause(report, main, since)
    text = "; ".join(parts)
    return Verdict(status="bad" if quality or firing else "watch", text=f"{main.label}: {text}.", since=since)


def overall(version: VersionReport) -> QualityResult | None:
    """Quality of all rows of a version, all arms together.

    Args:
        version: The version.
    """
    return next((one for one in version.quality if one.arm is None and one.slice is None), None)


def reference_of(quality: QualityResult, metric: str) -> MetricEstimate | None:
    """The metric on the held-out rows of the package.

    Args:
        quality: Quality of a version.
        metric: Name of the metric.
    """
    return next((one for one in quality.reference if one.metric == metric and one.value is not None), None)


def by_weight(drift: DriftResult) -> list[ColumnDrift]:
    """Columns in the order in which they matter: drifted ones first, then by importance times PSI.

    Args:
        drift: Drift of a version.
    """
    known = [column.importance for column in drift.columns if column.importance is not None]
    usual = sum(known) / len(known) if known else 1.0

    def weight(column: ColumnDrift) -> tuple[bool, bool, float]:
        importance = column.importance if column.importance is not None else usual
        size = column.psi if column.psi is not None else 0.0
        return not column.drifted, column.note is None, -size * max(importance, 0.001)

    return sorted(drift.columns, key=weight)


def is_worse(metric: MetricEstimate, reference: MetricEstimate | None) -> bool:
    """Whether a metric is certainly worse than a reference: its interval does not reach it.

    Args:
        metric: The metric with its interval.
        reference: The metric that it is compared with.
    """
    if reference is None or reference.value is None or metric.low is None or metric.high is None:
        return False
    if metric.better == "lower":
        bound = reference.high if reference.high is not None else reference.value
        return metric.low > bound
    bound = reference.low if reference.low is not None else reference.value
    return metric.better == "higher" and metric.high < bound


def _quality(report: MonitorReport, version: VersionReport) -> tuple[str, float | None]:
    """What is wrong with the quality, and since when; what outcomes say counts before estimates."""
    judged = overall(version)
    measured = judged if judged is not None and judged.is_mature else _last_mature(report, version)
    for quality, is_measured in ((measured, True), (judged, False)):
        if quality is None:
            continue
        for metric in quality.metrics if is_measured else quality.estimated:
            reference = reference_of(quality, metric.metric)
            if not is_worse(metric, reference):
                continue
            assert reference is not None
            holds = partial(_was_worse, metric=metric.metric, is_measured=is_measured)
            since = _start(report, version, holds)
            began = "" if since is None else f", since {words.start_of(since, report.every_seconds)}"
            verb = "is" if quality is judged else "was"
            at = "" if quality is judged else f" on {words.start_of(quality.window.since, report.every_seconds)}"
            said = f"{verb} {words.number(metric.value)} ({words.interval(metric.low, metric.high)}){at}"
            name = metric.metric if is_measured else f"{metric.metric}, estimated before outcomes,"
            return f"{name} {said}, worse than {words.number(reference.value)} on held-out rows{began}", since
    return "", None


def _last_mature(report: MonitorReport, version: VersionReport) -> QualityResult | None:
    """Quality in the last window whose outcomes are known."""
    points = (point for point in reversed(report.history) if point.label == version.label)
    return next((point.quality for point in points if point.quality is not None and point.quality.is_mature), None)


def _was_worse(point: WindowPoint, *, metric: str, is_measured: bool) -> bool | None:
    """Whether the metric was worse than its reference in a window; None where it is not known."""
    if point.quality is None or (is_measured and not point.quality.is_mature):
        return None
    estimates = point.quality.metrics if is_measured else point.quality.estimated
    one = next((one for one in estimates if one.metric == metric and one.value is not None), None)
    return None if one is None else is_worse(one, reference_of(point.quality, metric))


def _rise(report: MonitorReport, version: VersionReport) -> tuple[str, float | None]:
    """The last rise of the error row by row, if it became known in the window, and when it was."""
    last = version.error_changes[-1] if version.error_changes else None
    if last is None or last.known < report.window.since:
        return "", None
    means = f"from {words.number(last.before)} to {words.number(last.after)}"
    return f"row by row, its error rose {means}, {words.moment(last.time)} UTC", last.time


def _drift(report: MonitorReport, version: VersionReport) -> tuple[str, float | None]:
    """What has drifted, and since when."""
    drift = version.drift
    if drift is None or not drift.drifted:
        return "", None
    drifted = sorted((one for one in by_weight(drift) if one.drifted), key=lambda one: one.role != "input")
    names = [column.column for column in drifted]
    since = _start(report, None, partial(_had_drifted, names=set(names)))
    began = "" if since is None else f" since {words.start_of(since, report.every_seconds)}"
    if not names:
        return f"Columns have drifted together{began}, though none by itself", since
    verb = "has" if len(names) == 1 else "have"
    return f"{words.listed(names)} {verb} drifted{began}", since


def _had_drifted(point: WindowPoint, *, names: set[str]) -> bool | None:
    """Whether any of the columns had drifted in a window, or any at all without names; None where it is not known."""
    if point.drifted is None:
        return None
    return bool(names.intersection(point.drifted) if names else point.drifted)


def _start(report: MonitorReport, version: VersionReport | None, holds: Holds) -> float | None:
    """Start of the last stretch of windows in which something holds.

    Windows that say nothing do not end it, nor does a single one in which it does not hold: small windows find less.
    """
    since, num_without = None, 0
    for point in reversed(report.history):
        if version is not None and point.label != version.label:
            continue
        held = holds(point)
        if held:
            since, num_without = point.window.since, 0
        elif held is False:
            num_without += 1
            if num_without > 1:
                break
    return since


def _cause(report: MonitorReport, version: VersionReport, since: float | None) -> list[str]:
    parts = []
    if version.causes:
        cause = version.causes[0]
        text = cause.text.removeprefix(f"{cause.name}: ").split("; ")[0].rstrip(".")
        parts.append(f"likely cause: {cause.name} ({text})")
    event = None if since is None else _nearest(report, since)
    if event is not None:
        parts.append(f"near its start: {event.text.rstrip('.')}, {words.moment(event.time)} UTC")
    return parts


def _nearest(report: MonitorReport, since: float) -> TimelineEvent | None:
    """The event nearest to a start, if it lies within a window's length of it."""
    deployments = [event for event in report.events if event.kind in ("promoted", "rolled back", "first answer")]
    near = [event for event in deployments if abs(event.time - since) <= report.every_seconds]
    return min(near, key=lambda event: abs(event.time - since), default=None)


def _quiet(version: VersionReport) -> Verdict:
    """Nothing is wrong, as far as can be known."""
    quality = overall(version)
    drift = version.drift
    unknown = []
    if drift is None:
        unknown.append("drift cannot be judged without a reference, see the notes")
    elif drift.rows_needed is not None:
        unknown.append(f"drift cannot be judged: {drift.rows:,} rows, {drift.rows_needed:,} are needed")
    if quality is None or not quality.metrics or not quality.is_mature:
        unknown.append("too few outcomes are known to judge the quality")
    untested = [] if drift is None else [column for column in drift.columns if _is_untested(column)]
    watched = [] if drift is None else [column for column in drift.columns if column.role != "outcome"]
    if drift is not None and drift.rows_needed is None and untested:
        unknown.insert(0, f"{len(untested)} of {words.count(len(watched), 'column')} have too few rows for a test")
    if drift is None or drift.rows_needed is not None or (untested and not _is_tested(drift)):
        text = "; ".join(unknown)
        return Verdict(status="unknown", text=f"{text[:1].upper()}{text[1:]}.")
    metric = quality.metrics[0] if quality is not None and quality.metrics and quality.is_mature else None
    said = f"No drift in {words.count(len(drift.columns) - len(untested), 'column')} of {version.label}"
    if metric is not None:
        ends = words.interval(metric.low, metric.high)
        said += f"; {metric.metric} is {words.number(metric.value)}{f' ({ends})' if ends else ''}"
    return Verdict(status="good", text=f"{said}{''.join(f'; {one}' for one in unknown)}.")


def _is_untested(column: ColumnDrift) -> bool:
    """Whether a column that is not the same in all rows has too few of them for a test."""
    bins = zip(column.reference_counts, column.current_counts, strict=True)
    varies = sum(1 for before, now in bins if before or now) > 1
    return varies and column.role != "outcome" and column.p_value is None and column.finding is None


def _is_tested(drift: DriftResult) -> bool:
    """Whether anything was tested but outcomes."""
    columns = any(column.p_value is not None for column in drift.columns if column.role != "outcome")
    return columns or any(one.p_value is not None for one in drift.multivariate)
