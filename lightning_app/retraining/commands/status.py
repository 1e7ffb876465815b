"""Retrain command: `lightning-app retrain status` says how far the cycle is, what it waits for, and until when."""

from typing import Any

from lightning_app.retraining.commands.options import opened_store, parser_of, policy_of
from lightning_app.retraining.cycles import Cycle
from lightning_app.retraining.steps.context import Context
from lightning_app.retraining.steps.limits import limit
from lightning_app.retraining.steps.outcome import Wait
from lightning_app.terminal import plain, print_json
from lightning_app.time_text import utc


def run(args: list[str]) -> None:
    """Runs the sub-command; see `--help`.

    Args:
        args: Command line, verb first.
    """
    arguments = parser_of(args[0], __doc__).parse_args(args[1:])
    policy = policy_of(arguments)
    with opened_store(policy, create=False) as (store, now):
        live, cycles = store.live(policy.model), store.cycles(policy.model)
        context = Context(policy=policy, database=store.database, now=now)
        wait = None if live is not None else limit(context, by_hand=False)
    last = next((cycle for cycle in reversed(cycles) if cycle.ended is not None), None)
    if arguments.json:
        idle = None if wait is None else {"words": wait.words, "until": wait.until}
        print_json({"model": policy.model, "live": _facts(live), "waits": idle, "last": _facts(last)})
        return
    for line in _lines(policy.model, live, last, wait):
        print(plain(line))  # noqa: T201


def _lines(model: str, live: Cycle | None, last: Cycle | None, wait: Wait | None) -> list[str]:
    lines = []
    if live is not None:
        lines.append(f"{model} {live.cycle_id}: {live.state} since {utc(live.entered)}; {live.spec['words']}")
        if (failing := live.facts.get("failing")) is not None:
            lines.append(f"  fails since {utc(failing['since'])}, tried again by each tick: {failing['words']}")
        if (waits := live.facts.get("waits")) is not None:
            until = "" if waits["until"] is None else f", until {utc(waits['until'])}"
            lines.append(f"  waits for {waits['words']}{until}")
    else:
        lines.append(f"{model}: no cycle is live; waits for {'a trigger' if wait is None else wait.words}")
    if last is not None:
        assert last.ended is not None
        lines.append(f"{model} {last.cycle_id}: ended {utc(last.ended)}: {last.state}: {last.reason}")
    return lines


def _facts(cycle: Cycle | None) -> dict[str, Any] | None:
    if cycle is None:
        return None
    return {
        "cycle_id": cycle.cycle_id, "state": cycle.state, "attempt": cycle.attempt, "created": cycle.created,
        "entered": cycle.entered, "ended": cycle.ended, "reason": cycle.reason, "trigger": cycle.spec["trigger"],
        "words": cycle.spec["words"], "champion": cycle.spec["champion"], "version": cycle.facts.get("version"),
        "waits": cycle.facts.get("waits"), "failing": cycle.facts.get("failing"),
        "judgement": cycle.facts.get("judgement"), "device_minutes": cycle.facts.get("device_minutes"),
    }  # fmt: skip
