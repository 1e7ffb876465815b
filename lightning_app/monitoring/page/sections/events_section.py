"""Timeline of deployments, aliases, experiments and retraining; and notes on what is missing from the report."""

from lightning_app.monitoring.page import words
from lightning_app.monitoring.page.markup import Markup, element, table
from lightning_app.monitoring.page.sections.section import notes, section
from lightning_app.monitoring.report.structs import MonitorReport

_MOST_EVENTS = 200


def events_section(report: MonitorReport) -> Markup | None:
    """The timeline, the latest event first; None without events.

    Args:
        report: The report.
    """
    if not report.events:
        return None
    events = sorted(report.events, key=lambda event: -event.time)
    rows = [
        [
            element("time", {"datetime": words.iso(event.time)}, words.moment(event.time)),
            event.kind,
            words.NOTHING if event.version is None else str(event.version),
            event.text,
        ]
        for event in events[:_MOST_EVENTS]
    ]
    head = [("Time (UTC)", None), ("Event", None), ("Version", "number"), ("What", "broad")]
    left = len(events) - len(rows)
    rest = element("p", {"class": "quiet small"}, f"{words.count(left, 'earlier event')} not shown.") if left else None
    return section(report, "events", "Timeline", table(head, rows, caption=f"Events of {report.model}"), rest)


def notes_section(report: MonitorReport) -> Markup | None:
    """What was too few, left out or not available; None if nothing was.

    Args:
        report: The report.
    """
    of_versions = [f"{version.label}: {note}" for version in report.versions for note in version.notes]
    listed = notes([*report.notes, *of_versions])
    return None if listed is None else section(report, "notes", "Notes", listed)
