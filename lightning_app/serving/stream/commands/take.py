"""Stream command: `lightning-app stream take` prints the answers in a queue, a line each, and deletes them."""

import base64
import os
import socket
import sys

import msgspec

from lightning_app.serving.http.bodies import JSON
from lightning_app.serving.stream.commands.options import add_journal, opened_database, queue_name
from lightning_app.serving.stream.event import Event
from lightning_app.serving.stream.tables import queue
from lightning_app.verb_parser import VerbParser

_AT_ONCE = 500
_LEASE_SECONDS = 30.0


def run(args: list[str]) -> None:
    """Runs the sub-command; see `--help`.

    Args:
        args: Command line, verb first.
    """
    parser = VerbParser(args[0], description=__doc__, epilog="A body that is no JSON is printed in base64.")
    parser.add_argument("queue", metavar="QUEUE", help="queue://NAME, or its name")
    parser.add_argument("--most", type=int, default=None, metavar="N", help="most answers; default: all")
    add_journal(parser)
    arguments = parser.parse_intermixed_args(args[1:])
    name, left = queue_name(arguments.queue), arguments.most
    database = opened_database(arguments.journal)
    holder = f"take-{socket.gethostname()}-{os.getpid()}"
    try:
        while left is None or left > 0:
            with database.transaction():
                most = _AT_ONCE if left is None else min(left, _AT_ONCE)
                events = queue.claim(database, name, holder=holder, most=most, seconds=_LEASE_SECONDS)
            if not events:
                return
            try:
                _print(events)
            except BaseException:  # what was not printed is nobody's
                with database.transaction():
                    queue.release(database, name, holder=holder)
                raise
            with database.transaction():  # what was printed is deleted, not the other way round
                queue.delete(database, [int(event.position) for event in events], holder=holder)
            left = None if left is None else left - len(events)
    finally:
        database.close()


def _print(events: list[Event]) -> None:
    for event in events:
        is_json = event.content_type == JSON
        body = msgspec.Raw(event.body) if is_json else base64.b64encode(event.body).decode()
        line = {"request_id": event.request_id, "key": event.key, "answer": body}
        sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.buffer.flush()
