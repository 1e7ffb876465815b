"""Prometheus rules: the same alerts, evaluated by a Prometheus that scrapes the metrics of monitoring."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from features.definitions.duration import seconds
from lightning_app.monitoring.alerts.readings import default_text, threshold_of
from lightning_app.monitoring.alerts.rules.check import hold_seconds, metric_of
from lightning_app.monitoring.alerts.rules.selectors import exact, matches, pattern
from lightning_app.monitoring.alerts.rules.templates import for_prometheus
from lightning_app.monitoring.config.alert_rules import AlertRule, Selector
from lightning_app.monitoring.report.exposition import EXPOSED_PREFIX
from lightning_app.monitoring.report.metric_names import METRICS

_DAY = 86_400.0
_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))


def prometheus_rules(rules: Sequence[AlertRule], every: Mapping[str, float]) -> str:
    """Rules as a file for `rule_files` of Prometheus, whose Alertmanager groups, silences and repeats them.

    A rule with `windows` becomes several where models have windows of different lengths.

    Args:
        rules: Checked rules.
        every: Length of the windows of each model, in seconds.
    """
    import yaml

    group = {"name": "lightning-app-monitoring", "rules": [one for rule in rules for one in _rules(rule, every)]}
    head = "# Alerts of monitoring, written by `lightning-app monitor rules --prometheus`.\n"
    text: str = yaml.safe_dump({"groups": [group]}, sort_keys=False, width=110, allow_unicode=True)
    return head + text


def _rules(rule: AlertRule, every: Mapping[str, float]) -> Iterator[dict[str, Any]]:
    models = {name: length for name, length in every.items() if matches(_only_model(rule), {"model": name})}
    if rule.windows is None or len(lengths := sorted(set(models.values()))) < 2:
        yield _rule(rule, hold_seconds(rule, next(iter(models.values()), _DAY)), ())
        return
    for length in lengths:
        yield _rule(rule, hold_seconds(rule, length), [name for name, each in models.items() if each == length])


def _only_model(rule: AlertRule) -> dict[str, Selector]:
    return {name: selector for name, selector in rule.select.items() if name == "model"}


def _rule(rule: AlertRule, hold: float, models: Sequence[str]) -> dict[str, Any]:
    texts = {"alert": rule.name, "severity": rule.severity, "name": metric_of(rule), **rule.labels}
    if rule.absent:
        texts |= {name: exact(rule.select.get(name, "*")) or "" for name in METRICS[rule.metric].labels}
    threshold = threshold_of(rule)
    summary = for_prometheus(rule.message or default_text(rule), texts, threshold)
    result: dict[str, Any] = {"alert": rule.name, "expr": _expression(rule, models)}
    if hold:
        result["for"] = _duration(hold)
    if rule.keep_firing_for is not None:
        result["keep_firing_for"] = _duration(seconds(rule.keep_firing_for))
    result["labels"] = {**rule.labels, "severity": rule.severity}
    notes = {name: for_prometheus(text, texts, threshold) for name, text in rule.annotations.items()}
    return result | {"annotations": {"summary": summary, **notes}}


def _expression(rule: AlertRule, models: Sequence[str]) -> str:
    matchers = [_matcher(name, selector) for name, selector in rule.select.items()]
    matchers += [_matcher("model", tuple(models))] if models else []
    metric = EXPOSED_PREFIX + metric_of(rule) + (f"{{{', '.join(matchers)}}}" if matchers else "")
    if rule.absent:
        return f"absent({metric})"
    sign, bound = (">", rule.above) if rule.above is not None else ("<", rule.below)
    expression = f"{metric} {sign} {bound!r}"
    if rule.clear is None or rule.clear == bound:
        return expression
    # Between both bounds, an alert that fires goes on. It ends at `clear` itself.
    labels = ", ".join(METRICS[rule.metric].labels)
    firing = f'ALERTS{{alertname={_quoted(rule.name)}, alertstate="firing"}}'
    return f"{expression} or ({metric} {sign} {rule.clear!r} and on ({labels}) {firing})"


def _matcher(name: str, selector: Selector) -> str:
    only = exact(selector)
    return f"{name}={_quoted(only)}" if only is not None else f"{name}=~{_quoted(pattern(selector))}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _duration(length: float) -> str:
    """A duration in the units of Prometheus, rounded up to milliseconds."""
    left = -int(-length * 1000 // 1)
    parts = []
    for unit, size in _UNITS:
        count, left = divmod(left, size)
        parts += [f"{count}{unit}"] if count else []
    return "".join(parts)
