"""Options of the sub-commands of `experiment`: the journal, and how it is printed."""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.table import Table

from lightning_app.errors import UsageError
from lightning_app.serving.config.serve_config import JournalConfig
from lightning_app.serving.experiments.analysis.reporting.sections import Section
from lightning_app.serving.journal.stores import open_database
from lightning_app.serving.journal.stores.database import JournalDatabase
from lightning_app.terminal import plain, show


def add_journal(parser: argparse.ArgumentParser) -> None:
    """Adds the address of the journal.

    Args:
        parser: The parser.
    """
    default = JournalConfig().url
    text = f"sqlite:///FILE or postgresql://USER@HOST/DATABASE; default: {default}"
    parser.add_argument("--journal", metavar="URL", default=default, help=text)


@contextmanager
def opened(url: str) -> Iterator[JournalDatabase]:
    """Opens the database of a journal that exists.

    Args:
        url: Its address.

    Raises:
        UsageError: There is none.
    """
    try:
        database = open_database(url, create=False)
    except ValueError as error:
        raise UsageError(f"{error}; --journal URL names another") from error
    try:
        yield database
    finally:
        database.close()


def print_sections(sections: Sequence[Section]) -> None:
    """Prints sections to stdout.

    Args:
        sections: The sections.
    """
    for section in sections:
        print(f"\n{plain(section.title)}")  # noqa: T201
        if section.header:
            table = Table(*section.header)
            for row in section.rows:
                table.add_row(*row)
            show(table)
        for line in section.lines:
            print(plain(line))  # noqa: T201


def fraction(text: str) -> float:
    """A number between 0 and 1, for argparse.

    Args:
        text: As given.
    """
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} given, a number between 0 and 1 is needed")
    return value


def positive(text: str) -> float:
    """A finite number above 0, for argparse.

    Args:
        text: As given.
    """
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} given, a number above 0 is needed")
    return value
