"""Build command: `lightning-app index build` embeds a table of texts with a package."""

from pathlib import Path

from lightning_app.errors import UsageError
from lightning_app.retrieval.build_index import build_index, check_target
from lightning_app.retrieval.commands.built import EmbeddingProgress, show_built
from lightning_app.retrieval.commands.package_folder import package_folder
from lightning_app.retrieval.index_folder import ENGINES
from lightning_app.retrieval.index_table import IndexTable
from lightning_app.retrieval.text_embedding import TextEmbedding
from lightning_app.verb_parser import VerbParser


def run(args: list[str]) -> None:
    """Runs the sub-command; see `--help`.

    Args:
        args: Command line, verb first.
    """
    parser = VerbParser("index build", description=__doc__, epilog="A killed build goes on where it stopped.")
    parser.add_argument("package", nargs="?", help="NAME@champion, NAME@3, NAME, or the folder of a package")
    parser.add_argument("table", help="parquet, CSV or Arrow file")
    parser.add_argument("--column", default=None, help="column of the texts")
    parser.add_argument(
        "--embeddings", default=None, metavar="COLUMN", help="column of embeddings, instead of package and --column"
    )
    parser.add_argument("--id", default=None, help="column of the ids; default: the number of the row, from 0")
    parser.add_argument("--output", required=True, metavar="FOLDER", help="folder of the index")
    parser.add_argument(
        "--metric", choices=("cosine", "dot"), default="cosine", help="cosine (default) normalises the embeddings"
    )
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default="numpy",
        help="numpy (default) and faiss search exactly, hnsw approximately with a graph that is built along",
    )
    parser.add_argument("--registry", default=None, help="where NAME is registered; default: $MLFLOW_TRACKING_URI")
    parser.add_argument("--threads", type=int, default=1, help="threads of the package")
    parser.add_argument("--overwrite", action="store_true", help="replace an index that is there")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    arguments = parser.parse_intermixed_args(args[1:])
    if (arguments.embeddings is None) != (arguments.package is not None and arguments.column is not None):
        raise UsageError("index build: give a package and --column of the texts, or --embeddings alone")
    if arguments.embeddings is not None and (arguments.package is not None or arguments.column is not None):
        raise UsageError("index build: --embeddings given beside a package or --column; give either")
    output = Path(arguments.output)
    check_target(output, overwrite=arguments.overwrite)
    column = arguments.embeddings or arguments.column
    table = IndexTable.read(
        Path(arguments.table), column=column, id_column=arguments.id, is_embedding=arguments.embeddings is not None
    )
    embedding = None
    if arguments.package is not None:
        folder = package_folder(arguments.package, arguments.registry)
        embedding = TextEmbedding.load(folder, num_threads=arguments.threads)
    built = build_index(
        output,
        table,
        column=column,
        id_column=arguments.id,
        embedding=embedding,
        metric=arguments.metric,
        engine=arguments.engine,
        overwrite=arguments.overwrite,
        on_progress=EmbeddingProgress(len(table.rows)),
    )
    show_built(built, output, as_json=arguments.json)
