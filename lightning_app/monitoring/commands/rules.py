"""Monitor command: `lightning-app monitor rules` checks alert rules and sinks, and writes the rules for Prometheus."""

from pathlib import Path

import msgspec
from rich.table import Table

from features.definitions.duration import seconds
from lightning_app.atomic_write import write_whole
from lightning_app.errors import UsageError
from lightning_app.monitoring.alerts.prometheus_rules import prometheus_rules
from lightning_app.monitoring.alerts.rules import check_alerts
from lightning_app.monitoring.alerts.rules.check import metric_of
from lightning_app.monitoring.alerts.sinks.open_sinks import check_secrets
from lightning_app.monitoring.config.alert_rules import AlertRule
from lightning_app.monitoring.config.monitor_config import read_monitor_config
from lightning_app.monitoring.report.metric_names import METRICS
from lightning_app.terminal import only_result, print_json, show
from lightning_app.verb_parser import VerbParser


def run(args: list[str]) -> None:
    """Runs the sub-command; see `--help`.

    Args:
        args: Command line, verb first.

    Raises:
        UsageError: A rule, a sink or a secret is wrong.
    """
    parser = VerbParser(args[0], description=__doc__, epilog="Nothing is sent. Exit code 2 names what is wrong.")
    parser.add_argument("--config", metavar="FILE", default=None, help="monitor.yaml")
    parser.add_argument("--prometheus", metavar="FILE", default=None, help="write the rules for Prometheus")
    parser.add_argument("--secrets", action="store_true", help="check that all secrets of sinks can be read here")
    parser.add_argument("--metrics", action="store_true", help="list the metrics and their labels instead")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args(args[1:])
    if arguments.metrics:
        _print_metrics(as_json=arguments.json)
        return
    if arguments.config is None:
        raise UsageError(
            "config: none given; --config monitor.yaml names the rules, --metrics lists what they can watch"
        )
    config = read_monitor_config(arguments.config, password=False)
    check_alerts(config.alerts, config.sinks)
    if arguments.secrets:
        check_secrets(config.sinks)
    with only_result(arguments.json):
        if arguments.prometheus is not None:
            if not config.alerts:
                raise UsageError(f"config: {arguments.config} has no alerts; there is nothing to write")
            every = {model.model: seconds(model.every) for model in config.models}
            write_whole(Path(arguments.prometheus), prometheus_rules(config.alerts, every))
            print(f"written: {arguments.prometheus}, for rule_files of Prometheus")  # noqa: T201
    if arguments.json:
        print_json([msgspec.to_builtins(rule) for rule in config.alerts])
        return
    if not config.alerts:
        print("no rules")  # noqa: T201
        return
    table = Table("alert", "severity", "holds if", "for", "sinks")
    for rule in config.alerts:
        hold = f"{rule.windows} windows" if rule.windows is not None else rule.hold or ""
        names = [sink.name for sink in config.sinks] if rule.sinks is None else rule.sinks
        table.add_row(rule.name, rule.severity, _condition(rule), hold, " ".join(names) or "none")
    show(table)


def _condition(rule: AlertRule) -> str:
    texts = {name: (one,) if isinstance(one, str) else one for name, one in rule.select.items()}
    where = ", ".join(f"{name}={'|'.join(values)}" for name, values in texts.items())
    metric = metric_of(rule) + (f"{{{where}}}" if where else "")
    if rule.absent:
        return f"{metric} is absent"
    end = "" if rule.clear is None else f", until {rule.clear:g}"
    return f"{metric} {f'> {rule.above:g}' if rule.above is not None else f'< {rule.below:g}'}{end}"


def _print_metrics(*, as_json: bool) -> None:
    if as_json:
        print_json({name: {"help": metric.help, "labels": metric.labels} for name, metric in METRICS.items()})
        return
    table = Table("metric", "labels", "what")
    for name, metric in METRICS.items():
        table.add_row(name, " ".join(metric.labels), metric.help)
    show(table)
