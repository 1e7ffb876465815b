"""Journal command: `lightning-app journal prune` deletes what is older than a time, while servers go on writing."""

import time

from lightning_app.errors import UsageError
from lightning_app.serving.journal.commands.options import add_url, opened_for_writing, seconds_of
from lightning_app.serving.journal.stores import open_database
from lightning_app.serving.journal.stores.side_tables import prune_side_tables
from lightning_app.verb_parser import VerbParser

_DAY = 86_400.0


def run(args: list[str]) -> None:
    """Runs the sub-command; see `--help`.

    Args:
        args: Command line, verb first.

    Raises:
        UsageError: Neither an age nor a time is given, or both.
    """
    parser = VerbParser(args[0], description=__doc__, epilog="What was spilled counts from when it was replayed.")
    add_url(parser)
    parser.add_argument("--days", type=float, default=None, help="delete what was written longer ago")
    parser.add_argument("--before", default=None, metavar="TIME", help="delete what was written before; UTC")
    arguments = parser.parse_args(args[1:])
    before = seconds_of(arguments.before, option="before")
    if (arguments.days is None) == (before is None):
        raise UsageError("journal prune: give --days or --before")
    if arguments.days is not None:
        if arguments.days < 0:
            raise UsageError(f"days: {arguments.days:g} given, at least 0 is needed")
        before = time.time() - arguments.days * _DAY
    assert before is not None
    store = opened_for_writing(arguments.url)
    try:
        predictions, outcomes = store.prune(before)
        store.tidy()
    finally:
        store.close()
    database = open_database(arguments.url)
    try:
        shadows = prune_side_tables(database, before)
    finally:
        database.close()
    and_shadows = f", and {shadows:,} answers of shadows" if shadows else ""
    print(f"deleted: {predictions:,} predictions and {outcomes:,} outcomes of {store.url}{and_shadows}")  # noqa: T201
