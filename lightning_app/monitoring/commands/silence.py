"""Monitor command: `lightning-app monitor silence add|list|end`: alerts that are known and not sent for a while."""

import os
from collections.abc import Iterable

import msgspec
from rich.table import Table

from features.definitions.duration import seconds
from lightning_app.errors import UsageError
from lightning_app.identity import USER_AT_HOST
from lightning_app.monitoring.alerts import kept_states
from lightning_app.monitoring.alerts.rules.check import OWN_LABELS, label_problem
from lightning_app.monitoring.alerts.store.schema import have_tables, make_tables
from lightning_app.monitoring.alerts.store.silences import Silence, add_silence, covering, end_silence, read_silences
from lightning_app.monitoring.commands.alert_options import Opened, add_source, opened_source
from lightning_app.monitoring.config.alert_rules import Selector
from lightning_app.monitoring.report.metric_names import METRICS
from lightning_app.serving.experiments.analysis.reporting.formats import time_text
from lightning_app.sub_commands import SubCommands, run_sub_command
from lightning_app.terminal import plain, print_json, show
from lightning_app.time_text import utc
from lightning_app.verb_parser import VerbParser

_HERE = "lightning_app.monitoring.commands.silence"
SUBCOMMANDS: SubCommands = {
    "add": (f"{_HERE}:add", "Do not send alerts with some labels for a while."),
    "list": (f"{_HERE}:list_silences", "Silences that hold, by whom and why."),
    "end": (f"{_HERE}:end", "End a silence before its time."),
}
_MOST_SECONDS = 366 * 86_400.0


def run(args: list[str]) -> None:
    """Runs a sub-command; see `--help`.

    Args:
        args: Command line, verb first.
    """
    text = "To acknowledge an alert is to silence it; its state goes on, and its end is sent all the same."
    run_sub_command(args, SUBCOMMANDS, usage="add|list|end [options]", description=text)


def add(args: list[str]) -> None:
    """Makes a silence.

    Args:
        args: Command line, verb first.

    Raises:
        UsageError: A matcher, the duration or the reason is wrong.
    """
    epilog = "Example: alert=bikes-drift version=bikes@3 --for 2d --reason 'holidays, ticket 7'"
    parser = VerbParser(args[0], description="Do not send alerts with some labels for a while.", epilog=epilog)
    text = "LABEL=VALUE of the alerts; alert and severity are labels too, and * in a value stands for any characters"
    parser.add_argument("matchers", nargs="+", metavar="LABEL=VALUE", help=text)
    parser.add_argument("--for", dest="duration", required=True, metavar="DURATION", help="how long, e.g. 4h or 2d")
    parser.add_argument("--reason", required=True, help="why; it is shown beside the alerts")
    parser.add_argument("--by", default=None, metavar="WHO", help="who; default: the user of this machine")
    add_source(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args(args[1:])
    duration = _length(arguments.duration)
    if not arguments.reason.strip():
        raise UsageError("reason: it is empty; say why, others see it")
    matchers = _matchers(arguments.matchers)
    with opened_source(arguments) as source:
        known = _known_labels(source)
        for name in matchers:
            if problem := label_problem(name, known):
                raise UsageError(f"silence: {problem}")
        make_tables(source.database)
        who = arguments.by or os.environ.get("SUDO_USER") or USER_AT_HOST
        silence = add_silence(source.database, matchers, seconds=duration, who=who, reason=arguments.reason)
        states = [state for state in kept_states(source.database) if state.status in ("pending", "firing")]
    covered = [state for state in states if covering([silence], state.labels)]
    if arguments.json:
        print_json({**msgspec.to_builtins(silence), "covers": [state.text for state in covered]})
        return
    print(f"silence {silence.id} until {utc(silence.until)}")  # noqa: T201
    print(f"covers {len(covered)} of {len(states)} alerts that are pending or firing")  # noqa: T201
    for state in covered:
        print(f"  {plain(state.text)}")  # noqa: T201


def list_silences(args: list[str]) -> None:
    """Lists silences.

    Args:
        args: Command line, verb first.
    """
    parser = VerbParser(args[0], description="Silences, the latest first.", epilog="Times are UTC.")
    add_source(parser)
    parser.add_argument("--all", action="store_true", help="those that have ended too")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args(args[1:])
    with opened_source(arguments) as (database, _):
        has_any = have_tables(database)
        silences = read_silences(database, only_active=not arguments.all) if has_any else []
        now = database.now()
    if arguments.json:
        print_json([{**msgspec.to_builtins(one), "is_active": one.is_active(now)} for one in silences])
        return
    if not silences:
        print("no silences")  # noqa: T201
        return
    table = Table("id", "alerts", "until", "by", "reason", "ended")
    for one in silences:
        table.add_row(one.id, _words(one), time_text(one.until)[:16], one.who, one.reason, _ended(one, now))
    show(table)


def end(args: list[str]) -> None:
    """Ends a silence.

    Args:
        args: Command line, verb first.

    Raises:
        UsageError: No silence with this id holds.
    """
    parser = VerbParser(args[0], description="End a silence before its time.", epilog="Its alerts are sent again.")
    parser.add_argument("silence", metavar="ID", help="as `silence list` shows it")
    add_source(parser)
    arguments = parser.parse_args(args[1:])
    with opened_source(arguments) as (database, _):
        active = [one.id for one in read_silences(database)] if have_tables(database) else []
        if arguments.silence not in active or not end_silence(database, arguments.silence):
            held = ", ".join(active) or "none"
            raise UsageError(f"silence: {arguments.silence} does not hold; those that do: {held}")
    print(f"silence {arguments.silence} has ended")  # noqa: T201


def _matchers(words: Iterable[str]) -> dict[str, Selector]:
    matchers: dict[str, Selector] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise UsageError(f"silence: {word!r} given; LABEL=VALUE is needed, e.g. model=bikes")
        if name in matchers:
            raise UsageError(f"silence: {name} is there twice; `*` in a value stands for any characters")
        matchers[name] = value
    if all(isinstance(value, str) and set(value) == {"*"} for value in matchers.values()):
        raise UsageError("silence: this covers every alert there can be; name a model, an alert or a severity")
    return matchers


def _known_labels(source: Opened) -> set[str]:
    known = {*OWN_LABELS, *(name for metric in METRICS.values() for name in metric.labels)}
    known |= {name for state in kept_states(source.database) for name in state.labels}
    return known | {name for rule in (source.config.alerts if source.config else ()) for name in rule.labels}


def _length(text: str) -> float:
    try:
        length = seconds(text)
    except ValueError as error:
        raise UsageError(f"for: {error}") from error
    if length > _MOST_SECONDS:
        raise UsageError(f"for: {text} given, a silence lasts a year at most; remove the rule instead")
    return length


def _words(silence: Silence) -> str:
    return " ".join(f"{name}={value}" for name, value in silence.matchers.items())


def _ended(silence: Silence, now: float) -> str:
    if silence.ended is not None:
        return time_text(silence.ended)[:16]
    return "" if silence.is_active(now) else "expired"
