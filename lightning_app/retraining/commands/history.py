"""Retrain command: `lightning-app retrain history` lists cycles and events of a model."""

import msgspec
from rich.table import Column, Table

from lightning_app.errors import UsageError
from lightning_app.retraining.commands.options import opened_store, parser_of, policy_of
from lightning_app.terminal import print_json, show
from lightning_app.time_text import utc


def run(args: list[str]) -> None:
    """Runs the sub-command; see `--help`.

    Args:
        args: Command line, verb first.

    Raises:
        UsageError: There is no such cycle.
    """
    parser = parser_of(args[0], __doc__)
    parser.add_argument("cycle", nargs="?", default=None, help="id of a cycle, to list its events; default: all cycles")
    arguments = parser.parse_args(args[1:])
    policy = policy_of(arguments)
    with opened_store(policy, create=False) as (store, _):
        cycles, events = store.cycles(policy.model), store.events(policy.model)
    if arguments.cycle is not None:
        if not any(cycle.cycle_id == arguments.cycle for cycle in cycles):
            raise UsageError(f"cycle: {policy.model} has no cycle {arguments.cycle!r}; it has {len(cycles)}")
        events = [event for event in events if event.cycle_id == arguments.cycle]
        cycles = [cycle for cycle in cycles if cycle.cycle_id == arguments.cycle]
    if arguments.json:
        print_json({"cycles": msgspec.to_builtins(cycles), "events": msgspec.to_builtins(events)})
        return
    if arguments.cycle is None:
        table = Table(Column("cycle", no_wrap=True), "begun", "trigger", "version", "state", "why")
        for cycle in cycles:
            version = cycle.facts.get("version")
            table.add_row(
                cycle.cycle_id, utc(cycle.created), cycle.spec["words"], "" if version is None else str(version),
                cycle.state, cycle.reason or (cycle.facts.get("waits") or {}).get("words", ""),
            )  # fmt: skip
        show(table)
        return
    table = Table("time", "event", "")
    for event in events:
        table.add_row(utc(event.time), event.kind, str(event.facts.get("words") or event.facts.get("reason") or ""))
    show(table)
