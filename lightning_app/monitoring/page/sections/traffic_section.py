"""Traffic: requests by window, stacked by version, and what each version answered in the window that is judged."""

from lightning_app.monitoring.page import words
from lightning_app.monitoring.page.markup import Markup, element, table
from lightning_app.monitoring.page.pictures.bar_chart import Stack, bar_chart
from lightning_app.monitoring.page.sections.section import legend, marks, on_screens, section, span_of, tones
from lightning_app.monitoring.report.structs import MonitorReport, WindowPoint


def traffic_section(report: MonitorReport) -> Markup:
    """The section.

    Args:
        report: The report.
    """
    head = [("Version", None), ("Digest", "mono"), ("Requests", "number"), ("Rows", "number"), ("Degraded", "number"),
            ("p50", "number"), ("p99", "number")]  # fmt: skip
    rows = [
        [
            one.label, one.digest[:12], f"{one.requests:,}", f"{one.rows:,}",
            words.share(one.degraded / one.requests if one.requests else None), _latency(one.latency_ms_p50),
            _latency(one.latency_ms_p99),
        ]
        for one in report.versions
    ]  # fmt: skip
    numbers = table(head, rows, caption=f"Traffic of {report.model} in the window that is judged") if rows else None
    return section(report, "traffic", "Versions and traffic", _picture(report), numbers)


def _picture(report: MonitorReport) -> Markup | None:
    if not report.history:
        return None
    colours = tones(report)
    by_window: dict[float, list[WindowPoint]] = {}
    for point in report.history:
        by_window.setdefault(point.window.since, []).append(point)
    stacks = [
        Stack(
            since=since,
            until=points[0].window.until,
            counts=[(point.label, colours[point.label], point.requests) for point in points],
        )
        for since, points in sorted(by_window.items())
    ]
    since, until = span_of(report)
    total = sum(point.requests for point in report.history)
    text = f"Requests of {report.model} by window and version: {total:,} in {words.count(len(stacks), 'window')}."
    figure = on_screens(
        lambda width: bar_chart(
            stacks, label=text, since=since, until=until, width=width, marks=marks(report),
            judged=(report.window.since, report.window.until),
        )
    )  # fmt: skip
    hint = f" each window is {words.span(report.every_seconds)}"
    return element("figure", {"class": "card figure keep"},
        element("figcaption", None, element("strong", None, "requests"), element("span", {"class": "hint"}, hint)),
        legend([(f"area-entry {tone}", label) for label, tone in colours.items()]),
        figure,
    )  # fmt: skip


def _latency(value: float | None) -> str:
    return words.NOTHING if value is None else f"{words.number(value)} ms"
