"""Journal command: `lightning-app journal show` counts predictions, outcomes, and what waits in spill files."""

from pathlib import Path

import msgspec
from rich.table import Table

from lightning_app.serving.journal.commands.options import add_url, opened_for_reading
from lightning_app.serving.journal.failure_policy import SPILL_FOLDER
from lightning_app.serving.journal.spill import waiting_files
from lightning_app.serving.journal.stores.protocol import DayCount
from lightning_app.terminal import print_json, show
from lightning_app.verb_parser import VerbParser

_DIGEST = 12


def run(args: list[str]) -> None:
    """Runs the sub-command; see `--help`.

    Args:
        args: Command line, verb first.
    """
    parser = VerbParser(args[0], description=__doc__, epilog="Days are UTC.")
    add_url(parser)
    parser.add_argument("--spill", type=Path, default=Path(SPILL_FOLDER), help=f"spill folder; default: {SPILL_FOLDER}")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args(args[1:])
    reader = opened_for_reading(arguments.url)
    try:
        days = reader.day_counts()
        num_unknown, num_bytes = reader.num_unknown_outcomes(), reader.num_bytes()
    finally:
        reader.close()
    files = waiting_files(arguments.spill)
    waiting = sum(file.stat().st_size for file in files)
    if arguments.json:
        facts = {"unknown_outcomes": num_unknown, "bytes": num_bytes}
        spill = {"spill_files": len(files), "spill_bytes": waiting}
        print_json({"url": reader.url, "days": [msgspec.to_builtins(day) for day in days], **facts, **spill})
        return
    show(_table(days))
    total = sum(day.predictions for day in days)
    print(f"journal: {reader.url} ({total:,} predictions, {num_bytes / 2**20:,.1f} MiB)")  # noqa: T201
    if num_unknown:
        print(f"outcomes without a prediction: {num_unknown:,} (not sampled, pruned, or still spilled)")  # noqa: T201
    if files:
        print(  # noqa: T201
            f"spilled: {len(files)} files in {arguments.spill} wait ({waiting / 2**20:,.1f} MiB); a server replays "
            "them, or `lightning-app journal replay`"
        )


def _table(days: list[DayCount]) -> Table:
    """Counts; columns of experiments, degraded answers and shadows only where there are any."""
    some = {
        "experiment": any(day.experiment is not None for day in days),
        "degraded": any(day.degraded for day in days),
        "shadows": any(day.shadows for day in days),
    }
    first, last = ["model", "version", "digest", "arm", "experiment", "day"], ["degraded", "shadows"]
    names = [name for name in (*first, "predictions", "rows", "outcomes", *last) if some.get(name, True)]
    table = Table(*names)
    for day in days:
        texts = {
            **msgspec.to_builtins(day),
            "version": "" if day.version is None else str(day.version),
            "digest": day.digest[:_DIGEST],
            "experiment": day.experiment or "",
        }
        table.add_row(*(f"{texts[name]:,}" if isinstance(texts[name], int) else texts[name] for name in names))
    return table
