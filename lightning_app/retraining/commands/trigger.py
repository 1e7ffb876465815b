"""Retrain command: `lightning-app retrain trigger` begins a cycle by hand, or resumes after failed ones."""

from lightning_app.errors import UsageError
from lightning_app.identity import USER_AT_HOST
from lightning_app.retraining.commands.options import opened_store, parser_of, policy_of
from lightning_app.retraining.commands.tick_command import as_json, tick_once
from lightning_app.terminal import only_result, print_json


def run(args: list[str]) -> None:
    """Runs the sub-command; see `--help`.

    Args:
        args: Command line, verb first.

    Raises:
        UsageError: A cycle is live, or no reason is given.
    """
    epilog = "Neither cool-down, back-off nor cycles per week hold for it; the gates do."
    parser = parser_of(args[0], __doc__, epilog=epilog)
    parser.add_argument("--reason", required=True, help="why; it is recorded")
    parser.add_argument("--resume", action="store_true", help="go on after limits.halt_after failed cycles")
    arguments = parser.parse_args(args[1:])
    if not arguments.reason.strip():
        raise UsageError("reason: it is empty; say why, it is recorded")
    policy = policy_of(arguments)
    with opened_store(policy, create=True) as (store, now):
        live = store.live(policy.model)
        if live is not None:
            raise UsageError(
                f"trigger: cycle {live.cycle_id} of {policy.model} is live ({live.state}); reject it first"
            )
        facts = {"who": USER_AT_HOST, "reason": arguments.reason}
        if arguments.resume:
            store.note(policy.model, "resume", facts, now=now)
        store.note(policy.model, "order", facts, now=now)
    with only_result(arguments.json):
        report = tick_once(policy)
    if arguments.json:
        print_json(as_json(policy, report))
