"""Options of the sub-commands of `stream`: the journal, and names of queues."""

import argparse

from lightning_app.errors import UsageError
from lightning_app.serving.journal.stores import open_database
from lightning_app.serving.journal.stores.database import JournalDatabase
from lightning_app.serving.stream.address import read_address

_JOURNAL = "sqlite:///journal.db"


def add_journal(parser: argparse.ArgumentParser) -> None:
    """Adds the address of the journal.

    Args:
        parser: The parser.
    """
    parser.add_argument("--journal", metavar="URL", default=_JOURNAL, help=f"its address; default: {_JOURNAL}")


def opened_database(url: str, *, create: bool = False) -> JournalDatabase:
    """Opens the database of a journal.

    Args:
        url: Its address.
        create: Whether to make it if it does not exist.

    Raises:
        UsageError: There is none.
    """
    try:
        return open_database(url, create=create)
    except ValueError as error:
        raise UsageError(str(error)) from error


def queue_name(text: str) -> str:
    """Name of a queue.

    Args:
        text: `queue://NAME`, or its name.

    Raises:
        UsageError: It is none.
    """
    address = read_address(text if "://" in text else f"queue://{text}", option="QUEUE", is_source=False)
    if address.kind != "queue":
        raise UsageError(f"QUEUE: {address.text} given; queue://NAME is needed")
    return address.name
