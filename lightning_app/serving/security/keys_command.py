"""Keys command: `lightning-app keys add|list|revoke FILE` manages the API keys of a server."""

import fcntl
import os
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from rich.table import Table

from lightning_app.errors import UsageError, nearest
from lightning_app.serving.security.api_keys import new_key
from lightning_app.serving.security.key_file import SCOPES, KeyEntry, read_key_file, write_key_file
from lightning_app.sub_commands import SubCommands, run_sub_command
from lightning_app.terminal import print_json, show
from lightning_app.verb_parser import VerbParser

_SUB_COMMANDS: SubCommands = {
    "add": ("lightning_app.serving.security.keys_command:add", "Make a key; prints it once."),
    "list": ("lightning_app.serving.security.keys_command:list_keys", "List the keys of a file, without secrets."),
    "revoke": (
        "lightning_app.serving.security.keys_command:revoke",
        "Remove a key; running servers refuse it too.",
    ),
}
_FILE_HELP = "key file, YAML or JSON; `add` creates it with the mode 0600"


def run(args: list[str]) -> None:
    """Runs a sub-command of `lightning-app keys`.

    Args:
        args: Command line, verb first.
    """
    run_sub_command(args, _SUB_COMMANDS, usage="SUBCOMMAND FILE [options]", description="API keys of a server.")


def add(args: list[str]) -> None:
    """Runs `keys add`; see `--help`.

    Args:
        args: Command line, verb first.
    """
    parser = VerbParser(args[0], description="Makes an API key. It is printed once: only its hash is kept.", epilog="")
    parser.add_argument("file", type=Path, help=_FILE_HELP)
    parser.add_argument("--id", required=True, help="name of the key; letters, digits, - and _")
    parser.add_argument("--scopes", default="predict", help=f"separated by commas: {', '.join(SCOPES)}")
    parser.add_argument("--rate", type=float, default=None, help="requests per second")
    parser.add_argument("--burst", type=int, default=None, help="requests that may come at once")
    parser.add_argument("--rows-per-day", type=int, default=None, help="predicted rows per day, UTC")
    parser.add_argument("--models", default=None, help="names of models that it may ask, separated by commas")
    parser.add_argument("--days", type=float, default=None, help="days until it expires; default: never")
    arguments = parser.parse_args(args[1:])
    with _locked(arguments.file):
        entries = read_key_file(arguments.file) if arguments.file.exists() else []
        if any(entry.id == arguments.id for entry in entries):
            raise UsageError(f"keys: {arguments.file} has a key {arguments.id!r}; revoke it, or give another --id")
        key, digest = new_key(arguments.id)
        write_key_file(arguments.file, [*entries, _entry(arguments, digest)])
    print(key)  # noqa: T201


def list_keys(args: list[str]) -> None:
    """Runs `keys list`; see `--help`.

    Args:
        args: Command line, verb first.
    """
    parser = VerbParser(args[0], description="Lists the keys of a file.", epilog="")
    parser.add_argument("file", type=Path, help=_FILE_HELP)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args(args[1:])
    entries = read_key_file(arguments.file)
    if arguments.json:
        facts = [msgspec.to_builtins(entry) for entry in entries]
        print_json([{name: value for name, value in entry.items() if name != "sha256"} for entry in facts])
        return
    table = Table("id", "scopes", "models", "requests/s", "rows/day", "created", "expires")
    for entry in entries:
        table.add_row(
            entry.id,
            ", ".join(entry.scopes),
            "all" if entry.models is None else ", ".join(entry.models),
            "" if entry.rate is None else f"{entry.rate:g}",
            "" if entry.rows_per_day is None else f"{entry.rows_per_day:,}",
            entry.created or "",
            entry.expires or "never",
        )
    show(table)


def revoke(args: list[str]) -> None:
    """Runs `keys revoke`; see `--help`.

    Args:
        args: Command line, verb first.
    """
    parser = VerbParser(args[0], description="Removes a key.", epilog="")
    parser.add_argument("file", type=Path, help=_FILE_HELP)
    parser.add_argument("id", help="name of the key")
    arguments = parser.parse_args(args[1:])
    with _locked(arguments.file):
        entries = read_key_file(arguments.file)
        kept = [entry for entry in entries if entry.id != arguments.id]
        if len(kept) == len(entries):
            ids = [entry.id for entry in entries]
            raise UsageError(
                f"keys: {arguments.file} has no key {arguments.id!r}{nearest(arguments.id, ids)}; "
                f"it has {', '.join(ids) or 'none'}"
            )
        write_key_file(arguments.file, kept)
    rest = "" if kept else "; the file holds no key now, so servers refuse every request"
    print(f"revoked: {arguments.id}{rest}")  # noqa: T201


def _entry(arguments: Namespace, digest: str) -> KeyEntry:
    now = datetime.now(UTC)
    expires = None if arguments.days is None else now + timedelta(days=arguments.days)
    fields = {
        "id": arguments.id,
        "sha256": digest,
        "scopes": _words(arguments.scopes),
        "rate": arguments.rate,
        "burst": arguments.burst,
        "rows_per_day": arguments.rows_per_day,
        "models": None if arguments.models is None else _words(arguments.models),
        "expires": None if expires is None else expires.isoformat(timespec="seconds"),
        "created": now.isoformat(timespec="seconds"),
    }
    if arguments.burst is not None and arguments.rate is None:
        raise UsageError("keys: --burst is given without --rate")
    try:
        return msgspec.convert(fields, KeyEntry)
    except msgspec.ValidationError as error:
        raise UsageError(f"keys: {error}") from error


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Two commands at once do not lose each other's key: the folder is locked, because the file is replaced."""
    try:
        descriptor = os.open(path.parent, os.O_RDONLY)
    except OSError as error:
        raise UsageError(f"keys: {path.parent} is no folder that can be read: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
