"""Stream command: `lightning-app stream put` puts events into a queue, one per line or one per file."""

import sys
from collections.abc import Iterator
from pathlib import Path

from lightning_app.errors import UsageError
from lightning_app.serving.http.bodies import JSON, MEDIA_TYPES
from lightning_app.serving.journal.stores.database import JournalDatabase
from lightning_app.serving.stream.commands.options import add_journal, opened_database, queue_name
from lightning_app.serving.stream.event import Output
from lightning_app.serving.stream.tables import queue
from lightning_app.verb_parser import VerbParser

_AT_ONCE = 1000


def run(args: list[str]) -> None:
    """Runs the sub-command; see `--help`.

    Args:
        args: Command line, verb first.

    Raises:
        UsageError: Something given is wrong.
    """
    parser = VerbParser(
        args[0], description=__doc__, epilog='A line is a row, {"length": 1.5}, or a request, {"records": [...]}.'
    )
    parser.add_argument("queue", metavar="QUEUE", help="queue://NAME, or its name")
    parser.add_argument("files", nargs="*", metavar="FILE", help="JSON lines; default: standard input")
    parser.add_argument("--key", help="key of all events")
    parser.add_argument("--whole", action="store_true", help="each file is one event, e.g. an Arrow table")
    parser.add_argument("--content-type", default=JSON, help=f"media type of the events; default: {JSON}")
    add_journal(parser)
    arguments = parser.parse_intermixed_args(args[1:])
    if arguments.content_type not in MEDIA_TYPES:
        raise UsageError(f"--content-type: {arguments.content_type!r} given, allowed: {', '.join(MEDIA_TYPES)}")
    if arguments.content_type != JSON and not arguments.whole:
        raise UsageError(f"--content-type: {arguments.content_type} has no lines; give --whole")
    name, number = queue_name(arguments.queue), 0
    database = opened_database(arguments.journal, create=True)
    try:
        part: list[Output] = []
        for body in _bodies(arguments.files, is_whole=arguments.whole):
            part.append(Output("", arguments.key, arguments.content_type, {}, body))
            if len(part) == _AT_ONCE:
                number += _put(database, name, part)
                part = []
        number += _put(database, name, part)
    finally:
        database.close()
    print(f"put: {number:,} events into {name}")  # noqa: T201


def _put(database: JournalDatabase, name: str, part: list[Output]) -> int:
    if part:
        with database.transaction():
            queue.put(database, name, part)
    return len(part)


def _bodies(files: list[str], *, is_whole: bool) -> Iterator[bytes]:
    for file in files or ["-"]:
        try:
            with sys.stdin.buffer if file == "-" else Path(file).open("rb") as content:
                if is_whole:
                    yield content.read()
                else:
                    yield from (stripped for line in content if (stripped := line.strip()))
        except OSError as error:
            raise UsageError(f"file: {file} cannot be read: {error.strerror}") from error
