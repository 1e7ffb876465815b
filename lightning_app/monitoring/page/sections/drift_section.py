"""Drift by column: distributions then and now, sorted by what matters to the model, and tests of columns together."""

from lightning_app.drift.result import ColumnDrift, DriftResult, MultivariateDrift
from lightning_app.monitoring.page import words
from lightning_app.monitoring.page.markup import Child, Markup, breakable, element, joined, table
from lightning_app.monitoring.page.pictures.bar_pair import bar_pair
from lightning_app.monitoring.page.pictures.histogram_pair import histogram_pair
from lightning_app.monitoring.page.pictures.sparkline import sparkline
from lightning_app.monitoring.page.sections.section import badge, legend, notes, section
from lightning_app.monitoring.page.verdict import by_weight
from lightning_app.monitoring.report.structs import MonitorReport, VersionReport, WindowPoint

_ROLES = {"input": "", "prediction": "prediction", "outcome": "outcome"}
_LEAST_PSI = 0.2
_LEGEND = [("area-entry then", "reference"), ("line-entry tone-0", "this window"), ("dot-entry", "window with drift")]


def drift_section(report: MonitorReport) -> Markup:
    """The section, version by version.

    Args:
        report: The report.
    """
    parts: list[Child] = []
    for version in report.versions:
        if len(report.versions) > 1:
            parts.append(element("h4", None, version.label))
        parts.append(_version(report, version))
    if not report.versions:
        parts.append(element("p", {"class": "quiet"}, "Nothing was answered in the window."))
    return section(report, "drift", "Drift by column", *parts)


def _version(report: MonitorReport, version: VersionReport) -> Markup:
    drift = version.drift
    if drift is None:
        return element("p", {"class": "quiet"}, f"{version.label} has no reference to compare with; see the notes.")
    columns = by_weight(drift)
    drifted = [column for column in columns if column.drifted]
    others = [column for column in columns if not column.drifted]
    lead = (
        f"{words.count(drift.rows, 'row')} against {drift.rows_reference:,} held-out rows of the package: "
        f"{words.count(len(drifted), 'column')} of {len(columns)} drifted. "
        f"Without drift, any would be named in {words.share(drift.alpha)} of reports."
    )
    if drift.rows_needed is not None:
        lead = f"Not judged: {words.count(drift.rows, 'row')}, the tests need {drift.rows_needed:,}."
    history = [point for point in report.history if point.label == version.label]
    rest = None
    if others:
        title = f"{words.count(len(others), 'column')} without drift"
        shown = _table(others, history, caption=f"Columns of {version.label} without drift")
        rest = element("details", {"open": not drifted and len(others) <= 12}, element("summary", None, title), shown)
    return joined([
        element("p", None, lead),
        _together(drift, version.label),
        legend(_LEGEND) if columns else None,
        _table(drifted, history, caption=f"Columns of {version.label} that drifted") if drifted else None,
        rest,
        notes(drift.notes),
    ])  # fmt: skip


def _table(columns: list[ColumnDrift], history: list[WindowPoint], *, caption: str) -> Markup:
    head = [("Column", "name"), ("Then and now", "picture"), ("PSI over time", "picture"), ("PSI", "number"),
            ("Mean then → now", "number"), ("Missing then → now", "number"),
            ("Importance", "number")]  # fmt: skip
    return table(head, [_row(column, history) for column in columns], caption=caption, css="columns")


def _row(column: ColumnDrift, history: list[WindowPoint]) -> list[Child]:
    kind = ", ".join(word for word in (_ROLES[column.role], column.kind) if word)
    name = joined([
        element("strong", None, breakable(column.column)),
        element("span", {"class": "kind"}, kind),
        badge("watch", "drifted") if column.drifted else None,
        element("span", {"class": "remark"}, column.note) if column.note else None,
    ])  # fmt: skip
    return [
        name,
        _picture(column),
        _history(column.column, history),
        _psi(column),
        _mean(column),
        _missing(column),
        words.NOTHING if column.importance is None else words.share(column.importance),
    ]


def _psi(column: ColumnDrift) -> Child:
    """PSI, what chance alone reaches, and the p-value after correction."""
    below = []
    if column.psi_expected is not None:
        below.append(f"by chance {words.number(column.psi_expected, 2)}")
    if column.adjusted_p is not None:
        name = words.p_value(column.adjusted_p)
        below.append(f"p {name}" if name.startswith("<") else f"p = {name}")
    return joined([words.number(column.psi), *(element("span", {"class": "under"}, line) for line in below)])


def _picture(column: ColumnDrift) -> Child:
    if not column.current_counts or not column.reference_counts:
        return element("span", {"class": "quiet small"}, "no picture")
    then, now = column.reference_counts, column.current_counts
    if len(column.edges) == len(then) + 1 == len(now) + 1:
        return histogram_pair(column.edges, then, now, name=column.column)
    return bar_pair(column.labels, then, now, name=column.column)


def _history(name: str, history: list[WindowPoint]) -> Child:
    values = [point.psi.get(name) for point in history]
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return words.NOTHING
    dots = [point.drifted is not None and name in point.drifted for point in history]
    label = (
        f"PSI of {name} in {len(known)} windows: from {words.number(known[0], 2)} to {words.number(known[-1], 2)}, "
        f"drifted in {sum(dots)}"
    )
    return sparkline(values, label=label, dots=dots, least=_LEAST_PSI)


def _mean(column: ColumnDrift) -> Child:
    if column.mean is None or column.mean_reference is None:
        return words.NOTHING
    return _change(words.number(column.mean_reference), words.number(column.mean))


def _missing(column: ColumnDrift) -> Child:
    if column.role == "outcome":
        return f"{words.share(column.missing)} not known"
    text = _change(words.share(column.missing_reference), words.share(column.missing))
    if not column.unknown:
        return text
    return joined([text, element("span", {"class": "under"}, f"{words.share(column.unknown)} unknown")])


def _change(then: str, now: str) -> Markup:
    return joined([then, element("span", {"class": "arrow"}, " → "), now])


def _together(drift: DriftResult, label: str) -> Markup | None:
    if not drift.multivariate:
        return None
    head = [("Columns together", "broad"), ("Result", None), ("Statistic", "number"), ("p, corrected", "number"),
            ("Rows", "number"), ("Relies on", "broad")]  # fmt: skip
    rows = [
        [
            one.name.replace("_", " ").replace("mmd", "MMD"),
            _result(one),
            words.number(one.statistic),
            words.p_value(one.adjusted_p),
            f"{one.rows:,}",
            "; ".join(part for part in (", ".join(one.columns), one.note or "") if part) or words.NOTHING,
        ]
        for one in drift.multivariate
    ]
    return table(head, rows, caption=f"Tests of {label} over several columns")


def _result(one: MultivariateDrift) -> Markup:
    if one.p_value is None:
        return badge("quiet", "not judged")
    return badge("watch", "drifted") if one.drifted else badge("quiet", "no drift")
