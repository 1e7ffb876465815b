"""Verdict of a model: the sentence, the numbers that it rests on, and what likely caused it."""

from lightning_app.monitoring.page import words
from lightning_app.monitoring.page.markup import Markup, element
from lightning_app.monitoring.page.sections.section import badge
from lightning_app.monitoring.page.verdict import STATUS_WORDS, Verdict, is_worse, overall, reference_of
from lightning_app.monitoring.report.structs import MonitorReport, VersionReport

_KINDS = {"bad": "bad", "watch": "watch", "good": "good", "unknown": "quiet"}
_MOST_CAUSES = 5


def verdict_card(report: MonitorReport, judged: Verdict, *, href: str | None = None) -> Markup:
    """The verdict as a card.

    Args:
        report: Report of the model.
        judged: The verdict.
        href: Address of the model's part of the page, where several models are shown.
    """
    name = element("a", {"href": href}, report.model) if href else report.model
    return element("article", {"class": f"card verdict {judged.status}"},
        element("p", {"class": "line"}, element("strong", None, name), status_badge(judged)),
        element("p", {"class": "sentence"}, judged.text),
        _facts(report),
        None if href else _causes(report),
    )  # fmt: skip


def status_badge(judged: Verdict) -> Markup:
    """The status of a verdict in two words.

    Args:
        judged: The verdict.
    """
    return badge(_KINDS[judged.status], STATUS_WORDS[judged.status])


def _facts(report: MonitorReport) -> Markup:
    facts: list[tuple[str, str, str, str | None]] = [("window", words.span(report.window.until - report.window.since),
        _window(report), None)]  # fmt: skip
    facts.append(("requests", f"{sum(one.requests for one in report.versions):,}", _rows(report), None))
    if report.versions:
        facts.extend(_of_version(report.versions[0]))
    firing = [alert for alert in report.alerts if alert.status == "firing"]
    silenced = sum(alert.silenced is not None for alert in firing)
    note = f"{silenced} silenced" if silenced else ""
    facts.append(("alerts firing", str(len(firing)), note, "wrong" if len(firing) > silenced else None))
    drawn = [
        element("div", None,
            element("dt", None, name),
            element("dd", {"class": kind}, value),
            element("dd", {"class": "note-of"}, note) if note else None,
        )
        for name, value, note, kind in facts
    ]  # fmt: skip
    return element("dl", {"class": "numbers"}, *drawn)


def _window(report: MonitorReport) -> str:
    ends = report.window.since, report.window.until
    since, until = (words.start_of(end, report.every_seconds) for end in ends)
    return f"{since} to {until}" if since.count(":") + until.count(":") == 0 else f"{since} to {until} UTC"


def _rows(report: MonitorReport) -> str:
    rows = sum(one.rows for one in report.versions)
    versions = words.count(len(report.versions), "version")
    return f"{words.count(rows, 'row')}, {versions}"


def _of_version(version: VersionReport) -> list[tuple[str, str, str, str | None]]:
    facts: list[tuple[str, str, str, str | None]] = []
    quality = overall(version)
    if quality is not None and (quality.metrics or quality.estimated):
        is_measured = bool(quality.metrics)
        metric = quality.metrics[0] if is_measured else quality.estimated[0]
        reference = reference_of(quality, metric.metric)
        beside = "" if reference is None else f"{words.number(reference.value)} held out"
        text = "; ".join(part for part in (words.interval(metric.low, metric.high), beside) if part)
        kind = "wrong" if quality.is_mature and is_worse(metric, reference) else None
        name = metric.metric if is_measured else f"{metric.metric}, estimated"
        facts.append((name, words.number(metric.value), text, kind))
    if quality is not None and quality.rows:
        waiting = f"{quality.waiting:,} rows may still get one" if quality.waiting else ""
        facts.append(("outcomes known", words.share(quality.labelled / quality.rows), waiting, None))
    drift = version.drift
    if drift is not None:
        drifted = sum(column.drifted for column in drift.columns)
        note = f"false alarms {words.share(drift.alpha)}"
        if drift.rows_needed is not None:
            note = f"not judged: {drift.rows_needed:,} rows are needed"
        facts.append(
            ("columns drifted", f"{drifted} of {len(drift.columns)}", note, "wrong" if drift.drifted else None)
        )
    if version.latency_ms_p50 is not None:
        slow = "" if version.latency_ms_p99 is None else f"p99 {words.number(version.latency_ms_p99)} ms"
        facts.append(("p50 latency", f"{words.number(version.latency_ms_p50)} ms", slow, None))
    return facts


def _causes(report: MonitorReport) -> Markup | None:
    """Causes of each version with a bar for their weight."""
    blocks = []
    for version in report.versions:
        causes = version.causes[:_MOST_CAUSES]
        if not causes:
            continue
        largest = max(cause.score for cause in causes) or 1.0
        items = [
            element(
                "li",
                None,
                _bar(cause.score / largest),
                element(
                    "span", None, element("strong", None, cause.name), f" {cause.text.removeprefix(f'{cause.name}: ')}"
                ),
            )
            for cause in causes
        ]
        title = "Likely causes" + (f" at {version.label}" if len(report.versions) > 1 else "")
        hint = element("span", {"class": "hint"}, " what moved, weighted by what the model relies on")
        blocks.append(element("h4", None, title, hint))
        blocks.append(element("ol", {"class": "causes"}, *items))
    return element("div", {"class": "why"}, *blocks) if blocks else None


def _bar(share: float) -> Markup:
    size = {"class": "weight", "viewBox": "0 0 60 10", "width": 60, "height": 10, "aria-hidden": "true"}
    return element("svg", size,
        element("rect", {"class": "rail", "width": 60, "height": 10, "rx": 2}),
        element("rect", {"class": "fill", "width": round(max(2.0, 60 * share), 1), "height": 10, "rx": 2}),
    )  # fmt: skip
