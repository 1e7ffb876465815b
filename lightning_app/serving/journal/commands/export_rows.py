"""Journal command: `lightning-app journal export` writes a training set: a row per answered row."""

from pathlib import Path

from lightning_app.errors import UsageError
from lightning_app.serving.journal.commands.options import add_url, opened_for_reading, seconds_of
from lightning_app.serving.journal.stores.protocol import Selection
from lightning_app.terminal import plain_console
from lightning_app.verb_parser import VerbParser


def run(args: list[str]) -> None:
    """Runs the sub-command; see `--help`.

    Args:
        args: Command line, verb first.

    Raises:
        UsageError: The output is no Parquet file, or nothing is selected.
    """
    parser = VerbParser(args[0], description=__doc__, epilog="Times without a zone are UTC.")
    add_url(parser)
    parser.add_argument("--output", type=Path, required=True, help="file to write: ends in .parquet")
    parser.add_argument("--model", default=None, help="model; default: all")
    parser.add_argument("--version", type=int, default=None, help="version of it; default: all")
    parser.add_argument("--since", default=None, metavar="TIME", help="first time of arrival")
    parser.add_argument("--until", default=None, metavar="TIME", help="first time that is not exported any more")
    parser.add_argument("--with-outcomes", action="store_true", help="leave out rows without outcome and reward")
    parser.add_argument("--with-shadows", action="store_true", help="answers of shadows too; leave out other requests")
    parser.add_argument("--outcome-as", default=None, metavar="NAME", help="column of the outcomes; default: outcome")
    arguments = parser.parse_args(args[1:])
    if arguments.output.suffix != ".parquet":
        raise UsageError(f"output: {str(arguments.output)!r} given, a file that ends in .parquet is needed")
    if not arguments.output.absolute().parent.is_dir():
        raise UsageError(f"output: folder {arguments.output.parent} does not exist")
    selection = Selection(
        model=arguments.model,
        version=arguments.version,
        since=seconds_of(arguments.since, option="since"),
        until=seconds_of(arguments.until, option="until"),
    )
    reader = opened_for_reading(arguments.url)
    from lightning_app.serving.journal.export import export

    try:
        report = export(
            reader,
            arguments.output,
            selection,
            with_outcomes=arguments.with_outcomes,
            with_shadows=arguments.with_shadows,
            outcome_name=arguments.outcome_as,
        )
    finally:
        reader.close()
    console = plain_console(stderr=True)
    for reason, count in report.left_out.items():
        console.print(f"left out: {count:,} predictions: {reason}")
    if report.num_without_shadow:
        console.print(f"left out: {report.num_without_shadow:,} requests that no shadow was asked")
    if report.num_without_outcome:
        console.print(f"left out: {report.num_without_outcome:,} rows without an outcome")
    if report.num_unmatched:
        console.print(f"left out: {report.num_unmatched:,} outcomes of rows that the answer does not have")
    if report.num_listed:
        console.print(f"note: {report.num_listed:,} requests with one answer to many rows: one row each, with lists")
    for note in report.notes:
        console.print(f"note: {note}")
    print(f"rows: {arguments.output} ({report.num_rows:,} rows of {report.num_predictions:,} requests)")  # noqa: T201
