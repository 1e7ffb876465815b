"""Experiment command: `lightning-app experiment list` lists running and ended experiments, and shadows."""

from rich.table import Table

from lightning_app.serving.experiments.analysis.catalogue import catalogue
from lightning_app.serving.experiments.analysis.reporting.formats import time_text
from lightning_app.serving.experiments.analysis.shadow import shadow_models
from lightning_app.serving.experiments.commands.options import add_journal, opened
from lightning_app.terminal import print_json, show
from lightning_app.verb_parser import VerbParser


def run(args: list[str]) -> None:
    """Runs the sub-command; see `--help`.

    Args:
        args: Command line, verb first.
    """
    parser = VerbParser(args[0], description=__doc__, epilog="Times are UTC. n: answered requests in the journal.")
    add_journal(parser)
    parser.add_argument("--model", default=None, help="model; default: all")
    parser.add_argument("--running", action="store_true", help="only those that run")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args(args[1:])
    with opened(arguments.journal) as database:
        experiments, shadows = catalogue(database), shadow_models(database)
    experiments = [one for one in experiments if arguments.model in (None, one.model)]
    experiments = [one for one in experiments if not arguments.running or one.status == "running"]
    shadows = [one for one in shadows if arguments.model in (None, one.model) and not arguments.running]
    if arguments.json:
        print_json([
            {
                "id": one.id, "kind": one.kind, "model": one.model, "status": one.status, "since": time_text(one.since),
                "requests": one.requests, "arms": {name: arm.requests for name, arm in one.arms.items()},
                "reason": one.record.reason if one.record else None,
            }
            for one in experiments
        ] + [
            {
                "id": one.id, "kind": "shadow", "model": one.model, "status": None, "since": time_text(one.first),
                "requests": one.requests, "arms": {}, "reason": None,
            }
            for one in shadows
        ])  # fmt: skip
        return
    if not experiments and not shadows:
        print("no experiments in this journal" if not arguments.running else "no experiment runs")  # noqa: T201
        return
    table = Table("id", "kind", "model", "status", "since", "n", "arms")
    for one in experiments:
        table.add_row(
            one.id, one.kind or "?", one.model, one.status, time_text(one.since)[:16], f"{one.requests:,}",
            " ".join(one.arms),
        )  # fmt: skip
    for shadow in shadows:
        table.add_row(shadow.id, "shadow", shadow.model, "", time_text(shadow.first)[:16], f"{shadow.requests:,}", "")
    show(table)
