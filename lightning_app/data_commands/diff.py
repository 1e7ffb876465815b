"""Data diff command: `lightning-app data diff A B` says what changed between two tables or snapshots."""

from dataclasses import asdict

from rich.table import Table

from features.versions.difference import RowChanges, TableDifference, compare_tables
from features.versions.distribution import ColumnChange
from features.versions.references import scan_data
from lightning_app.terminal import plain_console, print_json, show
from lightning_app.verb_parser import VerbParser

_EPILOG = "A table is a CSV or parquet file, a folder of them, a Delta table (PATH@v3), or a snapshot (NAME@ID)."


def run(args: list[str]) -> None:
    """Compares two tables; see `--help`.

    Args:
        args: Command line, sub-command first.
    """
    parser = VerbParser(args[0], description=__doc__, epilog=_EPILOG)
    parser.add_argument("a", metavar="A", help="the table before")
    parser.add_argument("b", metavar="B", help="the table after")
    parser.add_argument("--key", default="", metavar="COLUMNS", help="columns that identify a row, separated by commas")
    parser.add_argument("--store", metavar="STORE", help="store of the snapshots: folder or s3://bucket/prefix")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args(args[1:])
    key = [name for name in arguments.key.split(",") if name]
    tables = (scan_data(name, store=arguments.store) for name in (arguments.a, arguments.b))
    difference = compare_tables(*tables, key=key)
    if arguments.json:
        print_json({"a": arguments.a, "b": arguments.b, "same": difference.same, **asdict(difference)})
        return
    console = plain_console()
    console.print(
        f"A: {arguments.a}, {difference.rows.before:,} rows\nB: {arguments.b}, {difference.rows.after:,} rows"
    )
    for line in _schema(difference):
        console.print(line)
    console.print(_rows(difference.rows, key))
    for what, keys in difference.rows.examples.items():
        console.print(f"  {what}, for example: {'; '.join(', '.join(map(str, row.values())) for row in keys)}")
    _show_columns(difference.columns, keyed=bool(key))


def _schema(difference: TableDifference) -> list[str]:
    lines = [f"column added: {name} ({kind})" for name, kind in difference.added.items()]
    lines += [f"column removed: {name} ({kind})" for name, kind in difference.removed.items()]
    lines += [f"column retyped: {name}, {a} -> {b}" for name, (a, b) in difference.retyped.items()]
    return lines or ["columns: the same, of the same types"]


def _rows(rows: RowChanges, key: list[str]) -> str:
    if not key:
        return f"rows: {rows.added:,} added, {rows.removed:,} removed, by value; --key COLUMNS tells changed ones apart"
    same = rows.before - rows.removed - (rows.changed or 0)
    return f"rows: {rows.added:,} added, {rows.removed:,} removed, {rows.changed:,} changed, {same:,} as before"


def _show_columns(columns: list[ColumnChange], *, keyed: bool) -> None:
    different = [column for column in columns if column.differs]
    if different:
        table = Table()
        for name, width in (("column", 16), ("nulls", 14), ("range", 18 if keyed else 28), ("drift", 9)):
            table.add_column(name, max_width=width)
        if keyed:
            table.add_column("changed", max_width=7)
        for column in different:
            changed = [f"{column.changed:,}" if column.changed else ""] if keyed else []
            table.add_row(column.column, _nulls(column), _range(column), _drift(column), *changed)
        show(table)
    same = len(columns) - len(different)
    plain_console().print(f"{same} of {len(columns)} columns of both have the same distribution")


def _nulls(column: ColumnChange) -> str:
    return _arrow(*(f"{share:.1%}" for share in column.nulls))


def _range(column: ColumnChange) -> str:
    return "" if column.ranges is None else _arrow(*column.ranges)


def _arrow(before: str, after: str) -> str:
    return before if before == after else f"{before} -> {after}"


def _drift(column: ColumnChange) -> str:
    if column.new_categories:
        return f"new {column.new_categories:.1%}"
    return "" if column.psi is None else f"PSI {column.psi:.3f}"
