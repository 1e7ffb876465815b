"""`lightning-app register`, `promote` and `rollback`."""

from lightning_app.registry.commands.tables import gates_table
from lightning_app.registry.promotion.gate_file import GateFile
from lightning_app.registry.registry import Registry
from lightning_app.registry.storage.reference import PROMOTABLE
from lightning_app.terminal import show
from lightning_app.verb_parser import VerbParser

REGISTRY_HELP = "address of the registry; default: $MLFLOW_TRACKING_URI, else sqlite:///mlflow.db"


def register(args: list[str]) -> None:
    """Runs `register`; see `--help`.

    Args:
        args: The command line, verb first.
    """
    parser = VerbParser("register", description="Makes a version of a package.", epilog="")
    parser.add_argument("package", help="folder of the package")
    parser.add_argument("--name", default=None, help="name of the model; default: that of the package")
    parser.add_argument("--registry", default=None, help=REGISTRY_HELP)
    parser.add_argument(
        "--artifacts",
        default=None,
        metavar="PLACE",
        help="where a new registry keeps packages, a folder or a URI; a database needs it once: a place all hosts see",
    )
    given = parser.parse_args(args[1:])
    registry = Registry(given.registry)
    number = registry.register(given.package, given.name, artifacts=given.artifacts)
    name = given.name or registry.resolve(given.package).name
    print(f"registered: {name}@{number}")  # noqa: T201


def promote(args: list[str]) -> None:
    """Runs `promote`; see `--help`.

    Args:
        args: The command line, verb first.

    Raises:
        PromotionRefusedError: A gate refuses the version.
    """
    parser = VerbParser("promote", description="Makes a version champion, challenger or shadow.", epilog="")
    parser.add_argument("model", help="NAME@VERSION, or NAME@challenger")
    parser.add_argument("--to", required=True, choices=PROMOTABLE, help="what it becomes")
    parser.add_argument("--gates", default=None, help="YAML of bounds; default: gates/default")
    parser.add_argument("--force", default=None, metavar="REASON", help="overrule the gates; the reason is recorded")
    parser.add_argument("--registry", default=None, help=REGISTRY_HELP)
    given = parser.parse_args(args[1:])
    gates = None if given.gates is None else GateFile.read(given.gates)
    done = Registry(given.registry).promote(given.model, to=given.to, gates=gates, force=given.force)
    if done.verdicts:
        show(gates_table(done.verdicts))
    done.check()
    title = f"{done.name}@{done.version}"
    if done.before == done.version:
        print(f"{title} is {done.alias} already")  # noqa: T201
        return
    instead = "" if done.before is None else f" instead of {done.name}@{done.before}"
    lost = f", {' and '.join(done.lost)} no more" if done.lost else ""
    print(f"promoted: {title} is {done.alias}{lost}{instead}{', gates overruled' if done.forced else ''}")  # noqa: T201


def rollback(args: list[str]) -> None:
    """Runs `rollback`; see `--help`.

    Args:
        args: The command line, verb first.
    """
    description = "Makes the champion before the present one champion again, also while the registry does not answer."
    parser = VerbParser("rollback", description=description, epilog="")
    parser.add_argument("name", help="name of the model")
    parser.add_argument("--reason", default=None, help="recorded")
    parser.add_argument("--registry", default=None, help=REGISTRY_HELP)
    given = parser.parse_args(args[1:])
    done = Registry(given.registry).rollback(given.name, reason=given.reason)
    where = "" if done.told else ", on this machine; the registry is told when it answers again"
    print(f"rolled back: {done.name}@{done.after} is champion instead of {done.name}@{done.before}{where}")  # noqa: T201
