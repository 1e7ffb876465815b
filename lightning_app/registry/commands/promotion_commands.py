"""Promotion commands: `lightning-app register`, `promote`, `withdraw` and `rollback`."""

from lightning_app.packaging.format.package_signature import TRUSTED_KEYS, trusted_keys
from lightning_app.registry.commands.tables import gates_table
from lightning_app.registry.promotion.gate_file import GateFile
from lightning_app.registry.registry import Registry
from lightning_app.registry.storage.reference import PROMOTABLE, WITHDRAWABLE
from lightning_app.terminal import show
from lightning_app.verb_parser import VerbParser

REGISTRY_HELP = "address of the registry; default: $MLFLOW_TRACKING_URI, else sqlite:///mlflow.db"


def register(args: list[str]) -> None:
    """Runs `register`; see `--help`.

    Args:
        args: Command line, verb first.
    """
    parser = VerbParser("register", description="Makes a version of a package.", epilog="")
    parser.add_argument("package", help="folder of the package")
    parser.add_argument("--name", default=None, help="name of the model; default: that of the package")
    parser.add_argument("--registry", default=None, help=REGISTRY_HELP)
    parser.add_argument(
        "--artifacts",
        default=None,
        metavar="ROOT",
        help="where a new registry stores packages, a folder or a URI; required once for a database server",
    )
    parser.add_argument(
        "--trusted-key",
        action="append",
        dest="trusted_keys",
        metavar="PEM",
        help=f"public key; the package has to be signed by one of them; default: ${TRUSTED_KEYS}",
    )
    arguments = parser.parse_args(args[1:])
    registry = Registry(arguments.registry)
    keys = trusted_keys(arguments.trusted_keys)
    number = registry.register(arguments.package, arguments.name, artifacts=arguments.artifacts, trusted_keys=keys)
    name = arguments.name or registry.resolve(arguments.package).name
    print(f"registered: {name}@{number}")  # noqa: T201


def promote(args: list[str]) -> None:
    """Runs `promote`; see `--help`.

    Args:
        args: Command line, verb first.

    Raises:
        PromotionRefusedError: The version fails a gate.
    """
    parser = VerbParser("promote", description="Makes a version champion, challenger or shadow.", epilog="")
    parser.add_argument("model", help="NAME@VERSION, or NAME@challenger")
    parser.add_argument("--to", required=True, choices=PROMOTABLE, help="alias that it gets")
    parser.add_argument("--gates", default=None, help="YAML of bounds; default: gates/default")
    parser.add_argument("--force", default=None, metavar="REASON", help="overrule the gates; the reason is recorded")
    parser.add_argument("--reason", default=None, help="recorded; overrules nothing")
    parser.add_argument("--registry", default=None, help=REGISTRY_HELP)
    arguments = parser.parse_args(args[1:])
    gates = None if arguments.gates is None else GateFile.read(arguments.gates)
    done = Registry(arguments.registry).promote(
        arguments.model, to=arguments.to, gates=gates, force=arguments.force, reason=arguments.reason
    )
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


def withdraw(args: list[str]) -> None:
    """Runs `withdraw`; see `--help`.

    Args:
        args: Command line, verb first.
    """
    description = "Takes the alias challenger or shadow from a version; the version itself stays."
    parser = VerbParser("withdraw", description=description, epilog="")
    parser.add_argument("model", help="NAME@VERSION, or NAME@challenger")
    parser.add_argument("--alias", default="challenger", choices=WITHDRAWABLE, help="alias that it loses")
    parser.add_argument("--reason", default=None, help="recorded")
    parser.add_argument("--registry", default=None, help=REGISTRY_HELP)
    arguments = parser.parse_args(args[1:])
    done = Registry(arguments.registry).withdraw(arguments.model, alias=arguments.alias, reason=arguments.reason)
    if done.withdrawn:
        print(f"withdrawn: {done.name}@{done.version} is no longer {done.alias}")  # noqa: T201
    else:
        print(f"no version of {done.name} is {done.alias}: nothing changed")  # noqa: T201


def rollback(args: list[str]) -> None:
    """Runs `rollback`; see `--help`.

    Args:
        args: Command line, verb first.
    """
    description = "Makes the champion before the present one champion again, also while the registry does not answer."
    parser = VerbParser("rollback", description=description, epilog="")
    parser.add_argument("name", help="name of the model")
    parser.add_argument("--reason", default=None, help="recorded")
    parser.add_argument("--registry", default=None, help=REGISTRY_HELP)
    arguments = parser.parse_args(args[1:])
    done = Registry(arguments.registry).rollback(arguments.name, reason=arguments.reason)
    where = "" if done.synced else ", on this machine; the registry is updated when it answers again"
    title = f"{done.name}@{done.after}"
    print(f"rolled back: {title} is champion instead of {done.name}@{done.before}{where}")  # noqa: T201
