"""Experiment command: `lightning-app experiment show ID` shows arms, shares, state and events."""

import json
from typing import Any

from lightning_app.serving.experiments.analysis.catalogue import KnownExperiment, catalogue, find
from lightning_app.serving.experiments.analysis.guardrails import counted_guardrails
from lightning_app.serving.experiments.analysis.reporting.formats import number, time_text
from lightning_app.serving.experiments.analysis.reporting.sections import Section, guardrail_section, shadow_sections
from lightning_app.serving.experiments.analysis.results import as_data
from lightning_app.serving.experiments.analysis.shadow import PREFIX, compare_shadow, find_shadow, shadow_models
from lightning_app.serving.experiments.commands.options import add_journal, opened, print_sections
from lightning_app.serving.experiments.store import Event, ExperimentStore
from lightning_app.serving.journal.stores.database import JournalDatabase
from lightning_app.terminal import plain, print_json
from lightning_app.verb_parser import VerbParser

_MOST_EVENTS = 20
_LONGEST = 100
"""Characters of a value of the state that are printed; `--json` has all."""


def run(args: list[str]) -> None:
    """Runs the sub-command; see `--help`.

    Args:
        args: Command line, verb first.
    """
    parser = VerbParser(args[0], description=__doc__, epilog="Times are UTC.")
    parser.add_argument("experiment", metavar="ID", help="as `experiment list` shows it; also shadow:MODEL")
    add_journal(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args(args[1:])
    with opened(arguments.journal) as database:
        if arguments.experiment.startswith(PREFIX):
            comparison = compare_shadow(database, find_shadow(shadow_models(database), arguments.experiment))
            data = as_data(comparison)
            del data["differences"]
            sections = shadow_sections(comparison)
            shadow = comparison.shadow
            head = f"{shadow.id}: {time_text(shadow.first)} to {time_text(shadow.last)}"
        else:
            one = find(catalogue(database), arguments.experiment)
            data, sections = _shown(database, one)
            head = f"{one.id}: {one.kind or 'not recorded'} of {one.model}, {one.status}{_period(one)}"
    if arguments.json:
        print_json(data)
        return
    print(plain(head))  # noqa: T201
    print_sections(sections)


def _shown(database: JournalDatabase, one: KnownExperiment) -> tuple[dict[str, Any], list[Section]]:
    events = list(ExperimentStore(database).events(one.id))
    guardrails = counted_guardrails(database, one.id, list(one.arms))
    shares = _configured(one)
    total = max(one.requests, 1)
    rows = [
        [
            name, number(shares.get(name)), f"{arm.requests:,}", f"{arm.requests / total:.1%}",
            time_text(arm.first)[:16], time_text(arm.last)[:16],
        ]
        for name, arm in one.arms.items()
    ]  # fmt: skip
    header = ["arm", "planned", "answered", "share", "first (UTC)", "last (UTC)"]
    sections = [Section(title="Arms", header=header, rows=rows)]
    if guardrails:
        sections.append(guardrail_section(guardrails))
    record = one.record
    if record is not None:
        lines = [f"{key}: {_short(value)}" for key, value in record.state.items() if value is not None]
        if record.ended is not None:
            lines.insert(0, f"ended {time_text(record.ended)}: {record.reason or 'no reason given'}")
        sections.append(Section(title="State", lines=lines))
    else:
        line = "No server recorded it: arms and shares are those of the predictions."
        sections.append(Section(title="State", lines=[line]))
    if events:
        sections.append(_events(events))
    data = {
        "experiment": one.id, "model": one.model, "kind": one.kind, "status": one.status,
        "since": time_text(one.since), "arms": as_data(one.arms), "shares": shares,
        "spec": record.spec if record else None, "state": record.state if record else None,
        "reason": record.reason if record else None, "guardrails": as_data(guardrails),
        "events": [{"time": time_text(event.time), "kind": event.kind, "facts": event.facts} for event in events],
    }  # fmt: skip
    return data, sections


def _period(one: KnownExperiment) -> str:
    if one.record is None or one.record.ended is None:
        return f" since {time_text(one.since)}"
    return f": {time_text(one.since)} to {time_text(one.record.ended)}"


def _configured(one: KnownExperiment) -> dict[str, float]:
    settings = one.record.state.get("settings", {}) if one.record else {}
    shares: dict[str, float] = settings.get("shares", {})
    return shares


def _events(events: list[Event]) -> Section:
    rows = [
        [time_text(event.time), event.kind, ", ".join(f"{key} {_short(value)}" for key, value in event.facts.items())]
        for event in events[-_MOST_EVENTS:]
    ]
    lines = [f"{len(events) - _MOST_EVENTS:,} earlier events: --json"] if len(events) > _MOST_EVENTS else []
    return Section(title="Events", header=["time (UTC)", "event", "facts"], rows=rows, lines=lines)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
