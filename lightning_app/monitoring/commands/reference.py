"""Monitor command: `lightning-app monitor reference PACKAGE TABLE` makes a drift reference of a package that has none.

TABLE has labelled rows, which the package is asked, or is an export of its journal (`lightning-app journal export`).
"""

from pathlib import Path

import polars as pl

from features.table_reader import read_table
from lightning_app.atomic_write import replacing
from lightning_app.drift.reference import REFERENCE_FILE
from lightning_app.errors import UsageError
from lightning_app.packaging.monitored.build import drift_files, drift_reference
from lightning_app.packaging.monitored.rows import OUTCOME, MonitoredRows
from lightning_app.packaging.monitored.table_rows import is_export, rows_of_export, rows_of_table
from lightning_app.packaging.runtime.package import Package
from lightning_app.serving.journal.export.row_parts import OF_JOURNAL
from lightning_app.serving.journal.export.rows import META
from lightning_app.terminal import print_json
from lightning_app.verb_parser import VerbParser


def run(args: list[str]) -> None:
    """Runs the sub-command; see `--help`.

    Args:
        args: Command line, verb first.

    Raises:
        UsageError: The table says nothing of the package's requests, or the folder has a reference.
    """
    epilog = "monitor.yaml names the folder as `reference` of a model. Rows are taken to be in the order of time."
    parser = VerbParser(args[0], description=__doc__, epilog=epilog)
    parser.add_argument("package", metavar="PACKAGE", help="folder of the package")
    parser.add_argument(
        "table", metavar="TABLE", help="CSV or parquet file: labelled rows, or an export of the journal"
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="folder of the reference")
    parser.add_argument("--outcome", default=OUTCOME, metavar="COLUMN", help="column of the true values")
    parser.add_argument("--overwrite", action="store_true", help="replace a reference that is there")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args(args[1:])
    folder = Path(arguments.output)
    if (folder / REFERENCE_FILE).exists() and not arguments.overwrite:
        raise UsageError(f"output: {folder} has a reference; give another folder, or --overwrite to replace it")
    package = Package.load(arguments.package)
    table = _read(Path(arguments.table))
    rows = reference_rows(package, table, outcome=arguments.outcome)
    reference = drift_reference(rows, package.manifest)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in drift_files(rows, reference).items():
        with replacing(folder / name, size=len(content)) as partial:
            partial.write_bytes(content)
    left_out = len(table) - len(rows)
    if arguments.json:
        facts = {"rows": len(rows), "rejected": left_out, "columns": [column.plan.name for column in reference.columns]}
        print_json({"output": str(folder), **facts, "importance": reference.importance})
        return
    rejected = f"; {left_out:,} that the package does not answer are left out" if left_out else ""
    print(f"reference: {len(rows):,} rows, {len(reference.columns)} watched columns{rejected}")  # noqa: T201
    if rows.outcome is None:
        print("reference: no outcomes, so nothing is known of errors before outcomes arrive")  # noqa: T201
    print(f"written: {folder}")  # noqa: T201


def reference_rows(package: Package, table: pl.DataFrame, *, outcome: str = OUTCOME) -> MonitoredRows:
    """Rows that a reference is made of.

    Args:
        package: The package.
        table: Labelled rows, or an export of its journal.
        outcome: Column of the true values.

    Raises:
        UsageError: The table does not say what requests of the package look like.
    """
    if is_export(table):
        names = [name.removeprefix(META) for name in OF_JOURNAL if name != f"{META}outcome"]
        return rows_of_export(table, journal_columns=names, outcome=outcome)
    return rows_of_table(package.predictor, table, outcome=outcome)


def _read(file: Path) -> pl.DataFrame:
    if not file.is_file():
        raise UsageError(f"table: {file} does not exist; give a CSV or parquet file")
    table = read_table(file)
    if table.is_empty():
        raise UsageError(f"table: {file} has no rows")
    return table
