"""Stream command: `lightning-app stream dead-letters` lists, retries or drops events that could not be answered."""

import base64
from datetime import UTC, datetime

import msgspec
from rich.table import Table

from lightning_app.errors import UsageError, nearest
from lightning_app.serving.stream.commands.options import add_journal, opened_database
from lightning_app.serving.stream.tables import dead_letters
from lightning_app.serving.stream.tables.dead_letters import StoredLetter
from lightning_app.terminal import print_json, show
from lightning_app.verb_parser import VerbParser

_ACTIONS = ("list", "retry", "drop")


def run(args: list[str]) -> None:
    """Runs the sub-command; see `--help`.

    Args:
        args: Command line, verb first.

    Raises:
        UsageError: Something given is wrong.
    """
    parser = VerbParser(
        args[0],
        description=__doc__,
        epilog="`retry` puts events back under their ids: the workers of the stream answer them within seconds.",
    )
    parser.add_argument("action", metavar="ACTION", help=", ".join(_ACTIONS))
    parser.add_argument("stream", nargs="?", metavar="STREAM", help="name of the stream; `list` takes all without it")
    parser.add_argument("--number", type=int, action="append", metavar="N", help="of a letter; may be repeated")
    parser.add_argument("--all", action="store_true", help="retry or drop all letters of the stream")
    parser.add_argument("--most", type=int, default=50, metavar="N", help="letters that are listed; default: 50")
    parser.add_argument("--json", action="store_true", help="list as JSON, with the bodies")
    add_journal(parser)
    arguments = parser.parse_intermixed_args(args[1:])
    action, stream = arguments.action, arguments.stream
    if action not in _ACTIONS:
        raise UsageError(f"ACTION: {action!r} given, allowed: {', '.join(_ACTIONS)}{nearest(action, _ACTIONS)}")
    if action != "list" and (stream is None or bool(arguments.number) == arguments.all):
        raise UsageError(f"{action}: give a STREAM, and either --number or --all")
    database = opened_database(arguments.journal)
    try:
        if action == "list":
            _show(dead_letters.listed(database, stream=stream, most=arguments.most), as_json=arguments.json)
            return
        with database.transaction():
            if action == "drop":
                dropped = dead_letters.drop(database, stream, numbers=arguments.number)
                said = f"dropped: {dropped:,} dead letters of {stream}"
            else:
                retried, bodiless = dead_letters.retry(database, stream, numbers=arguments.number)
                said = f"retried: {retried:,} dead letters of {stream}"
                if bodiless:
                    said += f"; {bodiless:,} have no body, since the journal drops or hashes columns"
    finally:
        database.close()
    print(said)  # noqa: T201


def _show(letters: list[StoredLetter], *, as_json: bool) -> None:
    if as_json:
        print_json([_plain(letter) for letter in letters])
        return
    table = Table("number", "stream", "partition", "position", "time", "key", "code", "reason")
    for letter in letters:
        time = datetime.fromtimestamp(letter.time, UTC).isoformat(timespec="seconds")
        table.add_row(
            str(letter.number), letter.stream, letter.partition, letter.position, time, letter.key or "", letter.code,
            letter.reason,
        )  # fmt: skip
    show(table)


def _plain(letter: StoredLetter) -> dict[str, object]:
    """A letter for JSON; a body that is no text in base64."""
    fields = msgspec.to_builtins(letter)
    if letter.body is not None:
        try:
            fields["body"] = letter.body.decode()
        except UnicodeDecodeError:
            fields["body"] = {"base64": base64.b64encode(letter.body).decode()}
    return dict(fields)
