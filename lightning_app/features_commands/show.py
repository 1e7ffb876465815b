"""Features command: `lightning-app features show` describes every feature, on the terminal or as a page.

With a table it tells their statistics, with packages which of them read a feature.
"""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from features.batch import training_table
from features.definitions import Definitions, FittedFeature
from features.fitted import Fitted
from features.rows import required_features
from features.sources import Notes
from lightning_app.atomic_write import write_whole
from lightning_app.errors import UsageError
from lightning_app.features_commands.catalog import catalog
from lightning_app.features_commands.page import html_page, markdown_page
from lightning_app.features_commands.rows_table import print_notes, read_rows
from lightning_app.features_commands.statistics import statistics
from lightning_app.features_commands.store_options import column_or_time, definitions_file
from lightning_app.features_commands.usage import packages_in, registered_packages, usage
from lightning_app.terminal import plain, plain_console, print_json
from lightning_app.verb_parser import VerbParser

_PAGES = {".md": markdown_page, ".html": html_page}


def run(args: list[str]) -> None:
    """Runs the sub-command; see `--help`.

    Args:
        args: Command line, verb first.

    Raises:
        UsageError: The output is no page, or no package is where one is said to be.
    """
    parser = VerbParser(args[0], description=__doc__, epilog="")
    parser.add_argument("file", metavar="FEATURES.yaml", help="definitions of features")
    parser.add_argument("--views", nargs="+", default=None, metavar="VIEW", help="views or features; default: all")
    parser.add_argument("--rows", type=Path, default=None, metavar="TABLE", help="rows to tell statistics of")
    parser.add_argument("--at", default="time", help="column of the times of --rows, or one time; default: time")
    parser.add_argument("--fitted", type=Path, default=None, help="state of fitted features, as JSON")
    parser.add_argument(
        "--packages", type=Path, nargs="+", default=[], metavar="FOLDER", help="packages, or folders that hold them"
    )
    parser.add_argument("--registry", default=None, metavar="URI", help="registry whose packages may read features")
    parser.add_argument("--output", type=Path, default=None, help="page to write: ends in .md or .html")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args(args[1:])
    output: Path | None = arguments.output
    if output is not None and output.suffix not in _PAGES:
        raise UsageError(f"output: {str(output)!r} given, a file that ends in {' or '.join(_PAGES)} is needed")
    definitions, root = definitions_file(arguments)
    entries = catalog(definitions, arguments.views)
    if arguments.rows is not None:
        names = tuple(entry.name for entry in entries)
        by_name = _statistics(definitions, names, arguments.rows, arguments.at, arguments.fitted, root=root)
        entries = [replace(entry, statistics=by_name.get(entry.name)) for entry in entries]
    packages = packages_in(arguments.packages)
    if arguments.registry is not None:
        packages |= registered_packages(arguments.registry)
    used_by, without = usage(definitions, packages)
    for name in without:
        plain_console(stderr=True).print(f"note: {name} carries no definitions of features")
    entries = [replace(entry, used_by=tuple(used_by.get(entry.name, ()))) for entry in entries]
    if arguments.json:
        print_json([asdict(entry) for entry in entries])
    if output is None and not arguments.json:
        print(plain(markdown_page(definitions, entries, title=arguments.file)))  # noqa: T201
    if output is not None:
        write_whole(output, _PAGES[output.suffix](definitions, entries, title=arguments.file))
        if not arguments.json:
            print(f"page: {output} ({len(entries)} features)")  # noqa: T201


def _statistics(
    definitions: Definitions, names: tuple[str, ...], file: Path, at: str, fitted: Path | None, *, root: Path
) -> dict[str, dict[str, Any]]:
    rows = read_rows(file, definitions)
    state = None if fitted is None else Fitted.load(fitted)
    computed = names
    if state is None:
        of_state = {full for full in definitions.select() if isinstance(definitions.feature(full), FittedFeature)}
        computed = tuple(full for full in names if not of_state & set(required_features(definitions, [full])))
        for full in names:
            if full not in computed:
                plain_console(stderr=True).print(f"note: no statistics of {full}, which needs --fitted")
    notes = Notes()
    table = training_table(
        definitions,
        rows,
        at=column_or_time(at, rows.columns),
        features=computed,
        fitted=state,
        reasons=True,
        root=root,
        notes=notes,
    )
    print_notes(notes)
    return dict(statistics(table, computed))
