"""Journal command: `lightning-app journal replay` writes the spill files of servers that run no more to the journal."""

from pathlib import Path

from lightning_app.errors import UsageError
from lightning_app.serving.journal.commands.options import add_url, opened_for_writing
from lightning_app.serving.journal.failure_policy import SPILL_FOLDER
from lightning_app.serving.journal.spill import replay, waiting_files
from lightning_app.verb_parser import VerbParser


def run(args: list[str]) -> None:
    """Runs the sub-command; see `--help`.

    Args:
        args: Command line, verb first.

    Raises:
        UsageError: The folder does not exist.
    """
    parser = VerbParser(args[0], description=__doc__, epilog="Servers do this themselves, when they start too.")
    add_url(parser)
    parser.add_argument("--spill", type=Path, default=Path(SPILL_FOLDER), help=f"spill folder; default: {SPILL_FOLDER}")
    arguments = parser.parse_args(args[1:])
    if not arguments.spill.is_dir():
        raise UsageError(f"spill: folder {arguments.spill} does not exist")
    store = opened_for_writing(arguments.url)
    try:
        result = replay(arguments.spill, store)
    finally:
        store.close()
    print(  # noqa: T201
        f"replayed: {result.records:,} records of {result.files:,} files; {result.earlier:,} were there already"
    )
    for count, what in (
        (result.conflicts, "records differ from what the journal holds under their id; that in the journal stays"),
        (result.refused, "rewards are of rows that their requests do not have; they are written nowhere"),
        (result.torn, "files end within a record, whose request was never answered"),
        (result.damaged, "records are damaged; their files are kept as .damaged"),
        (len(waiting_files(arguments.spill)), "files are being written or replayed by a server"),
    ):
        if count:
            print(f"{count:,} {what}")  # noqa: T201
