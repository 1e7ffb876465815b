"""Event, output and dead letter: what comes in, and what goes out."""

from typing import Any

import msgspec


class Event(msgspec.Struct, kw_only=True, gc=False):
    """One event.

    Attributes:
        request_id: Id of its answer, derived from its position: the same whenever it is read.
        partition: Partition of the source; empty if it has none.
        position: Place in the partition: offset, entry id or number.
        key: Its key; None without one.
        content_type: Media type of the body.
        body: The body.
        time: When it was written, Unix seconds; 0 if that is not known.
        arrived: When it was read, by `time.perf_counter`.
        attempts: How often it has been given to a worker.
        problem: Why it cannot be answered, if the source knows: code and reason.
    """

    request_id: str
    partition: str
    position: str
    key: str | None
    content_type: str
    body: bytes
    time: float
    arrived: float
    attempts: int = 1
    problem: tuple[str, str] | None = None


class Output(msgspec.Struct, array_like=True, gc=False):
    """One message for a sink.

    Attributes:
        request_id: Id of the answer; of a message that is produced again too.
        key: Key of the event.
        content_type: Media type of the body.
        headers: Further headers, text by name: position of the event, model, version, digest.
        body: The body.
    """

    request_id: str
    key: str | None
    content_type: str
    headers: dict[str, str]
    body: bytes


class DeadLetter(msgspec.Struct, kw_only=True, gc=False):
    """An event that cannot be answered.

    Attributes:
        event: The event.
        code: Short name of the reason, for programs.
        reason: One line for people.
    """

    event: Event
    code: str
    reason: str


def key_text(key: bytes | str | None) -> str | None:
    """A key as text: UTF-8, else hexadecimal digits after `0x`.

    Args:
        key: The key as its source gives it.
    """
    if key is None or isinstance(key, str):
        text: Any = key
    else:
        try:
            text = key.decode()
        except UnicodeDecodeError:
            return f"0x{key.hex()}"
    return f"0x{text.encode().hex()}" if text is not None and "\0" in text else text
