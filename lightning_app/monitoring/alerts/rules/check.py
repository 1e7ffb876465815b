"""Check of rules and sinks: names of metrics, labels and sinks, bounds, durations and templates."""

from collections.abc import Collection, Iterable, Iterator, Sequence

from features.definitions.duration import seconds
from lightning_app.errors import UsageError, nearest
from lightning_app.monitoring.alerts.rules.templates import NUMBERS, template_problem
from lightning_app.monitoring.config.alert_rules import AlertRule, Bound
from lightning_app.monitoring.config.alert_sinks import AnySink, EmailSink, Secret, SinkConfig, WebhookSink
from lightning_app.monitoring.report.metric_names import METRICS

_SUFFIX: dict[Bound, str] = {"value": "", "lower": "_low", "upper": "_high"}
OWN_LABELS = ("alert", "severity")
"""Labels of every alert, beside those of its metric and those that its rule adds."""


def check_alerts(rules: Sequence[AlertRule], sinks: Sequence[AnySink]) -> None:
    """Raises unless rules and sinks can be used.

    Args:
        rules: The rules.
        sinks: The sinks.

    Raises:
        UsageError: Something is wrong; names the rule or sink, and what is allowed.
    """
    for kind, names in (("alerts", [rule.name for rule in rules]), ("sinks", [sink.name for sink in sinks])):
        if twins := sorted({name for name in names if names.count(name) > 1}):
            raise UsageError(f"{kind}: {twins[0]} is there twice")
    sink_names = [sink.name for sink in sinks]
    for rule in rules:
        for problem in _rule_problems(rule, sink_names):
            raise UsageError(f"alerts: {rule.name}: {problem}")
    labels = {*OWN_LABELS, *(name for metric in METRICS.values() for name in metric.labels)}
    labels |= {name for rule in rules for name in rule.labels}
    for sink in sinks:
        for problem in _sink_problems(sink, labels):
            raise UsageError(f"sinks: {sink.name}: {problem}")


def metric_of(rule: AlertRule) -> str:
    """Name of the metric that a rule compares.

    Args:
        rule: The rule.
    """
    return rule.metric + _SUFFIX[rule.bound]


def hold_seconds(rule: AlertRule, every: float) -> float:
    """How long a rule has to hold before its alert fires.

    Args:
        rule: The rule.
        every: Length of a window of the model, in seconds.
    """
    if rule.windows is not None:
        return rule.windows * every
    return 0.0 if rule.hold is None else seconds(rule.hold)


def label_problem(name: str, labels: Collection[str]) -> str | None:
    """What is wrong with the name of a label; None if nothing is.

    Args:
        name: The name.
        labels: Those that exist.
    """
    if name in labels:
        return None
    return f"no label {name!r}{nearest(name, labels)}; allowed: {', '.join(sorted(labels))}"


def _rule_problems(rule: AlertRule, sinks: Sequence[str]) -> Iterator[str]:
    if rule.metric not in METRICS:
        yield f"metric: no metric {rule.metric!r}{nearest(rule.metric, METRICS)}; allowed: {', '.join(METRICS)}"
    if rule.metric == "monitor_alerts":
        yield "metric: monitor_alerts counts alerts, for dashboards; a rule on it would wait for itself"
    if metric_of(rule) not in METRICS:
        having = [name for name in METRICS if name + _SUFFIX[rule.bound] in METRICS]
        yield f"bound: {rule.bound} given, {rule.metric} has no interval; those that have one: {', '.join(having)}"
    labels = METRICS[rule.metric].labels
    for name in rule.select:
        if problem := label_problem(name, labels):
            yield f"select: {problem} (labels of {rule.metric})"
    yield from _bound_problems(rule)
    yield from _duration_problems(rule)
    for name in rule.labels:
        if name in (*labels, *OWN_LABELS, *NUMBERS, "name"):
            yield f"labels: {name!r} is taken; choose another name"
    fields = {*labels, *rule.labels, *OWN_LABELS, *NUMBERS, "name"}
    for key, template in (("message", rule.message), *_named("annotations", rule.annotations.items())):
        if template is not None and (problem := template_problem(template, fields)):
            yield f"{key}: {problem}"
    for name in rule.sinks or ():
        if name not in sinks:
            yield f"sinks: no sink {name!r}{nearest(name, sinks)}; there are: {', '.join(sinks) or 'none'}"


def _bound_problems(rule: AlertRule) -> Iterator[str]:
    given = [key for key, value in (("above", rule.above), ("below", rule.below)) if value is not None]
    given += ["absent"] if rule.absent else []
    if len(given) != 1:
        yield f"{' and '.join(given) or 'no bound'} given; exactly one of above, below and absent is needed"
    for key, value in (("above", rule.above), ("below", rule.below), ("clear", rule.clear)):
        if value is not None and not abs(value) < float("inf"):
            yield f"{key}: {value} given, a finite number is needed"
    if rule.clear is not None:
        if rule.absent:
            yield "clear: given with absent; it belongs to above or below"
        if rule.above is not None and rule.clear > rule.above:
            yield f"clear: {rule.clear:g} given, at most above ({rule.above:g}) is needed"
        if rule.below is not None and rule.clear < rule.below:
            yield f"clear: {rule.clear:g} given, at least below ({rule.below:g}) is needed"


def _duration_problems(rule: AlertRule) -> Iterator[str]:
    if rule.hold is not None and rule.windows is not None:
        yield "for and windows: both given; one of them says how long the rule has to hold"
    lengths = (("for", rule.hold), ("keep_firing_for", rule.keep_firing_for), ("repeat_every", rule.repeat_every))
    for key, text in lengths:
        if text is not None and (problem := _duration_problem(text)):
            yield f"{key}: {problem}"


def _sink_problems(sink: SinkConfig, labels: Collection[str]) -> Iterator[str]:
    for name in (*sink.match, *sink.group_by):
        if problem := label_problem(name, labels):
            yield f"{'match' if name in sink.match else 'group_by'}: {problem}"
    if problem := _duration_problem(sink.give_up_after):
        yield f"give_up_after: {problem}"
    secrets: tuple[tuple[str, str | Secret | None], ...] = ()
    if isinstance(sink, WebhookSink):
        secrets = (("url", sink.url), ("secret", sink.secret), ("authorization", sink.authorization))
        if isinstance(sink.url, str) and not sink.url.startswith(("http://", "https://")):
            yield f"url: {sink.url.partition(':')[0]!r} given, an address with http:// or https:// is needed"
        if sink.secret is not None and sink.format != "json":
            yield f"secret: given with format {sink.format}; only receivers of format json check signatures"
    elif isinstance(sink, EmailSink):
        secrets = (("password", sink.password),)
        if (sink.username is None) != (sink.password is None):
            yield "username and password: one given without the other"
        if sink.username is not None and sink.security == "none":
            yield "security: none given with a login; a password is sent with starttls or tls only"
        if sink.ca_file is not None and sink.security == "none":
            yield "ca_file: given with security none"
    for key, secret in secrets:
        if isinstance(secret, Secret) and (secret.file is None) == (secret.env is None):
            yield f"{key}: exactly one of file and env is needed"


def _duration_problem(text: str) -> str | None:
    try:
        seconds(text)
    except ValueError as error:
        return str(error)
    return None


def _named(key: str, items: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for name, value in items:
        yield f"{key}.{name}", value
