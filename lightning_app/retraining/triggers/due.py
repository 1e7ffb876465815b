"""Due triggers: which of them hold now, each with the window that it is about.

A trigger and its window begin one cycle with the same champion, and no second one: not if the clock is set back, not if
a tick runs twice, and not because the cycle was rejected. Drift and metrics are those of the champion alone: requests
that a canary answers cannot begin a cycle.
"""

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal

from msgspec import Struct

from features.definitions.duration import seconds
from lightning_app.monitoring.report.structs import MetricEstimate, MonitorReport, Window, WindowPoint
from lightning_app.retraining.config.policy import ChangeTrigger, DriftTrigger, MetricTrigger, RetrainPolicy
from lightning_app.retraining.triggers.facts import ChampionFacts, TriggerFacts

Kind = Literal["age", "labels", "metric", "drift", "change", "contract", "config"]
_SHOWN = 3


class Trigger(Struct, frozen=True, kw_only=True):
    """A trigger that holds.

    Attributes:
        kind: Which.
        window: What it is about; a trigger of the same kind and window is the same one.
        reason: Why, in one line.
        action: Whether it begins a cycle, or only says so.
    """

    kind: Kind
    window: str
    reason: str
    action: Literal["suggest", "train"] = "train"


def due(policy: RetrainPolicy, facts: TriggerFacts, now: float) -> list[Trigger]:
    """Triggers that hold now and that no cycle of this champion was begun by; those that train come first.

    Args:
        policy: The policy.
        facts: What they are judged by.
        now: Unix seconds.
    """
    holding = _holding(policy, facts, now)
    fresh = [trigger for trigger in holding if (trigger.kind, trigger.window) not in facts.begun]
    return sorted(fresh, key=lambda trigger: trigger.action != "train")


def _holding(policy: RetrainPolicy, facts: TriggerFacts, now: float) -> Iterator[Trigger]:
    champion, triggers = facts.champion, policy.triggers
    if champion is None:
        return
    name = f"{policy.model}@{champion.version}"
    if triggers.config and None not in (facts.config, champion.config) and facts.config != champion.config:
        words = f"the config of the training is another than that of {name}"
        yield Trigger(kind="config", window=str(facts.config)[:16], reason=words)
    if triggers.contract and None not in (facts.contract, champion.contract) and facts.contract != champion.contract:
        words = f"the data contract is another than that of the data of {name}"
        yield Trigger(kind="contract", window=str(facts.contract)[:16], reason=words)
    if triggers.metric is not None and facts.report is not None:
        yield from _metric(triggers.metric, facts.report, champion)
    if triggers.labels is not None and facts.labels is not None and facts.labels >= triggers.labels:
        times = facts.labels // triggers.labels
        words = f"{facts.labels:,} mature labels since the data of {name}, {triggers.labels:,} are waited for"
        yield Trigger(kind="labels", window=f"{name}: {times} x {triggers.labels}", reason=words)
    if triggers.age is not None and (times := int((now - champion.since) // seconds(triggers.age))) >= 1:
        words = f"{name} is of {_day(champion.since)}, older than {triggers.age}"
        yield Trigger(kind="age", window=f"{name}: {times} x {triggers.age}", reason=words)
    if triggers.drift is not None and facts.report is not None:
        yield from _drift(triggers.drift, facts.report, champion)
    if triggers.change is not None and facts.report is not None:
        yield from _change(triggers.change, facts, facts.report, champion)


def _metric(trigger: MetricTrigger, report: MonitorReport, champion: ChampionFacts) -> Iterator[Trigger]:
    windows: list[tuple[Window, MetricEstimate | None]] = []
    own = next((version for version in report.versions if version.version == champion.version), None)
    if own is None:
        return
    if trigger.windows == 1 and own.quality:
        whole = own.quality[0]
        windows = [(whole.window, _estimate(whole.metrics, trigger.metric) if whole.is_mature else None)]
    else:
        points = [
            point for point in _points(report, own.label) if point.quality is not None and point.quality.is_mature
        ]
        windows = [
            (point.window, _estimate(point.quality.metrics, trigger.metric)) for point in points if point.quality
        ]
    last = windows[-trigger.windows :]
    if len(last) < trigger.windows or not all(_is_worse(estimate, trigger.bound) for _, estimate in last):
        return
    estimate = last[-1][1]
    assert estimate is not None
    side = "above" if estimate.better == "lower" else "below"
    interval = f"{estimate.value:.4g} ({estimate.low:.4g} to {estimate.high:.4g})"
    times = f" for {trigger.windows} windows" if trigger.windows > 1 else ""
    words = f"{trigger.metric} of {own.label} is {interval}, surely {side} {trigger.bound:g}{times}"
    yield Trigger(kind="metric", window=_span(own.label, last[0][0], last[-1][0], report.every_seconds), reason=words)


def _drift(trigger: DriftTrigger, report: MonitorReport, champion: ChampionFacts) -> Iterator[Trigger]:
    own = next((version for version in report.versions if version.version == champion.version), None)
    if own is None:
        return
    judged = [point for point in _points(report, own.label) if point.drifted is not None]
    last = judged[-trigger.windows :]
    if len(last) < trigger.windows or any(len(point.drifted or ()) < trigger.columns for point in last):
        return
    columns = list(dict.fromkeys(column for point in reversed(last) for column in point.drifted or ()))
    shown = ", ".join(columns[:_SHOWN]) + (f" and {len(columns) - _SHOWN} more" if len(columns) > _SHOWN else "")
    words = f"drift in {trigger.windows} windows in a row of the requests of {own.label}: {shown}"
    window = _span(own.label, last[0].window, last[-1].window, report.every_seconds)
    yield Trigger(kind="drift", window=window, reason=words, action=trigger.action)


def _change(
    trigger: ChangeTrigger, facts: TriggerFacts, report: MonitorReport, champion: ChampionFacts
) -> Iterator[Trigger]:
    """The last rise of the champion's error.

    Another report may place the same rise at a neighbouring row, as its history begins elsewhere: a rise is a new one
    if the rows that show it are later than those of every other.
    """
    own = next((version for version in report.versions if version.version == champion.version), None)
    if own is None or not own.error_changes:
        return
    last = own.error_changes[-1]
    known = facts.begun if trigger.action == "train" else facts.begun | facts.suggested
    spans = [window for kind, window in known if kind == "change" and window.startswith(f"{own.label}: ")]
    if any(last.time <= float(span.rpartition("-")[2]) for span in spans):
        return
    words = (
        f"the error of {own.label} rose from {last.before:.4g} to {last.after:.4g} on {_day(last.time)}, row by row: "
        f"{last.rows:,} rows show it"
    )
    window = f"{own.label}: {last.time:.0f}-{last.detected:.0f}"
    yield Trigger(kind="change", window=window, reason=words, action=trigger.action)


def _points(report: MonitorReport, label: str) -> list[WindowPoint]:
    return sorted((point for point in report.history if point.label == label), key=lambda point: point.window.since)


def _estimate(metrics: tuple[MetricEstimate, ...], name: str) -> MetricEstimate | None:
    return next((metric for metric in metrics if metric.metric == name), None)


def _is_worse(estimate: MetricEstimate | None, bound: float) -> bool:
    if estimate is None or estimate.value is None or estimate.low is None or estimate.high is None:
        return False
    return estimate.low > bound if estimate.better == "lower" else estimate.high < bound


def _span(label: str, first: Window, last: Window, every: float) -> str:
    """Name of some windows; the last one, which ends now, is named by when it will be over."""
    return f"{label}: {first.since:.0f}-{math.ceil(last.until / every) * every:.0f}"


def _day(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d}"
