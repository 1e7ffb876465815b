"""Options of the sub-commands of `retrain`: the policy, and a database to read or to write."""

import argparse
from collections.abc import Iterator
from contextlib import closing, contextmanager

from lightning_app.config.shipped_configs import find_config
from lightning_app.errors import UsageError
from lightning_app.retraining.config.policy import RetrainPolicy, read_policy
from lightning_app.retraining.cycles import Cycle, CycleStore
from lightning_app.serving.journal.stores import open_database
from lightning_app.verb_parser import VerbParser


def parser_of(verb: str, description: str | None, *, epilog: str = "") -> VerbParser:
    """Parser with the options that all sub-commands have.

    Args:
        verb: The verb with the sub-command.
        description: Text of the help page.
        epilog: Text at its end.
    """
    parser = VerbParser(verb, description=description, epilog=epilog)
    parser.add_argument("--policy", metavar="YAML", default="retrain.yaml", help="default: retrain.yaml")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def policy_of(arguments: argparse.Namespace) -> RetrainPolicy:
    """The policy that was given.

    Args:
        arguments: Parsed arguments.

    Raises:
        UsageError: It is missing or wrong.
    """
    return read_policy(find_config(arguments.policy, option="policy"))


@contextmanager
def opened_store(policy: RetrainPolicy, *, create: bool) -> Iterator[tuple[CycleStore, float]]:
    """Cycles of the policy's journal, and the time by its clock.

    Args:
        policy: The policy.
        create: Whether to make the journal and its tables if they do not exist.

    Raises:
        UsageError: The journal does not exist.
        JournalError: It cannot be reached.
    """
    try:
        database = open_database(policy.journal, create=create)
    except ValueError as error:
        raise UsageError(f"{error}; it is the journal of the policy") from error
    with closing(database):
        store = CycleStore(database)
        if create:
            store.make()
        yield store, database.now()


def live_cycle(store: CycleStore, model: str, cycle_id: str | None) -> Cycle:
    """The live cycle of a model.

    Args:
        store: Cycles.
        model: Name of the model.
        cycle_id: Id of the cycle that is meant; None takes the live one.

    Raises:
        UsageError: There is none, or it is another one.
    """
    cycle = store.live(model)
    known = None if cycle_id is None else store.get(cycle_id)
    if known is not None and known.ended is not None:
        raise UsageError(f"cycle: {cycle_id} has ended: {known.state}, {known.reason}")
    if cycle is None:
        raise UsageError(f"cycle: no cycle of {model} is live")
    if cycle_id not in (None, cycle.cycle_id):
        raise UsageError(f"cycle: {cycle_id!r} given, the live cycle of {model} is {cycle.cycle_id}")
    return cycle
