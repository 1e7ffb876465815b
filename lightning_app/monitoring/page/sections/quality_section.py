"""Quality over time: metrics of outcomes with their intervals, the estimate before outcomes, and versions marked."""

from lightning_app.monitoring.page import words
from lightning_app.monitoring.page.markup import Child, Markup, element, joined, table
from lightning_app.monitoring.page.pictures.line_chart import Level, Line, Point, line_chart
from lightning_app.monitoring.page.sections.section import (
    badge,
    legend,
    marks,
    notes,
    on_screens,
    section,
    span_of,
    tones,
    window_name,
)
from lightning_app.monitoring.page.verdict import is_worse, overall, reference_of
from lightning_app.monitoring.report.structs import MetricEstimate, MonitorReport, QualityResult, WindowPoint

_MOST_METRICS = 3
_UNLIKELY = 0.01
"""p-value of a single test below which a difference is called one."""


def quality_section(report: MonitorReport) -> Markup:
    """The section: a picture of each metric, and the numbers of the window that is judged.

    Args:
        report: The report.
    """
    names = _metrics(report)
    judged = _judged(report)
    if not names and judged is None:
        nothing = element("p", {"class": "quiet"}, "No outcomes are known, and nothing could be estimated.")
        return section(report, "quality", "Quality", nothing)
    others = names[1:_MOST_METRICS]
    further = None
    if others:
        summary = element("summary", None, f"Pictures of {words.listed(others, len(others))}")
        further = element("details", None, summary, *(_picture(report, name) for name in others))
    left_out = names[_MOST_METRICS:]
    remarks = [f"further metrics are in the numbers alone: {', '.join(left_out)}"] if left_out else []
    said = [note for version in report.versions if (quality := overall(version)) for note in quality.notes]
    return section(
        report, "quality", "Quality", _picture(report, names[0]) if names else None, further, judged,
        notes([*_tests(report), *said, *remarks]),
    )  # fmt: skip


def _metrics(report: MonitorReport) -> list[str]:
    """Names of the metrics that any window has a value of; the main metric first."""
    known: dict[str, None] = {}
    for point in report.history:
        if point.quality is not None:
            for one in (*point.quality.metrics, *point.quality.estimated):
                if one.value is not None:
                    known[one.metric] = None
    return list(known)


def _picture(report: MonitorReport, metric: str) -> Markup | None:
    colours = tones(report)
    lines, entries = [], []
    for label, tone in colours.items():
        points = [point for point in report.history if point.label == label and point.quality is not None]
        measured = [_point(point, _of(point.quality.metrics, metric)) for point in points if point.quality]
        estimated = [
            _point(point, _of(point.quality.estimated, metric), is_measured=False) for point in points if point.quality
        ]
        if any(point.value is not None for point in measured):
            lines.append(Line(name=label, points=measured, style=tone))
            entries.append((f"line-entry {tone}", label))
        if any(point.value is not None for point in estimated):
            known = {point.time for point in measured if point.value is not None}
            plain = [  # the interval of an estimate is drawn where there is no other
                point if point.time not in known else Point(time=point.time, value=point.value, text=point.text)
                for point in estimated
            ]
            lines.append(Line(name=f"{label} estimated", points=plain, style=tone, is_dashed=True))
            entries.append((f"line-entry dashed {tone}", f"{label}, estimated before outcomes"))
    if not lines:
        return None
    if any(point.low is not None for line in lines for point in line.points):
        entries.append(("area-entry band-entry", "interval that holds at all times"))
    if any(point.is_open for line in lines for point in line.points):
        entries.append(("open-entry", "not final: few or late outcomes"))
    levels = [
        Level(value=reference.value, label=f"held out {words.number(reference.value)}", style=colours[label])
        for label, reference in _references(report, metric).items()
        if reference.value is not None and label in colours
    ]
    since, until = span_of(report)
    better = next((one.better for one in _all(report, metric) if one.better is not None), None)
    direction = "" if better is None else f" {better} is better"
    text = f"{metric} of {report.model} over time. " + " ".join(_in_words(line) for line in lines)
    figure = on_screens(
        lambda width: line_chart(
            lines, label=text, since=since, until=until, width=width, levels=levels, marks=marks(report),
            judged=(report.window.since, report.window.until),
        )
    )  # fmt: skip
    return element("figure", {"class": "card figure"},
        element("div", {"class": "keep"},
            element("figcaption", None, element("strong", None, metric), element("span", {"class": "hint"}, direction)),
            legend(entries),
            figure,
        ),
        element("details", None, element("summary", None, f"Numbers of {metric}"), _numbers(report, metric)),
    )  # fmt: skip


def _point(point: WindowPoint, one: MetricEstimate | None, *, is_measured: bool = True) -> Point:
    middle = (point.window.since + point.window.until) / 2
    quality = point.quality
    assert quality is not None
    if one is None or one.value is None:
        return Point(time=middle, value=None)
    text = words.number(one.value)
    if interval := words.interval(one.low, one.high):
        text += f" ({interval}), {words.count(one.rows, 'row')}"
    is_open = is_measured and not quality.is_mature
    return Point(
        time=middle, value=one.value, low=one.low, high=one.high, is_open=is_open,
        text=f"{text}{_state(quality)}" if is_measured else text,
    )  # fmt: skip


