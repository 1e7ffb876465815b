"""Features command: `lightning-app features list` prints the features of a file, one per line."""

from dataclasses import asdict

from rich.table import Table

from features.definitions import Definitions
from lightning_app.features_commands.catalog import catalog
from lightning_app.terminal import print_json, show
from lightning_app.verb_parser import VerbParser


def run(args: list[str]) -> None:
    """Runs the sub-command; see `--help`.

    Args:
        args: Command line, verb first.
    """
    parser = VerbParser(args[0], description=__doc__, epilog="")
    parser.add_argument("file", metavar="FEATURES.yaml", help="definitions of features")
    parser.add_argument("--views", nargs="+", default=None, metavar="VIEW", help="views or features; default: all")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args(args[1:])
    definitions = Definitions.load(arguments.file)
    entries = catalog(definitions, arguments.views)
    if arguments.json:
        print_json([asdict(entry) for entry in entries])
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("feature", "kind", "type", "unit", "entity", "description"):
        table.add_column(heading, no_wrap=heading == "feature", overflow="fold")
    for entry in entries:
        table.add_row(entry.name, entry.kind, entry.type, entry.unit, entry.entity, entry.description)
    show(table)
    print(f"{len(entries)} features of {len(definitions.views)} views; definitions {definitions.digest[:12]}")  # noqa: T201
