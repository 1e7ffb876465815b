"""Monitor command: `lightning-app monitor alerts` lists alerts with their states, and how the sinks do."""

import time
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace
from rich.table import Table

from lightning_app.errors import UsageError
from lightning_app.monitoring.alerts import kept_states
from lightning_app.monitoring.alerts.store.outbox import SinkCount, sink_counts
from lightning_app.monitoring.alerts.store.schema import have_tables
from lightning_app.monitoring.commands.alert_options import add_source, opened_source
from lightning_app.monitoring.config.monitor_config import MonitorConfig, read_monitor_config
from lightning_app.monitoring.observation.monitoring_loop import MonitoringLoop
from lightning_app.monitoring.report.structs import AlertState
from lightning_app.serving.experiments.analysis.reporting.formats import number, time_text
from lightning_app.terminal import only_result, print_json, show
from lightning_app.verb_parser import VerbParser

_ORDER = {"firing": 0, "pending": 1, "resolved": 2, "inactive": 3}


def run(args: list[str]) -> None:
    """Runs the sub-command; see `--help`.

    Args:
        args: Command line, verb first.
    """
    epilog = "Exit code 0 whatever fires. Times are UTC. Resolved alerts are listed for a day."
    parser = VerbParser(args[0], description=__doc__, epilog=epilog)
    add_source(parser)
    parser.add_argument("--evaluate", action="store_true", help="first evaluate the rules and send, once; for cron")
    parser.add_argument("--firing", action="store_true", help="only those that fire")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args(args[1:])
    if arguments.evaluate:
        with only_result(arguments.json):
            _evaluate(arguments.config, arguments.journal)
    with opened_source(arguments) as (database, config):
        monitor = None if config is None else config.name
        states = kept_states(database, monitor=monitor)
        sinks = sink_counts(database, monitor) if have_tables(database) else []
    if arguments.firing:
        states = [state for state in states if state.status == "firing"]
    elif config is not None:
        states += _inactive(config, states)
    states.sort(key=lambda state: (_ORDER[state.status], state.rule, sorted(state.labels.items())))
    sinks += _unused(config, sinks)
    if arguments.json:
        print_json({"alerts": msgspec.to_builtins(states), "sinks": [sink._asdict() for sink in sinks]})
        return
    _print(states, sinks)


def _evaluate(path: str | None, journal: str | None) -> None:
    """Makes all reports, evaluates the rules on them, and sends what is due; without a process that always runs."""
    if path is None:
        raise UsageError("--evaluate: needs --config monitor.yaml, whose rules it evaluates")
    config = read_monitor_config(path)
    loop = MonitoringLoop(replace(config, journal=journal or config.journal))
    problems = loop.tick(time.time()).problems
    loop.close()
    if problems:
        raise RuntimeError("; ".join(f"{name}: {problem}" for name, problem in problems.items()))


def _inactive(config: MonitorConfig, states: Sequence[AlertState]) -> list[AlertState]:
    """Rules without any alert."""
    active, never = {state.rule for state in states}, float("nan")
    return [
        AlertState(
            rule=rule.name, severity=rule.severity, status="inactive", labels={}, value=None, since=never, text=""
        )
        for rule in config.alerts
        if rule.name not in active
    ]


def _unused(config: MonitorConfig | None, sinks: Sequence[SinkCount]) -> list[SinkCount]:
    """Sinks that there was no message for."""
    used = {sink.sink for sink in sinks}
    return [SinkCount(sink.name, 0, 0, 0, None) for sink in (config.sinks if config else ()) if sink.name not in used]


def _print(states: Sequence[AlertState], sinks: Sequence[SinkCount]) -> None:
    if not states:
        print("no alerts")  # noqa: T201
    else:
        table = Table("alert", "severity", "status", "since", "value", "labels", "sent", "text")
        for state in states:
            table.add_row(*_row(state))
        show(table)
    if sinks:
        table = Table("sink", "waiting", "sent (7 d)", "given up (30 d)", "last error")
        for sink in sinks:
            table.add_row(sink.sink, f"{sink.waiting:,}", f"{sink.sent:,}", f"{sink.failed:,}", sink.error or "")
        show(table)


def _row(state: AlertState) -> list[Any]:
    if state.status == "inactive":
        return [state.rule, state.severity, state.status, "", "", "", "", ""]
    labels = (f"{name}={value}" for name, value in state.labels.items() if value and name not in ("alert", "severity"))
    text = state.text if state.silenced is None else f"{state.text} [silenced: {state.silenced}]"
    since = time_text(state.since)[:16]
    sent = f"{state.num_sent:,}"
    return [state.rule, state.severity, state.status, since, number(state.value), " ".join(labels), sent, text]
