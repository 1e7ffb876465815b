"""Features command: `lightning-app features materialize` brings an online store up to date with its sources.

Only entities whose events have changed are written, late and corrected events included; run twice it writes nothing.
"""

from dataclasses import asdict

from rich.table import Table

from features.store import materialize
from lightning_app.features_commands.store_options import add_store_options, chosen_store, definitions_file, parse_time
from lightning_app.terminal import plain_console, print_json, show
from lightning_app.verb_parser import VerbParser


def run(args: list[str]) -> None:
    """Runs the sub-command; see `--help`.

    Args:
        args: Command line, verb first.
    """
    parser = VerbParser(args[0], description=__doc__, epilog="Readers are not disturbed while it runs.")
    parser.add_argument("file", metavar="FEATURES.yaml", help="definitions of features")
    add_store_options(parser)
    parser.add_argument("--views", nargs="+", default=None, metavar="VIEW", help="default: all that are online")
    parser.add_argument("--until", default=None, metavar="TIME", help="only what was available then; default: all")
    parser.add_argument("--replace", action="store_true", help="drop rows of other definitions or of a later --until")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args(args[1:])
    definitions, root = definitions_file(arguments)
    until = None if arguments.until is None else parse_time(arguments.until, option="until")
    store = chosen_store(arguments)
    done = materialize(
        definitions,
        store,
        views=arguments.views,
        until=until,
        namespace=arguments.namespace,
        replace=arguments.replace,
        root=root,
    )
    for result in () if arguments.json else done:
        for note in result.notes:
            plain_console(stderr=True).print(f"note: {note}")
    if arguments.json:
        print_json({"store": store.url, "namespace": arguments.namespace, "views": [asdict(result) for result in done]})
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("view", "events", "entities", "written", "removed", "until", "seconds"):
        table.add_column(heading, justify="left" if heading in ("view", "until") else "right")
    for result in done:
        counts = (result.events, result.entities, result.written, result.removed)
        until_text = result.until.isoformat(sep=" ")
        table.add_row(result.view, *(f"{count:,}" for count in counts), until_text, f"{result.seconds:.1f}")
    show(table)
    print(f"store: {store.url}, namespace {arguments.namespace}")  # noqa: T201
