"""Features command: `lightning-app features build` computes the features of a table's rows, each at its own time."""

from pathlib import Path

from features.batch import training_table
from features.fitted import Fitted
from features.sources import Notes
from lightning_app.features_commands.rows_table import check_output, print_notes, read_rows, write_table
from lightning_app.features_commands.store_options import column_or_time, definitions_file
from lightning_app.verb_parser import VerbParser


def run(args: list[str]) -> None:
    """Runs the sub-command; see `--help`.

    Args:
        args: Command line, verb first.
    """
    parser = VerbParser(args[0], description=__doc__, epilog="Every row is kept, in its place.")
    parser.add_argument("file", metavar="FEATURES.yaml", help="definitions of features")
    parser.add_argument("--rows", type=Path, required=True, metavar="TABLE", help="keys and times: CSV or parquet")
    parser.add_argument("--at", default="time", help="column of the times, or one time for all rows; default: time")
    parser.add_argument("--output", type=Path, required=True, help="table to write: ends in .parquet or .csv")
    parser.add_argument("--features", nargs="+", default=None, metavar="NAME", help="features or views; default: all")
    parser.add_argument("--labels", nargs="+", default=[], metavar="NAME", help="labels to append")
    parser.add_argument("--fitted", type=Path, default=None, help="state of fitted features, as JSON")
    parser.add_argument("--reasons", action="store_true", help="say for each missing value why")
    arguments = parser.parse_args(args[1:])
    check_output(arguments.output)
    definitions, root = definitions_file(arguments)
    rows = read_rows(arguments.rows, definitions)
    notes = Notes()
    table = training_table(
        definitions,
        rows,
        at=column_or_time(arguments.at, rows.columns),
        features=arguments.features,
        labels=arguments.labels,
        fitted=None if arguments.fitted is None else Fitted.load(arguments.fitted),
        reasons=arguments.reasons,
        root=root,
        notes=notes,
    )
    print_notes(notes)
    write_table(table, arguments.output)
    print(f"table: {arguments.output} ({table.height:,} rows, {table.width - rows.width} columns added)")  # noqa: T201