def _in_words(line: Line) -> str:
    values = [point.value for point in line.points if point.value is not None]
    return f"{line.name}: from {words.number(values[0])} to {words.number(values[-1])} in {len(values)} windows."


def _numbers(report: MonitorReport, metric: str) -> Markup:
    head = [("Window (UTC)", None), ("Version", None), (metric, "number"), ("Interval", "number"),
            ("Estimated", "number"), ("Rows", "number"), ("Outcomes", "number")]  # fmt: skip
    rows = []
    for point in report.history:
        if point.quality is None:
            continue
        measured, estimated = _of(point.quality.metrics, metric), _of(point.quality.estimated, metric)
        rows.append([
            window_name(report, point.window.since), point.label,
            words.number(None if measured is None else measured.value),
            words.interval(measured.low, measured.high) if measured is not None else "",
            words.number(None if estimated is None else estimated.value),
            f"{point.quality.rows:,}",
            f"{words.share(_labelled(point.quality))}{_state(point.quality)}",
        ])  # fmt: skip
    return table(head, rows, caption=f"{metric} of {report.model} by window and version", css="long")


def _judged(report: MonitorReport) -> Markup | None:
    """Numbers of the window that is judged, by version, then by arm; slices have a section of their own."""
    head = [("Version", None), ("Metric", None), ("Measured", "number"), ("Interval", "number"),
            ("Held out", "number"), ("Estimated", "number"), (f"Estimate {words.MINUS} measured", "number"),
            ("Outcomes known", "number")]  # fmt: skip
    rows = []
    for version in report.versions:
        for quality in version.quality:
            if quality.slice is None:
                rows.extend(_judged_rows(quality))
    if not rows:
        return None
    title = element("h4", None, "In the window that is judged")
    return joined([title, table(head, rows, caption=f"Quality of {report.model} in the window that is judged")])


def _judged_rows(quality: QualityResult) -> list[list[Child]]:
    names = dict.fromkeys(one.metric for one in (*quality.metrics, *quality.estimated))
    label = quality.version if quality.arm is None else f"{quality.version}, arm {quality.arm}"
    rows: list[list[Child]] = []
    for place, name in enumerate(names):
        measured, estimated = _of(quality.metrics, name), _of(quality.estimated, name)
        reference = reference_of(quality, name)
        value: Child = words.number(None if measured is None else measured.value)
        if measured is not None and quality.is_mature and is_worse(measured, reference):
            value = joined([value, " ", badge("bad", "worse")])
        rows.append([
            label, name, value,
            words.interval(measured.low, measured.high) if measured is not None else "",
            words.number(None if reference is None else reference.value),
            _with_interval(estimated),
            words.number(quality.estimate_error if not place else None),
            None if place else _outcomes(quality),
        ])  # fmt: skip
    return rows


def _with_interval(one: MetricEstimate | None) -> str:
    if one is None or one.value is None:
        return words.NOTHING
    ends = words.interval(one.low, one.high)
    return f"{words.number(one.value)} ({ends})" if ends else words.number(one.value)


def _outcomes(quality: QualityResult) -> Markup:
    below = [f"{quality.waiting:,} waiting"] if quality.waiting else []
    below += [f"{quality.overdue:,} overdue"] if quality.overdue else []
    known = f"{words.share(_labelled(quality))} of {quality.rows:,}"
    return joined([known, *(element("span", {"class": "under"}, line) for line in below)])


def _tests(report: MonitorReport) -> list[str]:
    """What tests of outcomes against the held-out rows say, for all rows of each version."""
    lines = []
    for version in report.versions:
        quality = overall(version)
        for test in quality.tests if quality is not None else ():
            differs = "differ" if test.p_value < _UNLIKELY else "do not differ"
            what = {"calibration": "errors by size of the answer", "outcomes": "outcomes"}[test.name]
            p = words.p_value(test.p_value)
            lines.append(
                f"{version.label}: {what} {differs} from those of the held-out rows "
                f"(p {p if p.startswith('<') else f'= {p}'}, {words.count(test.rows, 'row')})"
            )
    return lines


def _references(report: MonitorReport, metric: str) -> dict[str, MetricEstimate]:
    """The metric on held-out rows by version; one line for those that are the same."""
    found: dict[str, MetricEstimate] = {}
    qualities = [one for version in report.versions for one in version.quality]
    for quality in [*qualities, *(point.quality for point in report.history if point.quality is not None)]:
        if (reference := reference_of(quality, metric)) is not None:
            found.setdefault(quality.version, reference)
    return {} if len(found) > 2 else found


def _all(report: MonitorReport, metric: str) -> list[MetricEstimate]:
    return [
        one
        for point in report.history
        if point.quality is not None
        for one in (*point.quality.metrics, *point.quality.estimated)
        if one.metric == metric
    ]


def _of(estimates: tuple[MetricEstimate, ...], metric: str) -> MetricEstimate | None:
    return next((one for one in estimates if one.metric == metric), None)


def _state(quality: QualityResult) -> str:
    """Why a metric is not yet to be compared with others; empty if it is."""
    if quality.is_mature:
        return ""
    return ", still coming" if quality.waiting else ", too few"


def _labelled(quality: QualityResult) -> float | None:
    return quality.labelled / quality.rows if quality.rows else None
