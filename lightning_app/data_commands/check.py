"""Check command: `lightning-app data check` runs a data contract on a table."""

from datetime import datetime
from pathlib import Path

import msgspec
import polars as pl

from features.contracts import PanderaContract, Severity, Verdict, load_contract
from features.contracts.evaluation import with_reasons
from features.contracts.files.table_file import scan_table, unreadable
from features.contracts.profile import typed_table
from features.table_reader import row_name
from features.versions.references import referenced_file
from lightning_app.atomic_write import replacing
from lightning_app.errors import UsageError
from lightning_app.terminal import plain, print_json
from lightning_app.verb_parser import VerbParser

_MOVED: tuple[Severity, ...] = ("error", "quarantine")


def run(args: list[str]) -> None:
    """Runs the sub-command; see `--help`.

    Args:
        args: Command line, verb first.

    Raises:
        SystemExit: The table breaks the contract; exit code 1.
    """
    parser = VerbParser("data check", description=__doc__, epilog="Exit code 1: the table breaks the contract.")
    parser.add_argument("table", help="parquet, CSV or Arrow file")
    parser.add_argument("--contract", required=True, help="YAML or JSON file, or module:Name of a pandera schema")
    parser.add_argument("--quarantine", default=None, metavar="FILE", help="file of bad rows and reasons (.parquet)")
    parser.add_argument("--overwrite", action="store_true", help="replace the file of bad rows")
    parser.add_argument("--now", default=None, metavar="TIME", help="time that ages are measured at (ISO 8601, UTC)")
    parser.add_argument("--json", action="store_true", help="print the verdict as JSON")
    arguments = parser.parse_args(args[1:])
    file = referenced_file(arguments.table)
    contract, table = load_contract(arguments.contract), scan_table(file)
    if isinstance(contract, PanderaContract) and file.name.endswith((".csv", ".csv.gz")):
        table = typed_table(table)  # pandera parses no text
    place = None if arguments.quarantine is None else _place(arguments.quarantine, arguments.overwrite)
    severities = _MOVED if place is not None else ("quarantine",)
    now = _now(arguments.now)
    if now is not None and isinstance(contract, PanderaContract):
        raise UsageError(f"now: {arguments.now} given, a pandera schema measures no ages; leave it out")
    try:
        if isinstance(contract, PanderaContract):
            verdict, rows = contract.bad_rows(table, severities=severities)
        else:
            verdict, rows = contract.bad_rows(table, severities=severities, now=now)
        if place is not None and len(rows):
            with replacing(place) as partial:
                with_reasons(table, rows).write_parquet(partial)
    except pl.exceptions.PolarsError as error:
        raise unreadable(arguments.table, error) from error
    homeless = verdict.broken("quarantine") if place is None else ()
    passed = verdict.passed and not homeless
    if arguments.json:
        moved = str(place) if place is not None and len(rows) else None
        print_json({"passed": passed, "quarantine": moved, "bad_rows": len(rows), **msgspec.to_builtins(verdict)})
    else:
        _print(verdict, arguments.table)
        if place is not None and len(rows):
            print(plain(f"bad rows: {place} ({len(rows):,} rows)"))  # noqa: T201
        elif homeless:
            print(f"{len(rows):,} rows to move aside: --quarantine FILE takes them")  # noqa: T201
    if not passed:
        raise SystemExit(1)


def _print(verdict: Verdict, table: str) -> None:
    broken = verdict.broken()
    rules = (
        f"{len(verdict.results)} rules, {len(broken)} broken" if broken else f"all {len(verdict.results)} rules kept"
    )
    print(plain(f"{table}: {verdict.num_rows:,} rows, {verdict.contract}: {rules}"))  # noqa: T201
    for result in broken:
        print(plain(f"{result.severity}: {result.describe(lambda row: _row(table, row))}"))  # noqa: T201


def _row(table: str, row: int) -> str:
    name = row_name(table, row)
    return f"row {row} ({name})" if name.startswith("line") else f"row {row}"


def _place(name: str, overwrite: bool) -> Path:
    path = Path(name)
    if path.suffix != ".parquet":
        raise UsageError(f"quarantine: {name} given, a name that ends in .parquet is needed")
    if path.exists() and not overwrite:
        raise UsageError(f"quarantine: {name} exists; name another file, or give --overwrite")
    if not path.parent.is_dir():
        raise UsageError(f"quarantine: the folder {path.parent} does not exist")
    return path


def _now(text: str | None) -> datetime | None:
    try:
        return None if text is None else datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"now: {text!r} given, a time such as 2026-01-31T12:00 is needed") from error
