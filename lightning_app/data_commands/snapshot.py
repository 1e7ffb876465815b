"""Data snapshot command: `lightning-app data snapshot|list|show` takes snapshots of tables and describes them."""

import shlex
from pathlib import Path

import msgspec
from rich.table import Table

from features.versions import ContractVerdict, Manifest, Taken, open_store, take_snapshot
from features.versions.address import STORE_VARIABLE
from features.versions.references import PREFIX, is_reference
from features.versions.store import Store
from features.versions.table_facts import CLOCKS
from lightning_app.errors import UsageError
from lightning_app.runs.lineage import framework_checkout
from lightning_app.runs.repository import describe_repository
from lightning_app.terminal import plain, plain_console, print_json, show
from lightning_app.verb_parser import VerbParser
from lightning_app.version import __version__

_SHORT = 12


def run_snapshot(args: list[str]) -> None:
    """Takes a snapshot; see `--help`.

    Args:
        args: Command line, sub-command first.
    """
    parser = VerbParser(args[0], description=__doc__, epilog=f"A config reads it as path: {PREFIX}NAME@ID.")
    parser.add_argument("source", metavar="TABLE_OR_FOLDER", help="a file, or a folder of files")
    parser.add_argument("--name", help="name under which it becomes the newest snapshot")
    _add_store(parser)
    parser.add_argument(
        "--parent", action="append", default=[], metavar="SNAPSHOT", help="snapshot that it was made from; repeatable"
    )
    parser.add_argument("--query", metavar="TEXT", help="how it was made from them; recorded, not run")
    parser.add_argument("--contract", metavar="FILE", help="data contract whose verdict is recorded")
    for clock in CLOCKS:
        help_text = "column of this clock; detected if left out"
        parser.add_argument(f"--{_words(clock, '-')}", metavar="COLUMN", help=help_text)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args(args[1:])
    if is_reference(arguments.source):
        raise UsageError(f"data snapshot: {arguments.source} is a snapshot already")
    store = open_store(arguments.store)
    taken = take_snapshot(
        arguments.source,
        store=store,
        name=arguments.name,
        clocks={clock: getattr(arguments, clock) for clock in CLOCKS},
        parents=arguments.parent,
        query=arguments.query,
        contract=arguments.contract,
        code={
            "framework": {"version": __version__, **framework_checkout()},
            "repository": describe_repository(Path.cwd(), None),
        },
    )
    if arguments.json:
        print_json({**_as_json(taken.manifest), "store": store.address, "name": taken.name, "new": taken.new})
        return
    _describe(taken.manifest, store=store, taken=taken)


def run_list(args: list[str]) -> None:
    """Lists the snapshots of a store; see `--help`.

    Args:
        args: Command line, sub-command first.
    """
    parser = VerbParser(args[0], description="Lists the snapshots of a store, oldest first under each name.", epilog="")
    _add_store(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args(args[1:])
    store = open_store(arguments.store)
    names = store.names()
    named = [(name, snapshot) for name, snapshots in names.items() for snapshot in snapshots]
    unnamed = [("", snapshot) for snapshot in store.ids() if snapshot not in {known for _, known in named}]
    manifests = [(name, store.manifest(snapshot)) for name, snapshot in (*named, *unnamed)]
    if arguments.json:
        print_json([{"name": name or None, **_as_json(manifest)} for name, manifest in manifests])
        return
    if not manifests:
        print(plain(f"{store.address} holds no snapshots"))  # noqa: T201
        return
    table = Table("name", "id", "rows", "bytes", "created")
    for name, manifest in manifests:
        table.add_row(name, manifest.id[:_SHORT], f"{manifest.rows:,}", f"{manifest.bytes:,}", manifest.created[:16])
    show(table)


def run_show(args: list[str]) -> None:
    """Describes a snapshot; see `--help`.

    Args:
        args: Command line, sub-command first.
    """
    parser = VerbParser(args[0], description="Describes a snapshot; --verify reads every file again.", epilog="")
    parser.add_argument("snapshot", metavar="SNAPSHOT", help="NAME, NAME@ID or ID")
    _add_store(parser)
    parser.add_argument("--verify", action="store_true", help="compare every file with its sha256")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args(args[1:])
    store = open_store(arguments.store)
    manifest = store.manifest(arguments.snapshot.removeprefix(PREFIX))
    if arguments.verify:
        for entry in manifest.files:
            store.local_file(entry)
    if arguments.json:
        print_json({**_as_json(manifest), "store": store.address})
        return
    _describe(manifest, store=store)
    if arguments.verify:
        print(f"{'verified':<19}{len(manifest.files):,} files are as they were stored")  # noqa: T201


def _words(clock: str, separator: str) -> str:
    return clock.replace("_", separator)


def _add_store(parser: VerbParser) -> None:
    where = f"folder or s3://bucket/prefix; ${STORE_VARIABLE}, else ./snapshots, if left out"
    parser.add_argument("--store", metavar="STORE", help=where)


def _as_json(manifest: Manifest) -> dict[str, object]:
    answer: dict[str, object] = msgspec.to_builtins(manifest)
    return answer


def _describe(manifest: Manifest, *, store: Store, taken: Taken | None = None) -> None:
    short = manifest.id[:_SHORT]
    lines = [("snapshot", f"{manifest.id[:_SHORT]} of {manifest.source}, in {store.address}")]
    names = [name for name, snapshots in store.names().items() if manifest.id in snapshots]
    if names:
        lines.append(("name", ", ".join(f"{name}@{short}" for name in names)))
    stored = (
        "" if taken is None else f"; {taken.blobs} written" if taken.new or taken.blobs else "; all of it was there"
    )
    lines.append(("files", f"{len(manifest.files):,}, {manifest.bytes:,} bytes{stored}"))
    if taken is not None and taken.skipped:
        lines.append(("left out", f"{len(taken.skipped)} hidden files: {', '.join(taken.skipped[:3])}"))
    schemas = [file.schema for file in manifest.files if file.schema is not None]
    if schemas:
        width = f"{len(schemas[0])} columns" if manifest.schema else "tables of different columns"
        lines.append(("rows", f"{manifest.rows:,}, {width}"))
        lines += [(_words(clock, " "), _clock(manifest, clock)) for clock in CLOCKS]
    if manifest.parents:
        lines.append(("parents", ", ".join(parent[:_SHORT] for parent in manifest.parents)))
    if manifest.query:
        lines.append(("query", manifest.query))
    if manifest.contract:
        lines.append(("contract", _verdict(manifest.contract)))
    reference = f"{names[0]}@{short}" if names else short
    inside = f"/{manifest.files[0].path}" if len(manifest.files) > 1 else ""
    lines.append(("in a config", f"path: {shlex.quote(f'{PREFIX}{reference}{inside}')}"))
    console = plain_console()
    for label, text in lines:
        console.print(f"{label:<19}{text}")


def _verdict(contract: ContractVerdict) -> str:
    if not contract.broken:
        return f"every rule kept ({contract.sha256[:_SHORT]})"
    broken = ", ".join(f"{rule} ({rows:,} rows)" if rows else rule for rule, rows in contract.broken.items())
    return f"{'kept, but for' if contract.passed else 'BROKEN:'} {broken} ({contract.sha256[:_SHORT]})"


def _clock(manifest: Manifest, name: str) -> str:
    clock = manifest.clocks.get(name)
    if clock is None:
        return f"no column; name it with --{_words(name, '-')} COLUMN if there is one"
    how = ", detected" if clock.detected else ""
    return f"{clock.first} .. {clock.last} ({clock.column}{how})"
