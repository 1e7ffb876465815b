"""Import of a Feast repository: `lightning-app features import-feast REPO` writes a features file."""

import sys
from pathlib import Path

from features.feast import read_registry, translate
from lightning_app.atomic_write import write_whole
from lightning_app.errors import UsageError
from lightning_app.terminal import plain, plain_console
from lightning_app.verb_parser import VerbParser

_EPILOG = (
    "Two differences: a feature sees rows before its time, Feast also those of the same time; and no row before it was "
    "created, which Feast allows. docs/data.md, section `Coming from Feast`, has all of them."
)


def run(args: list[str]) -> None:
    """Writes the features file; see `--help`.

    Args:
        args: Command line, sub-command first.
    """
    parser = VerbParser(args[0], description=__doc__, epilog=_EPILOG)
    parser.add_argument("repo", metavar="REPO", help="folder with feature_store.yaml, after feast apply")
    parser.add_argument(
        "--output", default="features.yaml", metavar="FILE", help="file to write; default features.yaml"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
    arguments = parser.parse_args(args[1:])
    output = Path(arguments.output)
    if output.exists() and not arguments.overwrite:
        raise UsageError(f"features import-feast: {output} exists; name another --output or give --overwrite")
    repo = Path(arguments.repo).expanduser()
    translated = translate(read_registry(repo), repo=repo, root=output.parent)
    definitions = translated.definitions
    write_whole(output, definitions.to_yaml())
    for line in translated.left_out:
        print(plain(f"warning: left out: {line}"), file=sys.stderr)  # noqa: T201
    count = len(definitions.select())
    console = plain_console()
    console.print(
        f"{output}: {count} features in {len(definitions.views)} views, {len(definitions.entities)} entities, "
        f"{len(definitions.sources)} sources; {len(translated.left_out)} left out"
    )
    console.print(
        "unlike in Feast: rows of the very time that is asked about, and rows not created by then, are not seen"
    )
