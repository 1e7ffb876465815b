"""Options of sub-commands that use an online store, and times on the command line."""

import argparse
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from features.definitions import Definitions
from features.store import OnlineStore, open_store
from lightning_app.errors import UsageError

VARIABLE = "LIGHTNING_APP_FEATURE_STORE"
DEFAULT = "sqlite:///features.db"


def add_store_options(parser: argparse.ArgumentParser) -> None:
    """Adds `--store` and `--namespace`.

    Args:
        parser: The parser.
    """
    parser.add_argument(
        "--store",
        default=os.environ.get(VARIABLE, DEFAULT),
        metavar="URL",
        help=f"path, sqlite:///, redis:// or postgresql://; default: ${VARIABLE}, else {DEFAULT}",
    )
    parser.add_argument("--namespace", default="default", help="project in the store, if several share it")


def chosen_store(arguments: argparse.Namespace) -> OnlineStore:
    """Opens the store of a command line.

    Args:
        arguments: Parsed arguments.
    """
    return open_store(arguments.store)


def definitions_file(arguments: argparse.Namespace) -> tuple[Definitions, Path]:
    """Definitions of a command line, and the folder that paths of their sources start from.

    Args:
        arguments: Parsed arguments.
    """
    file = Path(arguments.file)
    return Definitions.load(file), file.parent


def parse_time(text: str, *, option: str) -> datetime:
    """A time on the command line.

    Args:
        text: ISO 8601.
        option: Name of the option, for messages.

    Raises:
        UsageError: It is no time.
    """
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{option}: {text!r} given, a time such as 2024-05-01T13:45:00 is needed") from error


def column_or_time(text: str, columns: Sequence[str]) -> str | datetime:
    """Reads `--at`: the column that holds the times, or one time for all rows.

    Args:
        text: What was given.
        columns: Columns of the rows.

    Raises:
        UsageError: It is neither.
    """
    if text in columns:
        return text
    if not text[:1].isdigit():
        raise UsageError(f"at: the rows have no column {text!r}; they have {', '.join(columns)}")
    return parse_time(text, option="at")
