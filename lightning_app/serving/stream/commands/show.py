"""Stream command: `lightning-app stream show` shows positions, queues, outbox and dead letters in a journal."""

from datetime import UTC, datetime

from rich.table import Table

from lightning_app.serving.stream.commands.options import add_journal, opened_database
from lightning_app.serving.stream.tables import dead_letters, offsets, outbox, queue
from lightning_app.terminal import print_json, show
from lightning_app.verb_parser import VerbParser


def run(args: list[str]) -> None:
    """Runs the sub-command; see `--help`.

    Args:
        args: Command line, verb first.
    """
    parser = VerbParser(args[0], description=__doc__, epilog="The lag behind Kafka or Redis is in metrics and logs.")
    add_journal(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_intermixed_args(args[1:])
    database = opened_database(arguments.journal)
    try:
        positions, sizes = offsets.listed(database), queue.sizes(database)
        letters, boxes = dead_letters.counts(database), outbox.listed(database)
    finally:
        database.close()
    if arguments.json:
        print_json(
            {
                "positions": [one._asdict() for one in positions],
                "queues": sizes,
                "dead_letters": letters,
                "outbox": {stream: {"waiting": one[0], "stuck": one[1]} for stream, one in boxes.items()},
            }
        )
        return
    if positions:
        table = Table("stream", "partition", "next offset", "worker", "since")
        for one in positions:
            since = datetime.fromtimestamp(one.updated, UTC).isoformat(timespec="seconds")
            table.add_row(one.stream, one.partition, f"{one.next_offset:,}", one.holder or "none", since)
        show(table)
    table = Table("stream", "in its queue", "dead letters", "messages in the outbox", "that no sink takes")
    for stream in sorted({*sizes, *letters, *boxes}):
        waiting, stuck = boxes.get(stream, (0, 0))
        numbers = (f"{count:,}" for count in (sizes.get(stream, 0), letters.get(stream, 0), waiting, stuck))
        table.add_row(stream, *numbers)
    show(table)
