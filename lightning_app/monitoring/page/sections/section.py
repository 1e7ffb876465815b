"""Section of the page: its frame, pictures for wide and for narrow screens, badges, and versions with their colours."""

from collections.abc import Callable, Iterable
from urllib.parse import quote

from lightning_app.monitoring.page import words
from lightning_app.monitoring.page.markup import Child, Markup, element
from lightning_app.monitoring.page.pictures.marks import Mark
from lightning_app.monitoring.report.structs import MonitorReport

WIDE, NARROW = 860, 340
_TONES = 5
_OPENED = {"good": "✓", "bad": "!", "watch": "▲", "quiet": ""}


def section(report: MonitorReport, name: str, title: str, *children: Child) -> Markup:
    """A section with its heading.

    Args:
        report: Report of the model that it belongs to.
        name: Word for its address.
        title: Heading.
        children: Content.
    """
    anchor = anchor_of(report, name)
    heading = element("h3", {"id": f"{anchor}-title"}, title)
    return element("section", {"id": anchor, "aria-labelledby": f"{anchor}-title"}, heading, *children)


def anchor_of(report: MonitorReport, name: str) -> str:
    """Address of a part of the page, unique over models.

    Args:
        report: Report of the model.
        name: Word for the part.
    """
    return f"{quote(report.model, safe='').replace('%', '.')}-{name}"


def on_screens(draw: Callable[[int], Markup]) -> Markup:
    """A picture twice: for wide screens and paper, and for narrow screens, where its letters keep their size.

    Args:
        draw: From the width in pixels to the picture.
    """
    wide = element("div", {"class": "wide-only"}, draw(WIDE))
    return Markup(wide + element("div", {"class": "narrow-only"}, draw(NARROW)))


def badge(kind: str, text: str) -> Markup:
    """A word in colour, with a sign for those who do not see colours.

    Args:
        kind: `good`, `bad`, `watch` or `quiet`.
        text: The word.
    """
    sign = element("span", {"class": "sign", "aria-hidden": "true"}, _OPENED[kind]) if _OPENED[kind] else None
    return element("span", {"class": f"badge {kind}"}, sign, text)


def tones(report: MonitorReport) -> dict[str, str]:
    """CSS class of each version: the newest to answer has the first colour.

    Args:
        report: The report.
    """
    labels = dict.fromkeys(point.label for point in report.history)
    newest = [*reversed(labels), *(one.label for one in report.versions if one.label not in labels)]
    return {label: f"tone-{min(place, _TONES - 1)}" for place, label in enumerate(newest)}


def legend(entries: list[tuple[str, str]]) -> Markup:
    """Names of what a picture shows.

    Args:
        entries: CSS class and name.
    """
    items = [element("li", {"class": style}, name) for style, name in entries]
    return element("ul", {"class": "legend"}, *items)


def notes(lines: Iterable[str]) -> Markup | None:
    """Remarks as a list, each once; None without any.

    Args:
        lines: The remarks.
    """
    items = [element("li", None, line) for line in dict.fromkeys(lines)]
    return element("ul", {"class": "notes"}, *items) if items else None


def marks(report: MonitorReport) -> list[Mark]:
    """Events that pictures over time show as vertical lines.

    Args:
        report: The report.
    """
    shown = [event for event in report.events if event.kind not in ("challenger", "shadow")]
    return [
        Mark(
            time=event.time,
            label=event.kind if event.version is None else f"@{event.version} {event.kind}",
            text=event.text,
        )
        for event in shown
    ]


def span_of(report: MonitorReport) -> tuple[float, float]:
    """First and last moment of pictures over time.

    Args:
        report: The report.
    """
    since = min([report.window.since, *(point.window.since for point in report.history)])
    return since, max([report.window.until, *(point.window.until for point in report.history)])


def window_name(report: MonitorReport, since: float) -> str:
    """Name of a window of the history.

    Args:
        report: The report.
        since: Its start.
    """
    return words.start_of(since, report.every_seconds)
