"""Show command: `lightning-app index show` verifies an index, and says what it holds."""

from dataclasses import asdict
from pathlib import Path

from lightning_app.retrieval.index_folder import IndexManifest
from lightning_app.terminal import plain, print_json
from lightning_app.verb_parser import VerbParser


def run(args: list[str]) -> None:
    """Runs the sub-command; see `--help`.

    Args:
        args: Command line, verb first.
    """
    parser = VerbParser("index show", description=__doc__, epilog="Every file is verified by its sha256.")
    parser.add_argument("index", help="folder of the index")
    parser.add_argument("--json", action="store_true", help="print the manifest as JSON")
    arguments = parser.parse_args(args[1:])
    manifest = IndexManifest.read(Path(arguments.index))
    if arguments.json:
        print_json(asdict(manifest))
        return
    package = manifest.package
    built = "a column of embeddings" if package is None else f"{package.name} {package.digest[:12]} ({package.path})"
    lines = {
        "rows": f"{manifest.rows:,} x {manifest.size}, {manifest.metric}; {manifest.missing:,} left out",
        "engine": manifest.engine,
        "column": f"{manifest.column}, ids of {manifest.id_column or 'the row number'}",
        "tables": ", ".join(f"{name} {digest[:12]}" for name, digest in manifest.table),
        "built by": built,
    }
    for name, text in lines.items():
        print(plain(f"{name:<10}{text}"))  # noqa: T201
