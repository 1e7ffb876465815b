"""Report page: reports of models as one HTML file that needs no network, no scripts and no other file."""

import hashlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

from lightning_app.monitoring.page import words
from lightning_app.monitoring.page.markup import Child, Markup, element, joined
from lightning_app.monitoring.page.sections.alerts_section import alerts_section
from lightning_app.monitoring.page.sections.contract_section import contract_section
from lightning_app.monitoring.page.sections.drift_section import drift_section
from lightning_app.monitoring.page.sections.events_section import events_section, notes_section
from lightning_app.monitoring.page.sections.history_section import history_section
from lightning_app.monitoring.page.sections.quality_section import quality_section
from lightning_app.monitoring.page.sections.section import anchor_of
from lightning_app.monitoring.page.sections.slices_section import slices_section
from lightning_app.monitoring.page.sections.traffic_section import traffic_section
from lightning_app.monitoring.page.sections.verdict_section import verdict_card
from lightning_app.monitoring.page.verdict import verdict
from lightning_app.monitoring.report.structs import MonitorReport
from lightning_app.version import __version__

_SECTIONS = (
    ("Alerts", "alerts", alerts_section),
    ("Quality", "quality", quality_section),
    ("Traffic", "traffic", traffic_section),
    ("Drift", "drift", drift_section),
    ("Drift over time", "history", history_section),
    ("Slices", "slices", slices_section),
    ("Contract", "contract", contract_section),
    ("Timeline", "events", events_section),
    ("Notes", "notes", notes_section),
)


def write_html(
    *reports: MonitorReport,
    title: str = "Model monitoring",
    problems: Mapping[str, str] | None = None,
    links: Sequence[tuple[str, str]] = (),
) -> str:
    """The page of reports; reports of several models stand one below the other, with their verdicts on top.

    Args:
        reports: Reports; without any, the page says why there are none.
        title: Title of the page.
        problems: Why there are no newer reports, by model.
        links: Names and addresses of other pages.
    """
    made = f"made {words.moment(max(report.made for report in reports))} UTC" if reports else "no report yet"
    old = [element("p", {"class": "problem", "role": "alert"}, _problem(reports, name, text))
           for name, text in (problems or {}).items()]  # fmt: skip
    overview = None
    if len(reports) > 1:
        cards = [verdict_card(one, verdict(one), href=f"#{anchor_of(one, 'model')}") for one in reports]
        overview = element("section", {"aria-label": "Verdicts"}, *cards)
    body = [*old, overview, *(_model(report, is_only=len(reports) == 1) for report in reports)]
    return html_page(title=title, made=made, body=body, links=links)


def _problem(reports: Sequence[MonitorReport], name: str, text: str) -> str:
    """Why a report is not newer, and how old it is."""
    made = [report.made for report in reports if name in (report.model, "journal")]
    if not made:
        return f"{name}: no report: {text}"
    return f"{name}: no newer report than that of {words.moment(min(made))} UTC: {text}"


def html_page(*, title: str, made: str, body: Sequence[Child], links: Sequence[tuple[str, str]] = ()) -> str:
    """A page in the style of reports. Its own policy lets it load nothing, wherever it is opened.

    Args:
        title: Title.
        made: How old its content is, in words.
        body: Content.
        links: Names and addresses of other pages.
    """
    style = Markup(stylesheet())
    policy = f"default-src 'none'; style-src '{style_hash()}'; base-uri 'none'; form-action 'none'"
    head = element("head", None,
        element("meta", {"charset": "utf-8"}),
        element("meta", {"http-equiv": "Content-Security-Policy", "content": policy}),
        element("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        element("meta", {"name": "color-scheme", "content": "light dark"}),
        element("title", None, title),
        element("style", None, style),
    )  # fmt: skip
    pages = [element("a", {"href": address}, name) for name, address in links]
    top = element("header", {"class": "top"}, element("div", {"class": "wide"},
        element("h1", None, title),
        element("p", {"class": "badge", "role": "status"}, made),
        element("nav", {"aria-label": "Pages"}, *pages) if pages else None,
    ))  # fmt: skip
    foot = element("footer", {"class": "wide quiet small"}, f"lightning-app {__version__}. Times are UTC.")
    document = element("html", {"lang": "en"}, head,
        element("body", None, top, element("main", {"class": "wide"}, *body), foot),
    )  # fmt: skip
    return f"<!doctype html>\n{document}\n"


@cache
def stylesheet() -> str:
    """Style of the server's pages with that of reports."""
    static = files("lightning_app.serving.pages").joinpath("static")
    return "".join(static.joinpath(name).read_text() for name in ("style.css", "monitor.css"))


@cache
def style_hash() -> str:
    """Source of the style as a Content-Security-Policy names it."""
    return f"sha256-{b64encode(hashlib.sha256(stylesheet().encode()).digest()).decode()}"


def _model(report: MonitorReport, *, is_only: bool) -> Markup:
    parts = [(name, part, draw(report)) for name, part, draw in _SECTIONS]
    jumps = [
        element("a", {"href": f"#{anchor_of(report, part)}"}, name) for name, part, drawn in parts if drawn is not None
    ]
    every = words.span(report.every_seconds)
    about = f"Journal {report.journal}; history in windows of {every}."
    heading = element("h2", {"class": "unseen" if is_only else None}, report.model)
    return element("article", {"class": "of-model", "id": anchor_of(report, "model")},
        heading,
        verdict_card(report, verdict(report)),
        element("nav", {"class": "jumps", "aria-label": f"Parts of the report on {report.model}"}, *jumps),
        joined(drawn for *_, drawn in parts),
        element("p", {"class": "quiet small"}, about),
    )  # fmt: skip
