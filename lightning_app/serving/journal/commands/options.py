"""Options of the sub-commands of `journal`: its address, and times."""

import argparse
from datetime import UTC, datetime

from lightning_app.errors import UsageError
from lightning_app.serving.journal.stores import open_reader, open_store
from lightning_app.serving.journal.stores.protocol import JournalReader, JournalStore


def add_url(parser: argparse.ArgumentParser) -> None:
    """Adds the address of the journal.

    Args:
        parser: The parser.
    """
    parser.add_argument("url", metavar="URL", help="sqlite:///FILE or postgresql://USER@HOST/DATABASE")


def opened_for_reading(url: str) -> JournalReader:
    """Opens a journal that exists.

    Args:
        url: Its address.

    Raises:
        UsageError: There is none.
    """
    try:
        return open_reader(url)
    except ValueError as error:
        raise UsageError(str(error)) from error


def opened_for_writing(url: str) -> JournalStore:
    """Opens a journal that exists.

    Args:
        url: Its address.

    Raises:
        UsageError: There is none.
    """
    try:
        return open_store(url, create=False)
    except ValueError as error:
        raise UsageError(str(error)) from error


def seconds_of(text: str | None, *, option: str) -> float | None:
    """A time on the command line as Unix seconds; without a time zone it is UTC.

    Args:
        text: ISO 8601, or None.
        option: Name of the option, for messages.

    Raises:
        UsageError: It is no time.
    """
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"{option}: {text!r} given, a time such as 2026-05-01 or 2026-05-01T13:45:00 is needed"
        ) from error
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
