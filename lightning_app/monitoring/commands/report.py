"""Monitor command: `lightning-app monitor report` says what has moved, how good the answers are, and why."""

import argparse
import sys
import time
from pathlib import Path

import msgspec
from msgspec.structs import replace

from lightning_app.errors import UsageError, describe
from lightning_app.monitoring.alerts import kept_states
from lightning_app.monitoring.commands.monitor_options import add_source, config_of, with_lengths
from lightning_app.monitoring.config.monitor_config import MonitorConfig, MonitoredModel
from lightning_app.monitoring.observation.sources import Sources, opened_sources
from lightning_app.monitoring.page.report_files import ReportFile, write_report
from lightning_app.monitoring.page.terminal_summary import print_summary
from lightning_app.monitoring.report.structs import AlertState, MonitorReport
from lightning_app.serving.journal.commands.options import seconds_of
from lightning_app.serving.journal.errors import JournalError
from lightning_app.terminal import only_result, plain, print_json
from lightning_app.verb_parser import VerbParser

_SHORTEST = 60.0


def run(args: list[str]) -> None:
    """Runs the sub-command; see `--help`.

    Args:
        args: Command line, verb first.

    Raises:
        SystemExit: What `--fail-on` names has happened.
        UsageError: An option is wrong, or there is no such journal or model.
    """
    arguments = _parser(args[0]).parse_args(args[1:])
    config = config_of(arguments)
    until = _until(arguments)
    with only_result(arguments.json), opened_sources(config) as sources:
        models = with_lengths(sources.models(), arguments)
        reports, problems = _observed(sources, config, models, until)
        if not reports:
            raise UsageError("; ".join(dict.fromkeys(problems.values())))
        files = None
        if arguments.output is not None:
            files = write_report(arguments.output, reports, problems=problems, title=config.title)
    if arguments.json:
        print_json(msgspec.to_builtins(ReportFile(reports=reports, problems=problems)))
    else:
        for place, report in enumerate(reports):
            if place:
                print()  # noqa: T201
            print_summary(report)
        for name, text in problems.items():
            print(plain(f"{name}: no report: {text}"))  # noqa: T201
        closing = "--output FOLDER writes this with pictures" if files is None else f"report: {files[0]}, {files[1]}"
        print(f"\n{plain(closing)}")  # noqa: T201
    _fail(arguments.fail_on, reports)


def _parser(verb: str) -> VerbParser:
    parser = VerbParser(verb, description=__doc__, epilog="Times are UTC. Nothing is written into the journal.")
    add_source(parser)
    parser.add_argument("--since", metavar="TIME", help="first time of what is judged, in place of --window")
    parser.add_argument("--until", metavar="TIME", help="its end; default: now")
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="writes report.html and report.json")
    parser.add_argument(
        "--fail-on", choices=("drift", "alert"), help="exit code 1 if anything drifted, or if an alert fires"
    )
    parser.add_argument("--json", action="store_true", help="print the JSON")
    return parser


def _until(arguments: argparse.Namespace) -> float:
    """End of the window; `--since` becomes its length."""
    until = seconds_of(arguments.until, option="until")
    until = time.time() if until is None else until
    since = seconds_of(arguments.since, option="since")
    if since is None:
        return until
    if arguments.window is not None:
        raise UsageError("--since: given together with --window; leave one of them out")
    if until - since < _SHORTEST:
        raise UsageError(f"--since: {arguments.since} given, it has to be at least a minute before the end")
    arguments.window = f"{round(until - since)}s"
    return until


def _observed(
    sources: Sources, config: MonitorConfig, models: tuple[MonitoredModel, ...], until: float
) -> tuple[tuple[MonitorReport, ...], dict[str, str]]:
    alerts = _alerts(sources, config)
    reports, problems = [], {}
    for model in models:
        try:
            report = sources.observer.observe(model, until)
        except JournalError:
            raise
        except (ValueError, OSError) as error:
            problems[model.model] = describe(error)
            continue
        own = tuple(alert for alert in alerts if alert.labels.get("model", model.model) == model.model)
        reports.append(replace(report, alerts=own))
    return tuple(reports), problems


def _alerts(sources: Sources, config: MonitorConfig) -> list[AlertState]:
    """Alerts as the last evaluation of a running monitor left them; a report evaluates and sends none."""
    return [one for one in kept_states(sources.database, monitor=config.name) if one.status != "inactive"]


def _fail(fail_on: str | None, reports: tuple[MonitorReport, ...]) -> None:
    if fail_on == "drift":
        names = [
            version.label
            for report in reports
            for version in report.versions
            if version.drift is not None and version.drift.drifted
        ]
    else:
        names = [
            alert.rule
            for report in reports
            for alert in report.alerts
            if alert.status == "firing" and alert.silenced is None
        ]
    if fail_on is not None and names:
        what = "drift" if fail_on == "drift" else "firing"
        print(plain(f"--fail-on {fail_on}: {what}: {', '.join(dict.fromkeys(names))}"), file=sys.stderr)  # noqa: T201
        raise SystemExit(1)
