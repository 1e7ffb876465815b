"""Retrain commands: `lightning-app retrain approve` and `reject` order what the next tick carries out."""

from lightning_app.errors import UsageError
from lightning_app.identity import USER_AT_HOST
from lightning_app.retraining.commands.options import live_cycle, opened_store, parser_of, policy_of
from lightning_app.retraining.commands.tick_command import tick_once
from lightning_app.terminal import only_result, print_json


def approve(args: list[str]) -> None:
    """Runs `approve`; see `--help`.

    Args:
        args: Command line, verb first.
    """
    _order(args, "approve", "Approves the candidate of the live cycle, and ticks.", needs_reason=False)


def reject(args: list[str]) -> None:
    """Runs `reject`; see `--help`.

    Args:
        args: Command line, verb first.
    """
    _order(args, "reject", "Ends the live cycle, and ticks: its version keeps no alias.", needs_reason=True)


def _order(args: list[str], kind: str, description: str, *, needs_reason: bool) -> None:
    parser = parser_of(args[0], description)
    parser.add_argument("cycle", nargs="?", default=None, help="id of the cycle; default: the live one")
    parser.add_argument("--reason", required=needs_reason, default="", help="why; it is recorded")
    arguments = parser.parse_args(args[1:])
    if needs_reason and not arguments.reason.strip():
        raise UsageError("reason: it is empty; say why, it is recorded")
    policy = policy_of(arguments)
    with opened_store(policy, create=False) as (store, now):
        cycle = live_cycle(store, policy.model, arguments.cycle)
        if kind == "approve" and not policy.rollout.approval:
            raise UsageError("approve: rollout.approval of the policy is false; candidates need no approval")
        if kind == "approve" and cycle.state != "gated":
            raise UsageError(f"approve: cycle {cycle.cycle_id} is {cycle.state}; what passed the gates is approved")
        facts = {"who": USER_AT_HOST, "reason": arguments.reason}
        store.note(policy.model, kind, facts, now=now, cycle_id=cycle.cycle_id)
    with only_result(arguments.json):
        tick_once(policy)
    if arguments.json:
        with opened_store(policy, create=False) as (store, _):
            after = store.get(cycle.cycle_id)
        assert after is not None
        print_json({"cycle_id": after.cycle_id, "state": after.state, "reason": after.reason})
