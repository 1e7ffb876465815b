"""Experiment command: `lightning-app experiment stop ID` ends an experiment; a canary is promoted or rolled back."""

import argparse
import os
import time
from typing import Any

import msgspec

from lightning_app.errors import UsageError, nearest
from lightning_app.identity import USER_AT_HOST
from lightning_app.serving.experiments.analysis.catalogue import catalogue, find
from lightning_app.serving.experiments.commands.options import add_journal, opened
from lightning_app.serving.experiments.store import Event, Experiment, ExperimentStore, Lease
from lightning_app.serving.journal.stores.database import JournalDatabase
from lightning_app.terminal import only_result, plain, print_json
from lightning_app.verb_parser import VerbParser

_TRIES = 20
_PAUSE = 0.5
_LEASE_SECONDS = 120.0


def run(args: list[str]) -> None:
    """Runs the sub-command; see `--help`.

    Args:
        args: Command line, verb first.

    Raises:
        UsageError: The experiment is unknown, has ended, or cannot be ended in this way.
    """
    parser = VerbParser(
        args[0], description=__doc__, epilog="If a server decides about the canary, it carries it out within seconds."
    )
    parser.add_argument("experiment", metavar="ID", help="as `experiment list` shows it")
    add_journal(parser)
    ends = parser.add_mutually_exclusive_group()
    ends.add_argument("--promote", action="store_true", help="canary: make the challenger champion, gates or not")
    ends.add_argument("--rollback", action="store_true", help="canary: take the alias from the challenger")
    ends.add_argument("--arm", default=None, help="split or bandit: answers everything now; default: the control")
    parser.add_argument("--reason", required=True, help="why; it is recorded")
    parser.add_argument("--registry", metavar="URL", default=None, help="registry; default: $MLFLOW_TRACKING_URI")
    parser.add_argument("--wait", type=float, default=30.0, metavar="S", help="wait so long for a server; default: 30")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args(args[1:])
    if not arguments.reason.strip():
        raise UsageError("reason: it is empty; say why, it is recorded")
    with opened(arguments.journal) as database, only_result(arguments.json):
        record = find(catalogue(database), arguments.experiment).record
        if record is None:
            raise UsageError(f"experiment: no server recorded {arguments.experiment}: there is nothing to end")
        if record.ended is not None:
            raise UsageError(
                f"experiment: {record.id} has ended: {record.status}, {record.reason or 'without a reason'}"
            )
        words = (
            _end_canary(database, record, arguments) if record.kind == "canary" else _end(database, record, arguments)
        )
        after = ExperimentStore(database).get(record.id)
    assert after is not None
    if arguments.json:
        print_json({"id": after.id, "status": after.status, "reason": after.reason, "done": words})
    else:
        print(plain(f"{after.id}: {words}"))  # noqa: T201


def _end(database: JournalDatabase, record: Experiment, arguments: argparse.Namespace) -> str:
    """Ends a split or a bandit: servers see it within seconds."""
    if arguments.promote or arguments.rollback:
        raise UsageError(
            f"experiment: {record.id} is a {record.kind}, only a canary is promoted or rolled back; --arm says which "
            "arm answers from now on"
        )
    arms = list(record.spec["arms"])
    if arguments.arm is not None and arguments.arm not in arms:
        raise UsageError(f"arm: {arguments.arm!r} given{nearest(arguments.arm, arms)}, allowed: {', '.join(arms)}")
    arm = arguments.arm or arms[0]
    event = Event(kind="stopped", facts={"arm": arm, "reason": arguments.reason, "who": USER_AT_HOST})
    _change(database, record.id, {"arm": arm}, event, status="stopped", reason=f"{USER_AT_HOST}: {arguments.reason}")
    return f"stopped; {arm} answers everything"


def _end_canary(database: JournalDatabase, record: Experiment, arguments: argparse.Namespace) -> str:
    if arguments.arm is not None or not (arguments.promote or arguments.rollback):
        raise UsageError(f"experiment: {record.id} is a canary: give --promote or --rollback")
    action = "promote" if arguments.promote else "roll_back"
    request = {"action": action, "reason": arguments.reason, "who": USER_AT_HOST}
    _change(database, record.id, {"request": request}, Event(kind="request", facts=request))
    lease = Lease(
        database, name=f"canary:{record.model}", holder=f"{USER_AT_HOST}:{os.getpid()}", seconds=_LEASE_SECONDS
    )
    store, until = ExperimentStore(database), time.monotonic() + arguments.wait
    while True:
        now = store.get(record.id)
        assert now is not None
        if now.ended is not None:
            return f"{now.status}: {now.reason}"
        if lease.hold() is not None:
            try:
                return _carry_out(store, now, lease, arguments, request)
            finally:
                lease.release()
        if time.monotonic() >= until:
            return "requested; a server decides about it, and has not carried it out yet"
        time.sleep(_PAUSE)


def _carry_out(
    store: ExperimentStore, record: Experiment, lease: Lease, arguments: argparse.Namespace, request: dict[str, str]
) -> str:
    """Changes the aliases where no server does."""
    from lightning_app.serving.experiments.canary.registry_door import Order, carry_out

    state, reason = record.state, f"{request['who']}: {request['reason']}"
    action = "promote" if arguments.promote else "roll_back"
    done = carry_out(
        Order(
            canary=record.id, registry=arguments.registry, name=state["registered"], version=state["version"],
            champion=state["champion"], alias=record.spec.get("alias", "challenger"), gates=record.spec.get("gates"),
            action="promote" if arguments.promote else "roll_back", reason=reason, forced=True,
        )
    )  # fmt: skip
    if done.outcome not in ("done", "already"):
        raise ValueError(f"experiment: {record.id}: the registry was not changed: {done.words}; the request stays")
    status = "promoted" if arguments.promote else "rolled_back"
    verdict = {"action": action, "status": status, "reason": reason, "time": time.time(), "forced": True}
    events = [
        Event(kind="door", facts=msgspec.to_builtins(done)),
        Event(kind="ended", facts={"status": status, "reason": reason}),
    ]
    content = {**record.state, "verdict": verdict}
    if not store.update(record, state=content, status=status, reason=reason, events=events, lease=lease):  # type: ignore[arg-type]
        raise RuntimeError(f"experiment: {record.id} was changed by a server meanwhile; look at `experiment show`")
    return f"{status}: {reason}"


def _change(
    database: JournalDatabase, experiment: str, change: dict[str, Any], event: Event, *, status: str = "running",
    reason: str | None = None,
) -> None:  # fmt: skip
    """Writes a change of the state, over whatever a server has written meanwhile."""
    store = ExperimentStore(database)
    for _ in range(_TRIES):
        record = store.get(experiment)
        assert record is not None
        if record.ended is not None:
            raise UsageError(f"experiment: {experiment} has ended meanwhile: {record.status}, {record.reason}")
        content = {**record.state, **change}
        if store.update(record, state=content, status=status, reason=reason, events=[event]):  # type: ignore[arg-type]
            return
        time.sleep(_PAUSE / 10)
    raise RuntimeError(f"experiment: {experiment} is changed faster than this command can; try again")
