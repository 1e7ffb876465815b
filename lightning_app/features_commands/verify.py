"""Features command: `lightning-app features verify` replays real events online and compares with batch.

Then events after a time are changed: no feature may move. It fails if any value differs, or any feature moves.
"""

from dataclasses import asdict

from features.verification import verify
from lightning_app.errors import UsageError
from lightning_app.features_commands.store_options import definitions_file
from lightning_app.terminal import plain, print_json
from lightning_app.verb_parser import VerbParser


class VerificationError(RuntimeError):
    """Features differ between their forms, or see the future."""


def run(args: list[str]) -> None:
    """Runs the sub-command; see `--help`.

    Args:
        args: Command line, verb first.

    Raises:
        UsageError: There are no events to compare.
        VerificationError: A feature differs between batch and online, or moved with the future.
    """
    parser = VerbParser(args[0], description=__doc__, epilog="Exit code 1 if the features do not hold.")
    parser.add_argument("file", metavar="FEATURES.yaml", help="definitions of features")
    parser.add_argument(
        "--rows", type=int, default=None, metavar="N", help="events to read at, at random; default: all"
    )
    parser.add_argument(
        "--futures", type=int, default=3, metavar="N", help="how often the future is changed; default: 3"
    )
    parser.add_argument("--tolerance", type=float, default=1e-9, help="relative difference allowed; default: 1e-9")
    parser.add_argument("--seed", type=int, default=0, help="seed of what is drawn; default: 0")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args(args[1:])
    definitions, root = definitions_file(arguments)
    report = verify(
        definitions,
        rows=arguments.rows,
        futures=arguments.futures,
        tolerance=arguments.tolerance,
        seed=arguments.seed,
        root=root,
    )
    if not any(report.events.values()):
        why = "".join(f"; {note}" for note in report.notes)
        raise UsageError(f"nothing can be compared: no source has an event with a key and a time{why}")
    if arguments.json:
        print_json({"holds": report.holds, **asdict(report)})
    else:
        print(plain(report.to_text()))  # noqa: T201
    if not report.holds:
        wrong = [check.name for check in report.checks if check.differ or check.moved]
        raise VerificationError(f"{len(wrong)} of {len(report.checks)} features do not hold: {', '.join(wrong[:5])}")
