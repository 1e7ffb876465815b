"""Ask command: `lightning-app index ask` finds the rows nearest to a text, or to a row of the index."""

from dataclasses import asdict

from lightning_app.errors import UsageError
from lightning_app.retrieval.index import Index
from lightning_app.retrieval.index_folder import ENGINES
from lightning_app.terminal import plain, print_json
from lightning_app.verb_parser import VerbParser

_SHOWN = 200


def run(args: list[str]) -> None:
    """Runs the sub-command; see `--help`.

    Args:
        args: Command line, verb first.
    """
    parser = VerbParser("index ask", description=__doc__, epilog="The package must be the one that built the index.")
    parser.add_argument("index", help="folder of the index")
    parser.add_argument("texts", nargs="*", metavar="text", help="questions")
    parser.add_argument("--id", default=None, help="a row of the index instead of a text")
    parser.add_argument("--top", type=int, default=5, help="rows per question (default 5)")
    parser.add_argument("--engine", choices=ENGINES, default=None, help="default: the one the index was built for")
    parser.add_argument("--package", default=None, help="folder of the package; default: where it was at the build")
    parser.add_argument("--threads", type=int, default=1, help="threads of the package")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    arguments = parser.parse_intermixed_args(args[1:])
    if bool(arguments.texts) == (arguments.id is not None):
        raise UsageError("index ask: give a text, or --id of a row")
    index = Index.load(
        arguments.index, engine=arguments.engine, package=arguments.package, num_threads=arguments.threads
    )
    if arguments.id is not None:
        questions, answers = [arguments.id], [index.neighbors_of(arguments.id, top=arguments.top)]
    else:
        questions, answers = arguments.texts, index.search(arguments.texts, top=arguments.top)
    if arguments.json:
        print_json(
            [
                {"question": question, "neighbors": [asdict(one) for one in found]}
                for question, found in zip(questions, answers, strict=True)
            ]
        )
        return
    for question, found in zip(questions, answers, strict=True):
        if len(questions) > 1:
            print(plain(f"{question}:"))  # noqa: T201
        for neighbor in found:
            text = "" if neighbor.text is None else " ".join(neighbor.text.split())
            text = text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
            print(plain(f"{neighbor.score:7.4f}  {neighbor.id}  {text}").rstrip())  # noqa: T201
