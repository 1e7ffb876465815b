"""Terminal summary of a report: the verdict, versions, and columns that drifted; fits 80 columns."""

from collections.abc import Iterable

from rich.table import Table

from lightning_app.monitoring.page import words
from lightning_app.monitoring.page.verdict import STATUS_WORDS, by_weight, overall, verdict
from lightning_app.monitoring.report.structs import AlertState, MonitorReport, QualityResult, VersionReport
from lightning_app.terminal import plain, show

_MOST_COLUMNS = 10
_MOST_NOTES = 5


def print_summary(report: MonitorReport) -> None:
    """Prints a report to stdout.

    Args:
        report: The report.
    """
    judged = verdict(report)
    ends = f"{words.moment(report.window.since)} to {words.moment(report.window.until)} UTC"
    _print(f"{report.model}: {STATUS_WORDS[judged.status]} ({ends})", judged.text)
    if report.versions:
        table = Table("version", "rows", "drifted", "quality", "outcomes")
        for version in report.versions:
            table.add_row(*_version(version))
        show(table)
    drifted = [(version, column) for version in report.versions if version.drift is not None
               for column in by_weight(version.drift) if column.drifted]  # fmt: skip
    if drifted:
        several = len(report.versions) > 1
        table = Table("column", "PSI", "by chance", "p", "missing", "importance", *(["version"] if several else []))
        for version, column in drifted[:_MOST_COLUMNS]:
            table.add_row(
                column.column, words.number(column.psi), words.number(column.psi_expected, 2),
                words.p_value(column.adjusted_p), words.share(column.missing), words.share(column.importance),
                *([version.label] if several else []),
            )  # fmt: skip
        show(table)
        if left := len(drifted) - _MOST_COLUMNS:
            _print(*([f"{words.count(left, 'more column')} drifted"] if left > 0 else []))
    firing = [alert for alert in report.alerts if alert.status == "firing"]
    _print(*(_alert(alert) for alert in firing))
    _print_notes([*report.notes, *(f"{one.label}: {note}" for one in report.versions for note in one.notes)])


def _version(version: VersionReport) -> list[str]:
    drift, quality = version.drift, overall(version)
    drifted = "no reference" if drift is None else f"{drift.rows_needed:,} rows needed" if drift.rows_needed else ""
    if drift is not None and drift.rows_needed is None:
        drifted = f"{sum(column.drifted for column in drift.columns)} of {len(drift.columns)}"
    known = quality.labelled / quality.rows if quality is not None and quality.rows else None
    return [version.label, f"{version.rows:,}", drifted, _quality(quality), words.share(known)]


def _quality(quality: QualityResult | None) -> str:
    """The main metric with its interval; estimated where outcomes are not known."""
    if quality is None or not (quality.metrics or quality.estimated):
        return words.NOTHING
    metric = (quality.metrics or quality.estimated)[0]
    ends = words.interval(metric.low, metric.high)
    text = f"{metric.metric} {words.number(metric.value)}{f' ({ends})' if ends else ''}"
    return text if quality.metrics else f"{text}, estimated"


def _alert(alert: AlertState) -> str:
    silenced = "" if alert.silenced is None else f" (silenced: {alert.silenced})"
    return f"firing since {words.moment(alert.since)} UTC: {alert.rule}: {alert.text}{silenced}"


def _print_notes(notes: list[str]) -> None:
    listed = list(dict.fromkeys(notes))
    _print(*(f"note: {note}" for note in listed[:_MOST_NOTES]))
    if (left := len(listed) - _MOST_NOTES) > 0:
        _print(f"{words.count(left, 'more note')} in the report")


def _print(*lines: str) -> None:
    _print_all(plain(line) for line in lines)


def _print_all(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)  # noqa: T201
