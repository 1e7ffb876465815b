"""Retrain command: `lightning-app retrain tick` advances the cycle of a model as far as it can now, and ends."""

import sys
from typing import Any

from lightning_app.retraining.commands.options import parser_of, policy_of
from lightning_app.retraining.config.policy import RetrainPolicy
from lightning_app.retraining.cycles import AnotherTickError
from lightning_app.retraining.tick import TickReport, tick
from lightning_app.terminal import only_result, plain, print_json


def run(args: list[str]) -> None:
    """Runs the sub-command; see `--help`.

    Args:
        args: Command line, verb first.

    Raises:
        SystemExit: A step failed; the next tick tries again.
    """
    parser = parser_of(args[0], __doc__, epilog="Prints a line for each change; exit code 1 if a step failed.")
    arguments = parser.parse_args(args[1:])
    policy = policy_of(arguments)
    with only_result(arguments.json):
        report = tick_once(policy, quiet=arguments.json)
    if arguments.json:
        print_json(as_json(policy, report))
    if report is not None and report.failure is not None:
        raise SystemExit(1)


def tick_once(policy: RetrainPolicy, *, quiet: bool = False) -> TickReport | None:
    """Ticks, and prints what happens.

    Args:
        policy: The policy.
        quiet: Whether to print nothing.

    Returns:
        What the tick did; None if another one is running.
    """

    def say(line: str) -> None:
        if not quiet:
            print(plain(line), flush=True)  # noqa: T201

    try:
        report = tick(policy, say=say)
    except AnotherTickError as error:
        say(f"{policy.model}: {error}")
        return None
    if report.failure is not None and not quiet:
        print(plain(f"error: {policy.model}: {report.failure}"), file=sys.stderr, flush=True)  # noqa: T201
    say(f"{policy.model}: waits for {report.waits}")
    return report


def as_json(policy: RetrainPolicy, report: TickReport | None) -> dict[str, Any]:
    """What a tick did, as JSON can hold it.

    Args:
        policy: The policy.
        report: What it did; None if another one is running.
    """
    if report is None:
        return {"model": policy.model, "another_tick": True, "changes": []}
    return {
        "model": policy.model,
        "changes": report.changes,
        "waits": report.waits,
        "until": report.until,
        "failure": report.failure,
    }
