"""Alerts: those that fire first, then pending and resolved ones."""

from lightning_app.monitoring.page import words
from lightning_app.monitoring.page.markup import Markup, element, joined, table
from lightning_app.monitoring.page.sections.section import badge, section
from lightning_app.monitoring.report.structs import AlertState, MonitorReport

_ORDER = {"firing": 0, "pending": 1, "resolved": 2, "inactive": 3}
_KINDS = {"firing": "bad", "pending": "watch", "resolved": "good", "inactive": "quiet"}


def alerts_section(report: MonitorReport) -> Markup:
    """The section; it says so if there are none.

    Args:
        report: The report.
    """
    if not report.alerts:
        return section(report, "alerts", "Alerts", element("p", {"class": "quiet"}, "No alert is pending or firing."))
    alerts = sorted(report.alerts, key=lambda alert: (_ORDER[alert.status], alert.silenced is not None, -alert.since))
    head = [("Alert", "broad"), ("State", None), ("Since (UTC)", None), ("Value", "number"), ("For", "broad"),
            ("What", "broad")]  # fmt: skip
    rows = [
        [
            joined([alert.rule, " ", element("span", {"class": "quiet small"}, alert.severity)]),
            _state(alert),
            words.moment(alert.since),
            _value(alert.value),
            ", ".join(f"{name}={value}" for name, value in alert.labels.items()) or words.NOTHING,
            alert.text,
        ]
        for alert in alerts
    ]
    return section(report, "alerts", "Alerts", table(head, rows, caption=f"Alerts of {report.model}"))


def _value(value: float | None) -> str:
    """A value; counts, which metrics hold as floats, without a point."""
    return words.number(int(value) if value is not None and float(value).is_integer() else value)


def _state(alert: AlertState) -> Markup:
    if alert.silenced is None:
        return badge(_KINDS[alert.status], alert.status)
    note = element("span", {"class": "quiet small"}, f" silenced: {alert.silenced}")
    return joined([badge("quiet", alert.status), note])
