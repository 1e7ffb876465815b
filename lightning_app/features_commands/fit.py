"""Features command: `lightning-app features fit` learns fitted features from training rows, kept as JSON."""

from pathlib import Path

from features.batch import fit
from features.sources import Notes
from lightning_app.errors import UsageError
from lightning_app.features_commands.rows_table import print_notes, read_rows
from lightning_app.features_commands.store_options import column_or_time, definitions_file
from lightning_app.verb_parser import VerbParser


def run(args: list[str]) -> None:
    """Runs the sub-command; see `--help`.

    Args:
        args: Command line, verb first.
    """
    parser = VerbParser(args[0], description=__doc__, epilog="All rows are training rows: leave out those of a test.")
    parser.add_argument("file", metavar="FEATURES.yaml", help="definitions of features")
    parser.add_argument("--rows", type=Path, required=True, metavar="TABLE", help="training rows: CSV or parquet")
    parser.add_argument("--at", default="time", help="column of the times, or one time for all rows; default: time")
    parser.add_argument("--output", type=Path, required=True, help="file to write: ends in .json")
    parser.add_argument("--features", nargs="+", default=None, metavar="NAME", help="features or views; default: all")
    arguments = parser.parse_args(args[1:])
    if arguments.output.suffix != ".json":
        raise UsageError(f"output: {str(arguments.output)!r} given, a file that ends in .json is needed")
    if not arguments.output.absolute().parent.is_dir():
        raise UsageError(f"output: folder {arguments.output.parent} does not exist")
    definitions, root = definitions_file(arguments)
    rows = read_rows(arguments.rows, definitions)
    notes = Notes()
    at = column_or_time(arguments.at, rows.columns)
    fitted = fit(definitions, rows, at=at, features=arguments.features, root=root, notes=notes)
    print_notes(notes)
    fitted.save(arguments.output)
    print(f"fitted: {arguments.output} ({len(fitted.states)} features, {rows.height:,} rows)")  # noqa: T201
