"""Addresses of sources and sinks: `kafka://HOST:9092/TOPIC?group=G`, `redis://HOST:6379/STREAM?group=G`, `queue://NAME`."""

import re
from typing import Literal, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from lightning_app.errors import UsageError, nearest
from lightning_app.serving.journal.errors import without_password

Kind = Literal["kafka", "redis", "queue"]
_SCHEMES: dict[str, Kind] = {"kafka": "kafka", "redis": "redis", "rediss": "redis", "queue": "queue"}
_QUERY = {"kafka": ("group",), "redis": ("group", "db"), "queue": ()}
_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,200}")
_FORMS = "kafka://HOST:PORT/TOPIC, redis://HOST:PORT/STREAM or queue://NAME"


class Address(NamedTuple):
    """Where events come from, or where messages go.

    Attributes:
        kind: `kafka`, `redis` or `queue`.
        name: Topic, stream or queue.
        server: Brokers of Kafka, or the address of the Redis server with its password; empty for a queue.
        group: Consumer group; None for the default.
        text: The address for people, without a password.
    """

    kind: Kind
    name: str
    server: str
    group: str | None
    text: str


def read_address(text: str, *, option: str, is_source: bool) -> Address:
    """Reads an address.

    Args:
        text: The address.
        option: Option that it was given with, for messages.
        is_source: Whether events come from it, so that it may have a group.

    Raises:
        UsageError: It is malformed; names what is allowed.
    """
    public = without_password(text)
    split = urlsplit(text)
    kind = _SCHEMES.get(split.scheme)
    if kind is None:
        raise UsageError(f"{option}: {public!r} given; {_FORMS} needed")
    query = dict(parse_qsl(split.query, keep_blank_values=True))
    for name in query:
        if name not in _QUERY[kind] or (name == "group" and not is_source):
            allowed = [one for one in _QUERY[kind] if is_source or one != "group"]
            known = f", allowed: {', '.join(allowed)}" if allowed else ""
            raise UsageError(f"{option}: {name!r} given in {public!r}{known}{nearest(name, allowed)}")
    name = split.netloc if kind == "queue" else unquote(split.path.removeprefix("/"))
    if kind == "queue" and split.path.strip("/"):
        raise UsageError(f"{option}: {public!r} given; a queue is in the database of the journal: queue://NAME")
    if not _NAME.fullmatch(name):
        what = {"kafka": "topic", "redis": "stream", "queue": "queue"}[kind]
        raise UsageError(f"{option}: {public!r} names no {what}; {_FORMS} needed, of letters, digits and _.:-")
    if kind != "queue" and not split.netloc:
        raise UsageError(f"{option}: {public!r} names no host; {_FORMS} needed")
    server = split.netloc
    if kind == "redis":
        server = f"{split.scheme}://{split.netloc}/{query.get('db', '0')}"
    return Address(kind, name, "" if kind == "queue" else server, query.get("group"), public)
