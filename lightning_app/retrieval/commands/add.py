"""Add command: `lightning-app index add` adds the rows of a further table to an index."""

from pathlib import Path

from lightning_app.retrieval.build_index import add_to_index
from lightning_app.retrieval.commands.built import EmbeddingProgress, show_built
from lightning_app.retrieval.index_folder import IndexManifest
from lightning_app.retrieval.index_table import IndexTable
from lightning_app.verb_parser import VerbParser


def run(args: list[str]) -> None:
    """Runs the sub-command; see `--help`.

    Args:
        args: Command line, verb first.
    """
    parser = VerbParser("index add", description=__doc__, epilog="A killed run goes on where it stopped.")
    parser.add_argument("index", help="folder of the index")
    parser.add_argument("table", help="parquet, CSV or Arrow file with the columns of the index, and further ids")
    parser.add_argument("--package", default=None, help="folder of the package; default: where it was")
    parser.add_argument("--threads", type=int, default=1, help="threads of the package")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    arguments = parser.parse_args(args[1:])
    folder = Path(arguments.index)
    manifest = IndexManifest.of_folder(folder)
    table = IndexTable.read(
        Path(arguments.table),
        column=manifest.column,
        id_column=manifest.id_column,
        is_embedding=manifest.package is None,
    )
    built = add_to_index(
        folder,
        table,
        package=arguments.package,
        num_threads=arguments.threads,
        on_progress=EmbeddingProgress(len(table.rows)),
    )
    show_built(built, folder, as_json=arguments.json)
