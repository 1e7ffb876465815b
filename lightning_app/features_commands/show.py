"""Features command: `lightning-app features show` describes every feature, on the terminal or as a page."""

from dataclasses import asdict
from pathlib import Path

from features.definitions import Definitions
from lightning_app.atomic_write import write_whole
from lightning_app.errors import UsageError
from lightning_app.features_commands.catalog import catalog
from lightning_app.features_commands.page import html_page, markdown_page
from lightning_app.terminal import plain, print_json
from lightning_app.verb_parser import VerbParser

_PAGES = {".md": markdown_page, ".html": html_page}


def run(args: list[str]) -> None:
    """Runs the sub-command; see `--help`.

    Args:
        args: Command line, verb first.

    Raises:
        UsageError: The output is no page.
    """
    parser = VerbParser(args[0], description=__doc__, epilog="")
    parser.add_argument("file", metavar="FEATURES.yaml", help="definitions of features")
    parser.add_argument("--views", nargs="+", default=None, metavar="VIEW", help="views or features; default: all")
    parser.add_argument("--output", type=Path, default=None, help="page to write: ends in .md or .html")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args(args[1:])
    output: Path | None = arguments.output
    if output is not None and output.suffix not in _PAGES:
        raise UsageError(f"output: {str(output)!r} given, a file that ends in {' or '.join(_PAGES)} is needed")
    definitions = Definitions.load(arguments.file)
    entries = catalog(definitions, arguments.views)
    if arguments.json:
        print_json([asdict(entry) for entry in entries])
    if output is None and not arguments.json:
        print(plain(markdown_page(definitions, entries, title=arguments.file)))  # noqa: T201
    if output is not None:
        write_whole(output, _PAGES[output.suffix](definitions, entries, title=arguments.file))
        if not arguments.json:
            print(f"page: {output} ({len(entries)} features)")  # noqa: T201
