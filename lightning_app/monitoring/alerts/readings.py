"""Readings: what a rule says of each set of labels, given the samples of one evaluation."""

import math
from collections.abc import Mapping, Sequence

from msgspec import Struct

from lightning_app.monitoring.alerts.held_alert import labels_key
from lightning_app.monitoring.alerts.rules.check import metric_of
from lightning_app.monitoring.alerts.rules.selectors import exact, matches
from lightning_app.monitoring.alerts.rules.templates import filled
from lightning_app.monitoring.config.alert_rules import AlertRule
from lightning_app.monitoring.report.metric_names import METRICS
from lightning_app.monitoring.report.structs import MetricSample


class Reading(Struct, frozen=True, kw_only=True):
    """What a rule says of one set of labels.

    Attributes:
        key: The set alone, which the alert keeps while its rule changes.
        labels: The set, with `alert` (its name), `severity` and the labels that the rule adds.
        holds: Whether the rule holds.
        is_clear: Whether an alert that fires may end; with `clear` in the rule, later than it ceases to hold.
        value: Value of the metric; None if it is absent.
        threshold: Bound of the rule; None if it is for absence.
        text: Message.
        annotations: Further texts.
    """

    key: str
    labels: dict[str, str]
    holds: bool
    is_clear: bool
    value: float | None
    threshold: float | None
    text: str
    annotations: dict[str, str]


def read(rule: AlertRule, samples: Sequence[MetricSample]) -> list[Reading]:
    """Readings of a rule; a number that is no number is no sample.

    Args:
        rule: The rule.
        samples: Samples of one evaluation.
    """
    metric = metric_of(rule)
    chosen = [
        sample
        for sample in samples
        if sample.name == metric and not math.isnan(sample.value) and matches(rule.select, sample.labels)
    ]
    if rule.absent:
        known = {name: value for name, selector in rule.select.items() if (value := exact(selector)) is not None}
        return [_reading(rule, known, None, holds=not chosen, is_clear=bool(chosen))]
    # Two samples of one set of labels cannot be told apart: the later one counts.
    latest = {tuple(sorted(sample.labels.items())): sample for sample in sorted(chosen, key=lambda one: one.time)}
    return [
        _reading(
            rule, sample.labels, sample.value, holds=_holds(rule, sample.value), is_clear=_clear(rule, sample.value)
        )
        for sample in latest.values()
    ]


def default_text(rule: AlertRule) -> str:
    """Template of the message of a rule that has none.

    Args:
        rule: The rule.
    """
    where = " ".join(f"{{{name}}}" for name in _named_labels(rule))
    if rule.absent:
        return f"{where}: {metric_of(rule)} is absent".removeprefix(": ")
    side = "above" if rule.above is not None else "below"
    return f"{where}: {metric_of(rule)} is {{value}}, {side} {{threshold}}".removeprefix(": ")


def threshold_of(rule: AlertRule) -> float | None:
    """Bound of a rule; None for absence.

    Args:
        rule: The rule.
    """
    return rule.above if rule.above is not None else rule.below


def all_labels(rule: AlertRule, labels: Mapping[str, str]) -> dict[str, str]:
    """Labels of an alert.

    Args:
        rule: Its rule.
        labels: Labels of the sample.
    """
    return {**labels, **rule.labels, "alert": rule.name, "severity": rule.severity}


def _named_labels(rule: AlertRule) -> list[str]:
    if rule.absent:
        return [name for name, selector in rule.select.items() if exact(selector) is not None]
    # The label of a version begins with the name of its model.
    labels = METRICS[rule.metric].labels
    return [name for name in labels if name != "model" or "version" not in labels]


def _reading(
    rule: AlertRule, labels: Mapping[str, str], value: float | None, *, holds: bool, is_clear: bool
) -> Reading:
    full = all_labels(rule, labels)
    texts, numbers = {**full, "name": metric_of(rule)}, {"value": value, "threshold": threshold_of(rule)}
    return Reading(
        key=labels_key(labels),
        labels=full,
        holds=holds,
        is_clear=is_clear,
        value=value,
        threshold=threshold_of(rule),
        text=" ".join(filled(rule.message or default_text(rule), texts, numbers).split()).replace(" : ", ": "),
        annotations={name: filled(text, texts, numbers) for name, text in rule.annotations.items()},
    )


def _holds(rule: AlertRule, value: float) -> bool:
    return value > rule.above if rule.above is not None else rule.below is not None and value < rule.below


def _clear(rule: AlertRule, value: float) -> bool:
    if rule.clear is None:
        return not _holds(rule, value)
    return value <= rule.clear if rule.above is not None else value >= rule.clear
